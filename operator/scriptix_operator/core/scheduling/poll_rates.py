"""How often each resource is looked at where not all can be as often as they ask for.

Whoever asks for more than can be is held to the interval that is left for all; whoever asks for
less gets that. So nobody has fewer looks because another asks for more.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

from scriptix_operator.core.scheduling.poll_interval import GrantedInterval

__all__ = ["PollRates"]

K = TypeVar("K", bound=Hashable)
"""What tells those who ask apart."""
C = TypeVar("C", bound=Hashable)
"""The kinds of calls."""

CLOSER = 0.2
"""Of a kind's looks, where not all fit: for those near an expected end, at most. So the others are
never more than a quarter further apart for them."""


class PollRates(Generic[K, C]):
    """The intervals that are asked for, and what can be kept of them.

    Args:
        shares: The part of the whole rate that each kind of look is sure of; together 1.
    """

    def __init__(self, shares: Mapping[C, float]) -> None:
        self._shares = dict(shares)
        self._wanted: dict[K, tuple[C, float, float]] = {}
        # By kind and interval of two digits: however many resources, there are few of these.
        self._counts: defaultdict[C, Counter[float]] = defaultdict(Counter)
        self._more: defaultdict[C, dict[float, float]] = defaultdict(dict)
        """Looks beyond the regular ones that are wanted, as multiples of these."""

    def wants(self, key: K, kind: C, interval: float, speed_up: float = 1.0) -> None:
        """Ask for a look each `interval` seconds, and for now `closer` times as many."""
        interval = float(f"{interval:.2g}")
        if self._wanted.get(key) == (kind, interval, speed_up):
            return
        self.leave(key)
        self._wanted[key] = kind, interval, speed_up
        self._counts[kind][interval] += 1
        more = self._more[kind]
        more[interval] = more.get(interval, 0.0) + speed_up - 1

    def leave(self, key: K) -> None:
        """Ask for nothing any more."""
        if key not in self._wanted:
            return
        kind, interval, speed_up = self._wanted.pop(key)
        counts, more = self._counts[kind], self._more[kind]
        counts[interval] -= 1
        more[interval] -= speed_up - 1
        if not counts[interval]:  # no rest of rounding either
            del counts[interval], more[interval]

    def granted_interval(self, kind: C, rate: float) -> GrantedInterval:
        """What can be kept of the intervals of a kind.

        Args:
            kind: Of look.
            rate: Looks a second that the key allows, of all kinds.
        """
        room = self._room(kind, rate)
        counts, more = self._counts[kind], self._more[kind]
        floor = min(_floor(self._whole(kind), room), _floor(counts, room * (1 - CLOSER)))
        wanted = _rate(more, floor)
        left = max(room - _rate(counts, floor), 0.0)
        return GrantedInterval(floor, left / wanted if wanted > left else 1.0)

    def interval_ratio(self, kind: C, rate: float) -> float:
        """How many times as many regular looks are asked for as can be made; 1: all can.

        Args:
            kind: Of look.
            rate: Looks a second that the key allows, of all kinds.
        """
        counts = self._counts[kind]
        if not counts:
            return 1.0
        return _rate(counts) / _rate(counts, self.granted_interval(kind, rate).floor)

    def _whole(self, kind: C) -> dict[float, float]:
        more = self._more[kind]
        return {interval: count + more[interval] for interval, count in self._counts[kind].items()}

    def _room(self, kind: C, rate: float) -> float:
        """Looks a second that a kind may have: its share, and what others leave of theirs."""
        rates = {one: _rate(self._whole(one)) for one in self._shares}
        left, shares = rate, sum(self._shares.values())
        # Who wants least for its share comes first: what it leaves is the others'.
        order = sorted(self._shares, key=lambda one: rates[one] / self._shares[one])
        for other in order[: order.index(kind)]:
            left -= min(rates[other], left * self._shares[other] / shares)
            shares -= self._shares[other]
        return left * self._shares[kind] / shares


def _rate(wanted: Mapping[float, float], floor: float = 0.0) -> float:
    """Looks a second, where no interval is shorter than `floor`."""
    return sum(count / max(interval, floor) for interval, count in wanted.items())


def _floor(wanted: Mapping[float, float], rate: float) -> float:
    """The interval under which none may be for all to fit; 0: they do as they are."""
    if _rate(wanted) <= rate:
        return 0.0
    below, left = float(sum(wanted.values())), rate
    # The longest first: it is kept, if what is left for the others gives them a shorter one.
    for interval in sorted(wanted, reverse=True):
        if below >= interval * left:
            break
        below -= wanted[interval]
        left -= wanted[interval] / interval
    return below / left
