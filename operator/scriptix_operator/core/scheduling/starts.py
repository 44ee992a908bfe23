"""Starts with one API key: the start queue, and which resource may start now.

Times are monotonic seconds, given by the caller.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scriptix_operator.core.model.remote import CallFailure, RateLimitInfo
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limiter import RateLimiter
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.window import PastCall, Permit
from scriptix_operator.core.scheduling.polls import WakeUp
from scriptix_operator.core.scheduling.queue_positions import Position, Positions
from scriptix_operator.core.scheduling.start_queue import QueueEntry, QueueSnapshot, StartQueue

__all__ = ["QueuePosition", "Starts"]

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


class Starts:
    """The starts of a key.

    Args:
        limits: The configured limits.
        wake_ups: The list to add wake-ups to.
    """

    def __init__(self, limits: Sequence[Limit], wake_ups: list[WakeUp]) -> None:
        self.limiter = RateLimiter(limits)
        self._queue = StartQueue()
        self._wake_ups = wake_ups
        self._expected: dict[TrainingKey, float] = {}
        """The resources at the head of the queue, and the time of each wake-up."""
        self._free_at = math.inf
        """When a start becomes, or has become, free for the next resource."""
        self._positions = Positions(wake_ups)

    def ask(self, queue_entry: QueueEntry, now: float) -> QueuePosition | None:
        """Ask for a start on behalf of a resource that could start now.

        Returns:
            The position in the queue, which the resource has joined; None: it may start now.
        """
        self._queue.join(queue_entry)
        ahead = self._expect(now).index(queue_entry.key)
        start_in = self.limiter.wait(now, ahead)
        is_free = start_in <= 0 or now >= self._free_at + PATIENCE * ahead
        if is_free and not self._is_held:
            # The resource starts now: another wake-up would make it ask again.
            self._wake_ups[:] = [
                wake_up for wake_up in self._wake_ups if wake_up.key != queue_entry.key
            ]
            return None
        expected_in = self._expected.get(queue_entry.key, now) - now
        ask_in = min(start_in or PATIENCE, expected_in if expected_in > 0 else REFRESH, REFRESH)
        position = self._positions.of(queue_entry.key)
        if position is None:
            ask_in = min(ask_in, self._positions.due_in(now))
        return QueuePosition(position, start_in, ask_in)

    def acquire(self, queue_entry: QueueEntry, now: float) -> Permit:
        """Acquire a permit for a resource that may start now."""
        self._leave(queue_entry.key)
        permit = self.limiter.acquire(now, queue_entry.key.namespace)
        self._free_at = math.inf
        self._expect(now)
        return permit

    def answered(
        self,
        permit: Permit,
        now: float,
        failure: CallFailure | None = None,
        rate_info: RateLimitInfo | None = None,
    ) -> bool:
        """Count an answered start; returns whether the observed limits have changed."""
        has_observed_limit = self.limiter.complete(permit, now, failure, rate_info)
        self._expect(now)
        return has_observed_limit

    def cancel(self, permit: Permit, now: float) -> None:
        """Cancel the permit of a start that was not sent."""
        self.limiter.cancel(permit, now)
        self._expect(now)

    def recall(self, spent: Iterable[PastCall]) -> None:
        """Count earlier starts of another process."""
        self.limiter.restore(spent)

    def leave(self, key: TrainingKey, now: float) -> None:
        """Leave the start queue."""
        if key in self._queue:
            self._leave(key)
            self._expect(now)

    def advance(self, now: float) -> None:
        """Take due snapshots of the positions, even while no resource asks."""
        self._positions.update(self._order(now), now)

    def __contains__(self, key: TrainingKey) -> bool:
        return key in self._queue

    def __len__(self) -> int:
        return len(self._queue)

    def renew_expectations(self, now: float) -> None:
        """Trigger the head of the queue again: the earlier wake-ups had no effect."""
        self._expected = {}
        self._expect(now)

    def _leave(self, key: TrainingKey) -> None:
        self._queue.leave(key)
        self._positions.forget(key)

    @property
    def _is_held(self) -> bool:
        """Whether starts go one at a time, until a whole window was accepted.

        Then a single refusal is enough to observe the limit.
        """
        return self.limiter.in_flight > 0 and not self.limiter.is_proved

    def _order(self, now: float) -> QueueSnapshot:
        return self._queue.order(self.limiter.calls_by_tag(now))

    def _expect(self, now: float) -> QueueSnapshot:
        """Wake the head of the queue when a start is free, one resource after the other.

        Returns:
            The present order.
        """
        wait, order = self.limiter.wait(now), self._order(now)
        self._positions.update(order, now)
        next_ones = () if self._is_held else order.first(EXPECTED)
        # The patience with a resource begins when the resource becomes the next one.
        is_new = next_ones[:1] != tuple(self._expected)[:1]
        self._free_at = now + wait if wait > 0 or is_new else min(self._free_at, now)
        before = self._expected
        self._expected = {
            key: self._free_at + PATIENCE * position for position, key in enumerate(next_ones)
        }
        self._wake_ups += [
            WakeUp(key, at) for key, at in self._expected.items() if before.get(key) != at
        ]
        return order
