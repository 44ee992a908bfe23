"""A run that is under way: what a poll of the model says of it, and what happens at its end."""
