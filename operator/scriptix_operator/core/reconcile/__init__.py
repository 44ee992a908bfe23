"""The vocabulary of `decide`: observations, actions, decisions, and the context of one reconcile."""
