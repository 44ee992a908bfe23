"""A part of an allowance, which some of those who share it may use and no more.

Times are monotonic seconds, given by the caller.
"""

from collections.abc import Iterable

from scriptix_operator.core.model.remote import CallFailure, FailureKind
from scriptix_operator.core.ratelimit.limiter import RateLimiter
from scriptix_operator.core.ratelimit.limits import part_of
from scriptix_operator.core.ratelimit.window import PastCall, Permit, SlidingWindow

__all__ = ["SubLimit"]


class SubLimit:
    """What may be used of a budget, and what was; calls are taken from the budget itself as well.

    Args:
        whole: The budget; where it learns stricter limits the part is one of these.
        part: Of it, 0 to 1; one call at least.
    """

    def __init__(self, whole: RateLimiter, part: float) -> None:
        self._whole, self._part = whole, part
        self._window = SlidingWindow()

    @property
    def in_flight(self) -> int:
        """Calls that are not answered yet."""
        return len(self._window.in_flight)

    def wait(self, now: float) -> float:
        """Seconds until a call fits into the part; 0: it does now."""
        limits = [part_of(limit, self._part) for limit in self._whole.limits(now)]
        self._window.forget(now - limits[-1].seconds)
        return max(self._window.free_at(limit, now, now) for limit in limits) - now

    def acquire(self, permit: Permit) -> None:
        """Count a call that was taken from the whole."""
        self._window.in_flight.add(permit)

    def cancel(self, permit: Permit) -> None:
        """Take back a call that was not sent; others than those of this part are none of it."""
        self._window.in_flight.discard(permit)

    def answered(self, permit: Permit, now: float, failure: CallFailure | None) -> None:
        """Count a call whose reply was read or given up: it was sent, whatever came of it."""
        if failure is not None and failure.kind is FailureKind.NOT_SENT:
            self.cancel(permit)
        elif permit in self._window.in_flight:
            self._window.complete(permit, now)

    def recall(self, spent: Iterable[PastCall]) -> None:
        """Count calls that were answered before, in another process."""
        self._window.recall(spent)
