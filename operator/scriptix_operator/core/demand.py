"""How often each resource is looked at where not all can be as often as they ask for."""

from collections import defaultdict
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

__all__ = ["Demand"]

K = TypeVar("K", bound=Hashable)
"""What tells those who ask apart."""
C = TypeVar("C", bound=Hashable)
"""The kinds of calls."""


class Demand(Generic[K, C]):
    """The intervals that are asked for, and what they are stretched to.

    Args:
        shares: The part of the whole rate that each kind of look is sure of; together 1.
    """

    def __init__(self, shares: Mapping[C, float]) -> None:
        self._shares = dict(shares)
        self._wanted: dict[K, tuple[C, float]] = {}
        self._rates: defaultdict[C, float] = defaultdict(float)
        """Looks a second that are asked for, by kind."""
        self._counts: defaultdict[C, int] = defaultdict(int)

    def wants(self, key: K, kind: C, interval: float) -> None:
        """Ask for a look each `interval` seconds."""
        if self._wanted.get(key) == (kind, interval):
            return
        self.leave(key)
        self._wanted[key] = kind, interval
        self._rates[kind] += 1 / interval
        self._counts[kind] += 1

    def leave(self, key: K) -> None:
        """Ask for nothing any more."""
        if key not in self._wanted:
            return
        kind, interval = self._wanted.pop(key)
        self._counts[kind] -= 1
        # None left: no rest of rounding either.
        self._rates[kind] = self._rates[kind] - 1 / interval if self._counts[kind] else 0.0

    def stretch(self, kind: C, rate: float) -> float:
        """By what all intervals of a kind are multiplied so that they fit; 1 where they do.

        Args:
            kind: Of look.
            rate: Looks a second that the key allows, of all kinds.
        """
        left, shares = rate, sum(self._shares.values())
        # Who wants least for its share comes first: what it leaves is the others'.
        order = sorted(self._shares, key=lambda one: self._rates[one] / self._shares[one])
        for other in order[: order.index(kind)]:
            left -= min(self._rates[other], left * self._shares[other] / shares)
            shares -= self._shares[other]
        return max(self._rates[kind] / (left * self._shares[kind] / shares), 1.0)
