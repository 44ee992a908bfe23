"""Log calls with one API key: those of runs that have ended first, in the order of asking.

Times are monotonic seconds, given by the caller.
"""

from collections.abc import Iterable, Sequence

from scriptix_operator.core.model.remote import CallFailure, RateLimitInfo
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limiter import RateLimiter
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.sublimiter import SubLimit
from scriptix_operator.core.ratelimit.window import PastCall, Permit
from scriptix_operator.core.scheduling.fair_queue import DISPATCH_TIMEOUT

__all__ = ["SHORTEST_WAIT", "LogCalls"]

RUNNING_PART = 0.75
"""Part of the quota for running trainings: the last call brings what their earlier calls missed."""
SHORTEST_WAIT = 1.0
"""Shortest wait in seconds. Times are rounded: a shorter wait may end before the call fits."""


class LogCalls:
    """The log calls of a key.

    Args:
        limits: The configured limits.
    """

    def __init__(self, limits: Sequence[Limit]) -> None:
        self.limiter = RateLimiter(limits, evenly=True)
        self._running = SubLimit(self.limiter, RUNNING_PART)
        self._waiting: dict[TrainingKey, float] = {}
        """Resources whose runs have ended, in the order of asking, and when each asks again."""

    def ask(self, key: TrainingKey, now: float, *, has_ended: bool) -> Permit | float:
        """Ask for a log call.

        Returns:
            The permit; or seconds until asking again makes sense.
        """
        for missed in [k for k, at in self._waiting.items() if at < now - DISPATCH_TIMEOUT]:
            del self._waiting[missed]
        if not has_ended:
            wait = max(self.limiter.wait(now, len(self._waiting)), self._running.wait(now))
            if wait > 0:
                return max(wait, SHORTEST_WAIT)
            permit = self.limiter.acquire(now)
            self._running.acquire(permit)
            return permit
        self._waiting.setdefault(key, now)
        wait = self.limiter.wait(now, list(self._waiting).index(key))
        if wait > 0:
            wait = max(wait, SHORTEST_WAIT)
            self._waiting[key] = now + wait
            return wait
        del self._waiting[key]
        return self.limiter.acquire(now)

    def answered(
        self,
        permit: Permit,
        now: float,
        failure: CallFailure | None = None,
        rate_info: RateLimitInfo | None = None,
    ) -> bool:
        """Count an answered call; returns whether the observed limits have changed."""
        self._running.complete(permit, now, failure)
        return self.limiter.complete(permit, now, failure, rate_info)

    def cancel(self, permit: Permit, now: float) -> None:
        """Cancel the permit of a call that was not made."""
        self._running.cancel(permit)
        self.limiter.cancel(permit, now)

    def recall(self, spent: Iterable[PastCall]) -> None:
        """Count earlier calls of another process."""
        self.limiter.restore(spent)

    def leave(self, key: TrainingKey) -> None:
        """Remove a resource that wants no log any more."""
        self._waiting.pop(key, None)
