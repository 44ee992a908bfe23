"""Telling those who wait in the start queue that their places have changed.

Times are monotonic seconds, given by the caller.
"""

import math
from collections.abc import Iterator
from itertools import chain

from scriptix_operator.core.looks import Wake
from scriptix_operator.core.startqueue import Order
from scriptix_operator.core.training import TrainingKey

__all__ = ["Announcements"]

DURATION, DURATION_EACH = 5.0, 0.05
"""Seconds over which all are told that places have changed, and of that for each that waits: many
changes are told at once, and a long queue is not woken in one moment."""
AHEAD = 15.0
"""Seconds by which they are woken ahead; whoever looks at its place has the next ones woken. All
at once, thousands of them would hold up everybody else."""


class Announcements:
    """Has all of a queue look at their places, one after the other.

    Args:
        wakes: Takes up who is to look when.
    """

    def __init__(self, wakes: list[Wake]) -> None:
        self._wakes = wakes
        self._announced: Order | None = None
        """The order that all were told of, or will be."""
        self._begin, self._end = -math.inf, -math.inf
        """When that begins and ends."""
        self._coming: Iterator[Wake] = iter(())
        """Who is to look after `_next`."""
        self._next: Wake | None = None
        """Whoever is to look next and was not told so yet."""

    def joined(self, key: TrainingKey, now: float) -> None:
        """Have one look that is in no announcement yet: others may come before it meanwhile."""
        self._wakes.append(Wake(key, max(now, self._end) + DURATION))

    def changed(self, order: Order, now: float) -> None:
        """Tell an order, after the one that is being told."""
        if len(order) and order is not self._announced and now >= self._begin:
            begin = max(now, self._end)
            duration = DURATION + DURATION_EACH * len(order)
            self._announced = order
            self._begin, self._end = begin, begin + duration
            self._coming = chain(self._coming, _spread(order, begin, duration))
        self._next = self._next or next(self._coming, None)
        while self._next is not None and self._next.at <= now + AHEAD:
            if self._next.key in order:
                self._wakes.append(self._next)
            self._next = next(self._coming, None)


def _spread(order: Order, begin: float, duration: float) -> Iterator[Wake]:
    keys, each = iter(order), duration / len(order)
    return (Wake(key, begin + each * place) for place, key in enumerate(keys, start=1))
