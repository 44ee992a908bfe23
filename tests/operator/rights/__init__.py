"""Compares the operator's permissions with its requests to the API server."""
