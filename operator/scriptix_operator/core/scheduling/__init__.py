"""Which resource calls the API next, with which API key."""
