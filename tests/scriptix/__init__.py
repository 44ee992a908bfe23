"""Tests of the API client: HTTP to the simulator, and a server of raw bytes."""
