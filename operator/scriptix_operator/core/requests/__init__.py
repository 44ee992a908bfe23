"""What asks for a run, and the cancellation of a request."""
