"""Golden pairs: a resource and what happens, then the status and the events that users see."""
