"""What status shows: phase, conditions, messages, failures, events, the quality gate, the result."""
