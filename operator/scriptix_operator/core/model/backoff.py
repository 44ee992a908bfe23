"""Waits that grow: doubled each time, up to a bound."""

__all__ = ["backoff"]

MAX_DOUBLINGS = 64
"""Beyond it every bound is reached, and a float would overflow in the end."""


def backoff(first: float, doublings: int, most: float) -> float:
    """`first` seconds, doubled `doublings` times, but at most `most`."""
    return min(first * 2.0 ** min(max(doublings, 0), MAX_DOUBLINGS), most)
