"""Hostile input, made up by hypothesis: replies of the API, and manifests.

`make test` tries the same few examples each time, `make fuzz` thousands of new ones.
"""
