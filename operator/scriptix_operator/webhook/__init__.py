"""The client of the sink of notifications."""
