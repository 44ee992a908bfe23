"""The vocabulary of `decide`: observations, actions, decisions, the context of a reconcile."""
