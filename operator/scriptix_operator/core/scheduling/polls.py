"""Looks at models with one API key: how many, whose turn it is, and how often it comes.

Times are monotonic seconds, given by the caller.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from scriptix_operator.core.model.remote import CallFailure, RateLimitInfo
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limiter import RateLimiter
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.window import Permit
from scriptix_operator.core.scheduling.fair_queue import DISPATCH_TIMEOUT, FairQueue
from scriptix_operator.core.scheduling.poll_interval import GrantedInterval
from scriptix_operator.core.scheduling.poll_rates import PollRates

__all__ = ["PollPriority", "PollRequest", "PollScheduler", "WakeUp"]


class PollPriority(StrEnum):
    """What a look is for."""

    RESOLUTION = "resolution"
    """To learn what came of a start, or with which results a run has ended."""
    BASELINE = "baseline"
    """The last look before a start."""
    RUNNING = "running"
    """A run that is followed."""
    WAITING = "waiting"
    """A model that cannot be started yet, or that nobody has looked at."""


SHARES = {
    PollPriority.RESOLUTION: 0.2,
    PollPriority.BASELINE: 0.2,
    PollPriority.RUNNING: 0.4,
    PollPriority.WAITING: 0.2,
}
"""What each kind is sure of, however many looks of other kinds are wanted."""


class PollRequest(NamedTuple):
    """What looks somebody would like."""

    kind: PollPriority
    interval: float | None
    """Seconds between them; None: this one alone."""
    speed_up: float = 1.0
    """How many times as many just now, near the expected end."""


class WakeUp(NamedTuple):
    """Who is expected, and when."""

    key: TrainingKey
    at: float


class PollScheduler:
    """The status calls of a key.

    Args:
        limits: As configured.
        wake_ups: Takes up who is expected when.
    """

    def __init__(self, limits: Sequence[Limit], wake_ups: list[WakeUp]) -> None:
        self.limiter = RateLimiter(limits, evenly=True)
        self._wake_ups = wake_ups
        self._queue = FairQueue[TrainingKey, PollPriority](SHARES)
        self._rates = PollRates[TrainingKey, PollPriority](SHARES)

    def ask(self, key: TrainingKey, poll_request: PollRequest, now: float) -> Permit | float:
        """Ask for a look.

        Returns:
            The call; or seconds until it is worth asking again, unless it is expected earlier.
        """
        if poll_request.interval is None:
            self._rates.leave(key)
        else:
            self._rates.wants(key, poll_request.kind, poll_request.interval, poll_request.speed_up)
        self._queue.drop_missed(now)
        self._queue.ask(key, poll_request.kind)
        self._call(now)
        granted_at = self._queue.called_for(key)
        if granted_at is None:
            # For the case that it is never called: the time in which all are.
            return max(len(self._queue) / self.limiter.rate(now), DISPATCH_TIMEOUT)
        wait = max(granted_at - now, self.limiter.wait(now))
        if wait > 0:  # or less is allowed than when it was called
            self._queue.put_off(key, now + wait)
            return wait
        self._queue.leave(key)
        permit = self.limiter.acquire(now)
        self._call(now)
        # It is here already: woken once more, it would look once more.
        self._wake_ups[:] = [wake_up for wake_up in self._wake_ups if wake_up.key != key]
        return permit

    def answered(
        self,
        permit: Permit,
        now: float,
        failure: CallFailure | None = None,
        rate_info: RateLimitInfo | None = None,
    ) -> bool:
        """Count a look that was answered; returns whether that taught something of the limits."""
        has_observed_limit = self.limiter.answered(permit, now, failure, rate_info)
        self._call(now)
        return has_observed_limit

    def interval_ratio(self, kind: PollPriority, now: float) -> float:
        """How many times as many looks of a kind are asked for as can be made."""
        return self._rates.interval_ratio(kind, self.limiter.rate(now))

    def granted_interval(self, kind: PollPriority, now: float) -> GrantedInterval:
        """What can be kept of the intervals that are asked for."""
        return self._rates.granted_interval(kind, self.limiter.rate(now))

    def cancel(self, key: TrainingKey) -> None:
        """Do without the look that was asked for."""
        self._queue.leave(key)

    def leave(self, key: TrainingKey, now: float) -> None:
        """Want no looks any more."""
        self.finish(key, now, awaits_poll=False, is_regular=False)

    def finish(self, key: TrainingKey, now: float, *, awaits_poll: bool, is_regular: bool) -> None:
        """Take note that a step is over.

        Args:
            key: Whose.
            now: The time.
            awaits_poll: It was told to wait for its turn, and does.
            is_regular: It will be looked at at intervals.
        """
        if not awaits_poll:
            self.cancel(key)
        if not is_regular:
            self._rates.leave(key)
        self._call(now)

    def tick(self, now: float) -> None:
        """Call the next, should whoever was called not come; nobody may be there to ask."""
        self._call(now)

    def _call(self, now: float) -> None:
        """Call those whose turn it is, and one more for when it will be."""
        self._queue.drop_missed(now)
        while not self._queue.is_expecting(now):
            at = now + self.limiter.wait(now, ahead=self._queue.called)
            key = self._queue.call(at)
            if key is None:
                return
            self._wake_ups.append(WakeUp(key, at))
