"""Status polls with one API key: which resource polls next, and how often each does.

A fair queue (fair_queue.py) orders the polls, and max-min fairness (poll_rates.py) divides their
rate. The rate limiter says when the next poll fits; for that time the next resource is dispatched,
and a wake-up is returned for it:

    resources   a polls, b polls, c waits -> c is dispatched for t+6s, d is next in the queue
    wake-ups                                 (c, t+6s)

Times are monotonic seconds, given by the caller.
"""

from enum import StrEnum
from typing import NamedTuple

from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.scheduling.fair_queue import DISPATCH_TIMEOUT, FairQueue
from scriptix_operator.core.scheduling.poll_interval import GrantedInterval
from scriptix_operator.core.scheduling.poll_rates import PollRates
from scriptix_operator.core.scheduling.quota_view import QuotaView
from scriptix_operator.core.scheduling.wake_up import WakeUp

__all__ = ["PollPriority", "PollRequest", "PollScheduler"]


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

    priority: PollPriority
    interval: float | None
    """The requested poll interval in seconds; None: a single poll."""
    speed_up: float = 1.0
    """How many times as many polls for now, near the estimated completion."""


class PollScheduler:
    """The order and the rates of the polls of a key.

    Args:
        quota: When polls fit.
    """

    def __init__(self, quota: QuotaView) -> None:
        self._quota = quota
        self._queue = FairQueue[TrainingKey, PollPriority](SHARES)
        self._rates = PollRates[TrainingKey, PollPriority](SHARES)

    def join(self, key: TrainingKey, request: PollRequest, now: float) -> list[WakeUp]:
        """Join the queue, or keep the position, and request a poll rate; returns wake-ups."""
        if request.interval is None:
            self._rates.leave(key)
        else:
            self._rates.request(key, request.priority, request.interval, request.speed_up)
        self._queue.drop_missed(now)
        self._queue.join(key, request.priority)
        return self.advance(now)

    def wait(self, key: TrainingKey, now: float) -> float:
        """Seconds until a queued resource is to ask again, unless triggered earlier; 0: it polls.

        A dispatch for a time at which the poll does not fit any more is deferred.
        """
        granted_at = self._queue.dispatched_for(key)
        if granted_at is None:
            # In case the resource is never dispatched: the time in which all are.
            return max(len(self._queue) / self._quota.rate(now), DISPATCH_TIMEOUT)
        wait = max(granted_at - now, self._quota.wait(now))
        if wait > 0:  # the dispatch is for later, or the limit is stricter than at the dispatch
            self._queue.defer(key, now + wait)
        return wait

    def leave(self, key: TrainingKey) -> None:
        """Leave the queue; the requested poll rate stays."""
        self._queue.leave(key)

    def leave_rates(self, key: TrainingKey) -> None:
        """Request no poll rate any more."""
        self._rates.leave(key)

    def advance(self, now: float) -> list[WakeUp]:
        """Dispatch all resources that may poll now, and one for the next free time.

        Returns:
            A wake-up for each dispatched resource.
        """
        wake_ups = []
        self._queue.drop_missed(now)
        while not self._queue.has_dispatch_after(now):
            at = now + self._quota.wait(now, ahead=self._queue.dispatched)
            key = self._queue.dispatch(at)
            if key is None:
                break
            wake_ups.append(WakeUp(key, at))
        return wake_ups

    def interval_ratio(self, priority: PollPriority, now: float) -> float:
        """Requested over granted poll rate of a priority."""
        return self._rates.interval_ratio(priority, self._quota.rate(now))

    def granted_interval(self, priority: PollPriority, now: float) -> GrantedInterval:
        """What is granted of the requested poll intervals."""
        return self._rates.granted_interval(priority, self._quota.rate(now))
