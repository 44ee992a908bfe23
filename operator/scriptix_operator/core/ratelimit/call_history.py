"""The accepted calls of one kind with one key, and a refused call with all that explains it.

Times are seconds on any clock that does not jump, given by the caller.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scriptix_operator.core.ratelimit.limits import Limit

__all__ = ["ROUNDING", "AcceptedCalls", "RefusedCall"]

MAX_REMEMBERED = 5000
"""Accepted calls that are remembered in any case; at most twice as many are."""
ROUNDING = 2.0
"""Seconds by which a reply may round up the wait: by one in seconds, by two as a date, since the
Date header that a date is compared with is rounded down."""


class AcceptedCalls:
    """When each accepted call was answered.

    Args:
        times: The times of earlier calls, ascending.
    """

    def __init__(self, times: Iterable[float] = ()) -> None:
        self._times = array("d", times)

    def add(self, now: float) -> None:
        """Add a call that is answered now."""
        if len(self._times) >= 2 * MAX_REMEMBERED:
            del self._times[:MAX_REMEMBERED]
        self._times.append(now)

    def since(self, begin: float) -> Sequence[float]:
        """The times after `begin`, ascending."""
        return self._times[bisect_right(self._times, begin) :]

    def count(self, begin: float) -> int:
        """The number of calls answered after `begin`."""
        return len(self._times) - bisect_right(self._times, begin)


@dataclass(frozen=True, slots=True)
class RefusedCall:
    """A call that was refused for its rate."""

    sent_at: float
    limits: tuple[Limit, ...]
    """The limits that applied, shortest window first."""
    calls: AcceptedCalls
    """The accepted calls, including those that are accepted later."""
    wait: float | None = None
    """The wait in seconds that the reply asks for."""
    in_a_row: int = 1
    """The number of refusals since the last accepted call, with this one."""

    def may_be_of(self, seconds: float) -> bool:
        """Whether a window of this length can be full for as long as the reply asks to wait."""
        return self.wait is None or seconds >= self.wait - ROUNDING

    def use(self, seconds: float) -> int:
        """The number of calls accepted in a window of this length."""
        return self.calls.count(self.sent_at - seconds)
