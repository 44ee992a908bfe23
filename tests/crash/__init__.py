"""Proof by crash injection that each start happens once (docs/start-protocol.md)."""
