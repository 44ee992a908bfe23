"""Tests of the API client: real HTTP to the simulator, and raw bytes where it is too polite."""
