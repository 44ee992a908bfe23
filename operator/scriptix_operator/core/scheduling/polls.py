"""Status polls with one API key: how many, in which order, and how often.

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
    """Why a poll is made."""

    RESOLUTION = "resolution"
    """To determine the outcome of a start, or the results of a run that has ended."""
    BASELINE = "baseline"
    """The last poll before a start."""
    RUNNING = "running"
    """To follow a run."""
    WAITING = "waiting"
    """For a model that cannot be started yet, or that was not polled yet."""


SHARES = {
    PollPriority.RESOLUTION: 0.2,
    PollPriority.BASELINE: 0.2,
    PollPriority.RUNNING: 0.4,
    PollPriority.WAITING: 0.2,
}
"""The guaranteed share of each priority, however many polls of other priorities are wanted."""


class PollRequest(NamedTuple):
    """The polls that a resource requests."""

    kind: PollPriority
    interval: float | None
    """The requested poll interval in seconds; None: a single poll."""
    speed_up: float = 1.0
    """How many times as many polls for now, near the estimated completion."""


class WakeUp(NamedTuple):
    """A resource that is to ask again, and when."""

    key: TrainingKey
    at: float


class PollScheduler:
    """The status calls of a key.

    Args:
        limits: The configured limits.
        wake_ups: The list to add wake-ups to.
    """

    def __init__(self, limits: Sequence[Limit], wake_ups: list[WakeUp]) -> None:
        self.limiter = RateLimiter(limits, evenly=True)
        self._wake_ups = wake_ups
        self._queue = FairQueue[TrainingKey, PollPriority](SHARES)
        self._rates = PollRates[TrainingKey, PollPriority](SHARES)

    def ask(self, key: TrainingKey, poll_request: PollRequest, now: float) -> Permit | float:
        """Ask for a poll.

        Returns:
            The permit; or seconds until asking again makes sense, unless a wake-up comes earlier.
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
            # In case the resource is never dispatched: the time in which all are.
            return max(len(self._queue) / self.limiter.rate(now), DISPATCH_TIMEOUT)
        wait = max(granted_at - now, self.limiter.wait(now))
        if wait > 0:  # the dispatch is for later, or the limit is stricter than at the dispatch
            self._queue.put_off(key, now + wait)
            return wait
        self._queue.leave(key)
        permit = self.limiter.acquire(now)
        self._call(now)
        # The resource polls now: another wake-up would cause another poll.
        self._wake_ups[:] = [wake_up for wake_up in self._wake_ups if wake_up.key != key]
        return permit

    def answered(
        self,
        permit: Permit,
        now: float,
        failure: CallFailure | None = None,
        rate_info: RateLimitInfo | None = None,
    ) -> bool:
        """Count an answered poll; returns whether the observed limits have changed."""
        has_observed_limit = self.limiter.complete(permit, now, failure, rate_info)
        self._call(now)
        return has_observed_limit

    def interval_ratio(self, kind: PollPriority, now: float) -> float:
        """Requested over granted poll rate of a priority."""
        return self._rates.interval_ratio(kind, self.limiter.rate(now))

    def granted_interval(self, kind: PollPriority, now: float) -> GrantedInterval:
        """What is granted of the requested poll intervals."""
        return self._rates.granted_interval(kind, self.limiter.rate(now))

    def cancel(self, key: TrainingKey) -> None:
        """Cancel the requested poll."""
        self._queue.leave(key)

    def leave(self, key: TrainingKey, now: float) -> None:
        """Remove a resource that requests no polls any more."""
        self.finish(key, now, awaits_poll=False, is_regular=False)

    def finish(self, key: TrainingKey, now: float, *, awaits_poll: bool, is_regular: bool) -> None:
        """Record the end of a reconcile.

        Args:
            key: The resource.
            now: The time.
            awaits_poll: The resource waits in the queue for a poll.
            is_regular: The resource is polled at intervals.
        """
        if not awaits_poll:
            self.cancel(key)
        if not is_regular:
            self._rates.leave(key)
        self._call(now)

    def tick(self, now: float) -> None:
        """Dispatch the next resource if a dispatched one has not called, without anyone asking."""
        self._call(now)

    def _call(self, now: float) -> None:
        """Dispatch all resources that may poll now, and one for the next free time."""
        self._queue.drop_missed(now)
        while not self._queue.is_expecting(now):
            at = now + self.limiter.wait(now, ahead=self._queue.called)
            key = self._queue.call(at)
            if key is None:
                return
            self._wake_ups.append(WakeUp(key, at))
