"""Max-min fairness by water-filling: the division of the poll rate of an API key.

Each requested poll rate is a tank. Water, the rate that the key allows, is poured in until it is
used up; the level is the same in all tanks that are not full. A resource that requests few polls is
granted them, and all others get the same rate: the *shortest interval*, as an interval. No resource
gets fewer polls because another one requests more.

    polls a minute         requested         granted, if 1.6 a minute are allowed
    1.0   ####  ####                         level 0.7:   ####  ####
    0.2   ####  ####  ####                                ####  ####  ####
           a     b     c                                   a     b     c

Here `a` and `b` request a poll each minute, and `c` one every five minutes. `c` is granted its 0.2;
the remaining 1.4 are 0.7 each for `a` and `b`, so the shortest interval is 86 seconds.

The rate is divided twice: between the poll priorities, by their shares, and then within each.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

from scriptix_operator.core.scheduling.poll_interval import GrantedInterval

__all__ = ["PollRates"]

K = TypeVar("K", bound=Hashable)
"""The key of a resource."""
C = TypeVar("C", bound=Hashable)
"""A poll priority."""

EXTRA_PART = 0.2
"""Part of a priority's polls, where not all fit, for runs near their estimated completion, at most.
The intervals of the other polls are longer by a quarter at most because of them."""


class PollRates(Generic[K, C]):
    """The requested poll intervals, and what is granted of them.

    Args:
        shares: The guaranteed part of the whole rate for each poll priority; together 1.
    """

    def __init__(self, shares: Mapping[C, float]) -> None:
        self._shares = dict(shares)
        self._requests: dict[K, tuple[C, float, float]] = {}
        # By priority and interval of two digits: however many resources, there are few of these.
        self._counts: defaultdict[C, Counter[float]] = defaultdict(Counter)
        self._extra: defaultdict[C, dict[float, float]] = defaultdict(dict)
        """Requested polls beyond the regular ones, as multiples of these."""

    def request(self, key: K, priority: C, interval: float, speed_up: float = 1.0) -> None:
        """Request a poll each `interval` seconds, and for now `speed_up` times as many."""
        interval = float(f"{interval:.2g}")
        if self._requests.get(key) == (priority, interval, speed_up):
            return
        self.leave(key)
        self._requests[key] = priority, interval, speed_up
        self._counts[priority][interval] += 1
        extra = self._extra[priority]
        extra[interval] = extra.get(interval, 0.0) + speed_up - 1

    def leave(self, key: K) -> None:
        """Remove the request of a resource."""
        if key not in self._requests:
            return
        priority, interval, speed_up = self._requests.pop(key)
        counts, extra = self._counts[priority], self._extra[priority]
        counts[interval] -= 1
        extra[interval] -= speed_up - 1
        if not counts[interval]:  # drops rounding errors, too
            del counts[interval], extra[interval]

    def granted_interval(self, priority: C, rate: float) -> GrantedInterval:
        """What is granted of the intervals of a poll priority.

        Args:
            priority: The poll priority.
            rate: Polls a second that the key allows, of all priorities.
        """
        available = self._available_rate(priority, rate)
        regular, extra = self._counts[priority], self._extra[priority]
        shortest = min(
            _shortest_interval(self._all_polls(priority), available),
            _shortest_interval(regular, available * (1 - EXTRA_PART)),
        )
        requested = _rate(extra, shortest)
        left = max(available - _rate(regular, shortest), 0.0)
        return GrantedInterval(shortest, left / requested if requested > left else 1.0)

    def interval_ratio(self, priority: C, rate: float) -> float:
        """Requested over granted rate of regular polls; 1: all are granted.

        Args:
            priority: The poll priority.
            rate: Polls a second that the key allows, of all priorities.
        """
        counts = self._counts[priority]
        if not counts:
            return 1.0
        return _rate(counts) / _rate(counts, self.granted_interval(priority, rate).shortest)

    def _all_polls(self, priority: C) -> dict[float, float]:
        extra = self._extra[priority]
        counts = self._counts[priority].items()
        return {interval: count + extra[interval] for interval, count in counts}

    def _available_rate(self, priority: C, rate: float) -> float:
        """Polls a second of a priority: its share, and what the others leave of theirs."""
        rates = {one: _rate(self._all_polls(one)) for one in self._shares}
        left, shares = rate, sum(self._shares.values())
        # The priority with the least demand for its share first: what it leaves is the others'.
        order = sorted(self._shares, key=lambda one: rates[one] / self._shares[one])
        for other in order[: order.index(priority)]:
            left -= min(rates[other], left * self._shares[other] / shares)
            shares -= self._shares[other]
        return left * self._shares[priority] / shares


def _rate(requested: Mapping[float, float], shortest: float = 0.0) -> float:
    """Polls a second, where no interval is shorter than `shortest`."""
    return sum(count / max(interval, shortest) for interval, count in requested.items())


def _shortest_interval(requested: Mapping[float, float], rate: float) -> float:
    """The shortest interval with which all polls fit; 0: all fit as requested.

    The water level is one over this interval.
    """
    if _rate(requested) <= rate:
        return 0.0
    polls, left = float(sum(requested.values())), rate
    # The longest interval first: it is granted if the rest gives the others a shorter one.
    for interval in sorted(requested, reverse=True):
        if polls >= interval * left:
            break
        polls -= requested[interval]
        left -= requested[interval] / interval
    return polls / left
