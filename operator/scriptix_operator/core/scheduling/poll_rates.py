"""Max-min fair division of the poll rate of an API key.

Resources that request more polls than fit get the interval that is left for all; resources that
request fewer get those. No resource gets fewer polls because another requests more.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

from scriptix_operator.core.scheduling.poll_interval import GrantedInterval

__all__ = ["PollRates"]

K = TypeVar("K", bound=Hashable)
"""The key of a resource that asks."""
C = TypeVar("C", bound=Hashable)
"""The kind of a call."""

CLOSER = 0.2
"""Part of a kind's polls, where not all fit, for runs near their estimated completion, at most. The
intervals of the other polls are longer by a quarter at most because of them."""


class PollRates(Generic[K, C]):
    """The requested poll intervals, and what is granted of them.

    Args:
        shares: The guaranteed part of the whole rate for each poll priority; together 1.
    """

    def __init__(self, shares: Mapping[C, float]) -> None:
        self._shares = dict(shares)
        self._wanted: dict[K, tuple[C, float, float]] = {}
        # By kind and interval of two digits: however many resources, there are few of these.
        self._counts: defaultdict[C, Counter[float]] = defaultdict(Counter)
        self._more: defaultdict[C, dict[float, float]] = defaultdict(dict)
        """Wanted polls beyond the regular ones, as multiples of these."""

    def wants(self, key: K, kind: C, interval: float, speed_up: float = 1.0) -> None:
        """Request a poll each `interval` seconds, and for now `speed_up` times as many."""
        interval = float(f"{interval:.2g}")
        if self._wanted.get(key) == (kind, interval, speed_up):
            return
        self.leave(key)
        self._wanted[key] = kind, interval, speed_up
        self._counts[kind][interval] += 1
        more = self._more[kind]
        more[interval] = more.get(interval, 0.0) + speed_up - 1

    def leave(self, key: K) -> None:
        """Remove the requests of a resource."""
        if key not in self._wanted:
            return
        kind, interval, speed_up = self._wanted.pop(key)
        counts, more = self._counts[kind], self._more[kind]
        counts[interval] -= 1
        more[interval] -= speed_up - 1
        if not counts[interval]:  # drops rounding errors, too
            del counts[interval], more[interval]

    def granted_interval(self, kind: C, rate: float) -> GrantedInterval:
        """What is granted of the intervals of a poll priority.

        Args:
            kind: The poll priority.
            rate: Polls a second that the key allows, of all priorities.
        """
        room = self._room(kind, rate)
        counts, more = self._counts[kind], self._more[kind]
        floor = min(_floor(self._whole(kind), room), _floor(counts, room * (1 - CLOSER)))
        wanted = _rate(more, floor)
        left = max(room - _rate(counts, floor), 0.0)
        return GrantedInterval(floor, left / wanted if wanted > left else 1.0)

    def interval_ratio(self, kind: C, rate: float) -> float:
        """Requested over granted rate of regular polls; 1: all are granted.

        Args:
            kind: The poll priority.
            rate: Polls a second that the key allows, of all priorities.
        """
        counts = self._counts[kind]
        if not counts:
            return 1.0
        return _rate(counts) / _rate(counts, self.granted_interval(kind, rate).floor)

    def _whole(self, kind: C) -> dict[float, float]:
        more = self._more[kind]
        return {interval: count + more[interval] for interval, count in self._counts[kind].items()}

    def _room(self, kind: C, rate: float) -> float:
        """Polls a second of a priority: its share, and what the others leave of theirs."""
        rates = {one: _rate(self._whole(one)) for one in self._shares}
        left, shares = rate, sum(self._shares.values())
        # The priority with the least demand for its share first: what it leaves is the others'.
        order = sorted(self._shares, key=lambda one: rates[one] / self._shares[one])
        for other in order[: order.index(kind)]:
            left -= min(rates[other], left * self._shares[other] / shares)
            shares -= self._shares[other]
        return left * self._shares[kind] / shares


def _rate(wanted: Mapping[float, float], floor: float = 0.0) -> float:
    """Polls a second, where no interval is shorter than `floor`."""
    return sum(count / max(interval, floor) for interval, count in wanted.items())


def _floor(wanted: Mapping[float, float], rate: float) -> float:
    """The shortest interval with which all polls fit; 0: all fit as requested."""
    if _rate(wanted) <= rate:
        return 0.0
    below, left = float(sum(wanted.values())), rate
    # The longest first: it is granted if the rest gives the others a shorter interval.
    for interval in sorted(wanted, reverse=True):
        if below >= interval * left:
            break
        below -= wanted[interval]
        left -= wanted[interval] / interval
    return below / left
