"""What status shows: phase, conditions, messages, failures, events, quality gate, result."""
