"""Proof by crash injection that each start happens once (DESIGN §4)."""
