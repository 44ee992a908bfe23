"""The decisions, pure: no I/O, no clock, no randomness. `decide` is the entry."""
