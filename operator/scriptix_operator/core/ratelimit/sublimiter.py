"""A part of a quota, to which some of the resources that share the quota are limited.

Times are monotonic seconds, given by the caller.
"""

from scriptix_operator.core.model.remote import CallFailure, FailureKind
from scriptix_operator.core.ratelimit.limiter import RateLimiter
from scriptix_operator.core.ratelimit.limits import part_of
from scriptix_operator.core.ratelimit.window import Permit, SlidingWindow

__all__ = ["SubLimit"]


class SubLimit:
    """A limit to a part of a quota; calls count against the whole quota as well.

    Args:
        whole: The rate limiter of the whole quota; observed limits apply to the part, too.
        part: The part of the quota, 0 to 1; at least one call.
    """

    def __init__(self, whole: RateLimiter, part: float) -> None:
        self._whole, self._part = whole, part
        self._window = SlidingWindow()

    @property
    def in_flight(self) -> int:
        """The number of calls that are not answered yet."""
        return len(self._window.in_flight)

    def wait(self, now: float) -> float:
        """Seconds until a call fits into the part; 0: the call fits now."""
        limits = [part_of(limit, self._part) for limit in self._whole.limits(now)]
        self._window.forget(now - limits[-1].seconds)
        return max(self._window.free_at(limit, now, now) for limit in limits) - now

    def acquire(self, permit: Permit) -> None:
        """Count a call whose permit was acquired from the whole."""
        self._window.in_flight.add(permit)

    def cancel(self, permit: Permit) -> None:
        """Cancel the permit of a call that was not sent; permits of other parts are ignored."""
        self._window.in_flight.discard(permit)

    def complete(self, permit: Permit, now: float, failure: CallFailure | None) -> None:
        """Count a call whose reply was read or given up, whatever the result."""
        if failure is not None and failure.kind is FailureKind.NOT_SENT:
            self.cancel(permit)
        elif permit in self._window.in_flight:
            self._window.complete(permit, now)
