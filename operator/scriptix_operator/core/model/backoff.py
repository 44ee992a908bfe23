"""Exponential backoff: waits that double each time, up to a bound."""

__all__ = ["backoff"]

MAX_DOUBLINGS = 64
"""Every bound is reached with so many doublings, and a float would overflow with far more."""


def backoff(first: float, doublings: int, most: float) -> float:
    """`first` seconds, doubled `doublings` times, but at most `most`."""
    return min(first * 2.0 ** min(max(doublings, 0), MAX_DOUBLINGS), most)
