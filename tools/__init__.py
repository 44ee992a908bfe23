"""What `make lint` uses beside the checkers."""
