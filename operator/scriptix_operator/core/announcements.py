"""Telling those who wait in the start queue that their places have changed.

Times are monotonic seconds, given by the caller.
"""

import math

from scriptix_operator.core.looks import Wake
from scriptix_operator.core.startqueue import Order
from scriptix_operator.core.training import TrainingKey

__all__ = ["Announcements"]

DURATION, DURATION_EACH = 5.0, 0.05
"""Seconds over which all are told that places have changed, and of that for each that waits: many
changes are told at once, and a long queue is not woken in one moment."""


class Announcements:
    """Has all of a queue look at their places, one after the other.

    Args:
        wakes: Takes up who is to look when.
    """

    def __init__(self, wakes: list[Wake]) -> None:
        self._wakes = wakes
        self._announced = Order(())
        """The order that all were told of, or will be."""
        self._begin, self._end = -math.inf, -math.inf
        """When that begins and ends."""

    def joined(self, key: TrainingKey, now: float) -> None:
        """Have one look that is in no announcement yet: others may come before it meanwhile."""
        self._wakes.append(Wake(key, max(now, self._end) + DURATION))

    def changed(self, order: Order, now: float) -> None:
        """Tell an order, after the one that is being told."""
        if not len(order) or order is self._announced or now < self._begin:
            return
        begin = max(now, self._end)
        duration = DURATION + DURATION_EACH * len(order)
        self._announced = order
        self._begin, self._end = begin, begin + duration
        self._wakes += [
            Wake(key, begin + duration * (place + 1) / len(order))
            for place, key in enumerate(order)
        ]
