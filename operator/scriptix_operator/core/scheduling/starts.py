"""Starts with one API key: the queue of those that could start now, and whose turn it is.

Times are monotonic seconds, given by the caller.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scriptix_operator.core.model.remote import CallFailure, RateLimitInfo
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limiter import RateLimiter
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.sublimiter import SubLimit
from scriptix_operator.core.ratelimit.window import PastCall, Permit
from scriptix_operator.core.scheduling.polls import WakeUp
from scriptix_operator.core.scheduling.queue_positions import Position, Positions
from scriptix_operator.core.scheduling.start_queue import QueueEntry, QueueSnapshot, StartQueue

__all__ = ["QueuePosition", "Starts"]

LATE_PART = 0.2
"""Of the allowance, for starts that were lost again and again: what is wrong with one model must
not use up what the others could start with."""
PATIENCE = 5.0
"""Seconds for which a free start is kept for whoever is next, before the one behind may have it."""
EXPECTED = 8
"""So many of those who are next are expected when a start becomes free: some may be held up, all
of one namespace for instance."""
REFRESH = 600.0
"""Seconds between looks at one's place, at most."""


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """A wait in the start queue."""

    position: Position | None
    """To report; None: there is none until the next snapshot."""
    start_in: float
    """Seconds until the allowance is expected to reach it."""
    ask_in: float
    """Seconds until it is worth asking again, unless it is woken earlier."""


class Starts:
    """The starts of a key.

    Args:
        limits: As configured.
        wake_ups: Takes up who is expected when.
    """

    def __init__(self, limits: Sequence[Limit], wake_ups: list[WakeUp]) -> None:
        self.limiter = RateLimiter(limits)
        self._late = SubLimit(self.limiter, LATE_PART)
        self._queue = StartQueue()
        self._wake_ups = wake_ups
        self._expected: dict[TrainingKey, float] = {}
        """Those who are next, and when each was told to come."""
        self._free_at = math.inf
        """When a start is, or has become, free for whoever is next."""
        self._positions = Positions(wake_ups)

    def ask(self, queue_entry: QueueEntry, now: float) -> QueuePosition | None:
        """Ask for a start on behalf of a resource that could start now.

        Returns:
            Its place in the queue, where it is from now on; None: it is its turn.
        """
        self._queue.join(queue_entry)
        ahead = self._expect(now).index(queue_entry.key)
        start_in = self.limiter.wait(now, ahead)
        is_free = start_in <= 0 or now >= self._free_at + PATIENCE * ahead
        if queue_entry.is_late:
            late_in = self._late.wait(now)
            start_in, is_free = max(start_in, late_in), is_free and late_in <= 0
        if is_free and not self._is_held:
            # It is here already: woken once more, it would ask once more.
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
        """Spend a start for a resource whose turn it is."""
        self._leave(queue_entry.key)
        permit = self.limiter.acquire(now, queue_entry.key.namespace)
        if queue_entry.is_late:
            self._late.acquire(permit)
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
        """Count a start that was answered; returns whether that taught something of the limits."""
        self._late.answered(permit, now, failure)
        has_observed_limit = self.limiter.answered(permit, now, failure, rate_info)
        self._expect(now)
        return has_observed_limit

    def cancel(self, permit: Permit, now: float) -> None:
        """Take back a start that was not sent."""
        self._late.cancel(permit)
        self.limiter.cancel(permit, now)
        self._expect(now)

    def recall(self, spent: Iterable[PastCall], late: Iterable[PastCall]) -> None:
        """Count starts that were made before: all of them, and those of them that were late."""
        self.limiter.recall(spent)
        self._late.recall(late)

    def leave(self, key: TrainingKey, now: float) -> None:
        """Wait no more."""
        if key in self._queue:
            self._leave(key)
            self._expect(now)

    def advance(self, now: float) -> None:
        """Have those who are next report their positions; nobody may be there to ask."""
        self._positions.update(self._order(now), now)

    def __contains__(self, key: TrainingKey) -> bool:
        return key in self._queue

    def __len__(self) -> int:
        return len(self._queue)

    def renew_expectations(self, now: float) -> None:
        """Expect those who are next once more: they have come in vain."""
        self._expected = {}
        self._expect(now)

    def _leave(self, key: TrainingKey) -> None:
        self._queue.leave(key)
        self._positions.forget(key)

    @property
    def _is_held(self) -> bool:
        """Until a whole window was let through, one at a time: a single refusal has to teach."""
        return self.limiter.in_flight > 0 and not self.limiter.is_proved

    def _order(self, now: float) -> QueueSnapshot:
        may_be_late = self._late.wait(now) <= 0
        return self._queue.order(self.limiter.calls_by_tag(now), late=may_be_late)

    def _expect(self, now: float) -> QueueSnapshot:
        """Expect those who are next when a start is free, each a little later than the other.

        Returns:
            The present order.
        """
        wait, order = self.limiter.wait(now), self._order(now)
        self._positions.update(order, now)
        next_ones = () if self._is_held else order.first(EXPECTED)
        # Whoever is next has its time to come from when it is next.
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
