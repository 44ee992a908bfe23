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
"""Of the allowance, for runs that go on: what is missed of their logs comes with the last call."""
SHORTEST_WAIT = 1.0
"""Seconds. Times are rounded, so a shorter wait may end before the call fits, again and again."""


class LogCalls:
    """The log calls of a key.

    Args:
        limits: As configured.
    """

    def __init__(self, limits: Sequence[Limit]) -> None:
        self.limiter = RateLimiter(limits, evenly=True)
        self._running = SubLimit(self.limiter, RUNNING_PART)
        self._waiting: dict[TrainingKey, float] = {}
        """Those whose runs have ended, in the order of asking, and when each comes again."""

    def ask(self, key: TrainingKey, now: float, *, has_ended: bool) -> Permit | float:
        """Ask for a log call.

        Returns:
            The call; or seconds until it is worth asking again.
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
        """Count a call that was answered; returns whether that taught something of the limits."""
        self._running.answered(permit, now, failure)
        return self.limiter.answered(permit, now, failure, rate_info)

    def cancel(self, permit: Permit, now: float) -> None:
        """Take back a call that was not made."""
        self._running.cancel(permit)
        self.limiter.cancel(permit, now)

    def recall(self, spent: Iterable[PastCall]) -> None:
        """Count calls that were made before, in another process."""
        self.limiter.recall(spent)

    def leave(self, key: TrainingKey) -> None:
        """Want no log any more."""
        self._waiting.pop(key, None)
