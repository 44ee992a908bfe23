"""Starts with one API key: which resource of the start queue may start now.

The start queue (start_queue.py) is the order. When a start becomes free, the resources at its head
are triggered one after the other. A free start is kept for the first for PATIENCE seconds: the
first may not come, because its baseline poll hangs or all of its namespace is held up. With a start
that is free at 10:00:00:

    from        a start is granted to
    10:00:00    the first resource, which has a wake-up for this time
    10:00:05    the first two
    10:00:10    the first three ...

Times are monotonic seconds, given by the caller.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.scheduling.queue_positions import Position, Positions
from scriptix_operator.core.scheduling.quota_view import QuotaView
from scriptix_operator.core.scheduling.start_queue import QueueEntry, QueueSnapshot, StartQueue
from scriptix_operator.core.scheduling.wake_up import WakeUp

__all__ = ["QueuePosition", "StartScheduler"]

PATIENCE = 5.0
"""Seconds for which a free start is kept for the next resource, before the one behind may start."""
EXPECTED = 8
"""So many resources at the head of the queue are triggered when a start becomes free: some may be
held up, for example all of one namespace."""
REFRESH = 600.0
"""Longest time, in seconds, until a waiting resource asks for its position again."""


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """The wait of a resource in the start queue."""

    position: Position | None
    """The position to report; None: there is none until the next snapshot."""
    start_in: float
    """Seconds until the quota is expected to allow the start."""
    ask_in: float
    """Seconds until asking again makes sense, unless the resource is triggered earlier."""


class StartScheduler:
    """The order of the starts of a key.

    Args:
        quota: When starts fit.
    """

    def __init__(self, quota: QuotaView) -> None:
        self._quota = quota
        self._queue = StartQueue()
        self._expected: dict[TrainingKey, float] = {}
        """The resources at the head of the queue, and the time of each wake-up."""
        self._free_at = math.inf
        """When a start becomes, or has become, free for the next resource."""
        self._positions = Positions()

    def __contains__(self, key: TrainingKey) -> bool:
        return key in self._queue

    def __len__(self) -> int:
        return len(self._queue)

    def expected_starts(self, now: float) -> Iterator[tuple[TrainingKey, float]]:
        """All queued resources in order, each with the seconds until its expected start."""
        for ahead, key in enumerate(self._order(now)):
            yield key, self._quota.wait(now, ahead)

    def join(self, queue_entry: QueueEntry, now: float) -> list[WakeUp]:
        """Join the queue, or replace the queue entry; returns wake-ups."""
        self._queue.join(queue_entry)
        return self.advance(now)

    def wait(self, key: TrainingKey, now: float) -> QueuePosition | None:
        """The wait of a queued resource; None: the resource may start now."""
        ahead = self._order(now).index(key)
        start_in = self._quota.wait(now, ahead)
        is_free = start_in <= 0 or now >= self._free_at + PATIENCE * ahead
        if is_free and not self._is_held:
            return None
        expected_in = self._expected.get(key, now) - now
        ask_in = min(start_in or PATIENCE, expected_in if expected_in > 0 else REFRESH, REFRESH)
        position = self._positions.of(key)
        if position is None:
            ask_in = min(ask_in, self._positions.due_in(now))
        return QueuePosition(position, start_in, ask_in)

    def leave(self, key: TrainingKey) -> None:
        """Leave the queue."""
        self._queue.leave(key)
        self._positions.forget(key)

    def restart_patience(self) -> None:
        """A start was granted: the patience with the next resource begins at the next free time."""
        self._free_at = math.inf

    def expect_again(self) -> None:
        """Trigger the head of the queue again: the earlier wake-ups had no effect."""
        self._expected = {}

    def advance(self, now: float) -> list[WakeUp]:
        """Expect the resources at the head of the queue when a start is free.

        Returns:
            Wake-ups: for each resource that is expected at a new time, one after the other, and for
            those that report a new position.
        """
        wake_ups = self.update_positions(now)
        head = () if self._is_held else self._order(now).first(EXPECTED)
        wait = self._quota.wait(now)
        # The patience with a resource begins when the resource becomes the next one.
        is_new = head[:1] != tuple(self._expected)[:1]
        self._free_at = now + wait if wait > 0 or is_new else min(self._free_at, now)
        before = self._expected
        self._expected = {key: self._free_at + PATIENCE * n for n, key in enumerate(head)}
        new = [WakeUp(key, at) for key, at in self._expected.items() if before.get(key) != at]
        return wake_ups + new

    def update_positions(self, now: float) -> list[WakeUp]:
        """Take a snapshot of the positions once due; returns wake-ups of those that report it."""
        return self._positions.update(self._order(now), now)

    @property
    def _is_held(self) -> bool:
        """Whether starts go one at a time, until a whole window was accepted.

        Then a single refusal is enough to observe the limit.
        """
        return self._quota.in_flight > 0 and not self._quota.is_proved

    def _order(self, now: float) -> QueueSnapshot:
        return self._queue.order(self._quota.calls_by_tag(now))
