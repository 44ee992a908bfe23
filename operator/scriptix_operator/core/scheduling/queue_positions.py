"""The queue positions that resources report: all from one snapshot of the start queue.

Each resource writes its own status, so positions read at different times contradict each other. A
snapshot is taken a few seconds after a change, so that a wait that is over by then is not reported.
Times are monotonic seconds, given by the caller.
"""

import math
from itertools import islice, takewhile
from typing import NamedTuple

from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.scheduling.start_queue import QueueSnapshot
from scriptix_operator.core.scheduling.wake_up import WakeUp

__all__ = ["FIRST", "INTERVAL", "SETTLING", "Position", "Positions"]

FIRST = 50
"""Resources at the head of the queue that report each snapshot at once. Resources behind them
report it when they are due: a start moves all of them, and each position is a status write."""
SETTLING = 5.0
"""Seconds from a change of the queue to the snapshot."""
INTERVAL = 30.0
"""Least seconds between two snapshots."""


class Position(NamedTuple):
    """A position in the start queue."""

    number: int
    """1 is next."""
    of: int
    """Length of the queue."""


class Positions:
    """The latest snapshot of a start queue."""

    def __init__(self) -> None:
        self._order: QueueSnapshot | None = None
        """The order at the snapshot; the queue makes another one with each change."""
        self._positions: dict[TrainingKey, Position] = {}
        self._due_at: float | None = None
        """When the next snapshot is due; None: nothing has changed."""
        self._snapshot_at = -math.inf

    def of(self, key: TrainingKey) -> Position | None:
        """The position at the snapshot; None: the resource has joined the queue since."""
        return self._positions.get(key)

    def forget(self, key: TrainingKey) -> None:
        """Forget a resource that has left the queue: it may join again."""
        self._positions.pop(key, None)

    def due_in(self, now: float) -> float:
        """Seconds until the next snapshot; infinite while nothing has changed."""
        return math.inf if self._due_at is None else max(self._due_at - now, 0.0)

    def update(self, order: QueueSnapshot, now: float) -> list[WakeUp]:
        """Take a snapshot of `order` once due.

        Returns:
            A wake-up for each resource that reports its new position at once.
        """
        if order is self._order:
            return []
        if self._due_at is None:
            self._due_at = max(now + SETTLING, self._snapshot_at + INTERVAL)
        if now < self._due_at:
            return []
        before, length = self._positions, len(order)
        self._order, self._snapshot_at, self._due_at = order, now, None
        self._positions = {key: Position(n, length) for n, key in enumerate(order, start=1)}
        # A resource that has left the head must not keep a position that another resource has now.
        first_before = takewhile(lambda item: item[1].number <= FIRST, before.items())
        overtaken = (key for key, _ in first_before if key in order)
        first = dict.fromkeys((*islice(self._positions, FIRST), *overtaken))
        return [WakeUp(key, now) for key in first if self._positions[key] != before.get(key)]
