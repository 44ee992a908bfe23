"""Calls that count against limits: those on their way, and those that were answered not long ago.

Windows slide, and a call ages from when it was answered. Times are monotonic seconds, given by the
caller.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from scriptix_operator.core.ratelimit.limits import Limit

__all__ = ["PastCall", "Permit", "SlidingWindow"]

_by_time = attrgetter("at")


@dataclass(frozen=True, slots=True)
class PastCall:
    """A call that counts against an allowance."""

    at: float
    tag: str = ""
    """Whom it was for, where that is to be counted."""


@dataclass(slots=True, eq=False)
class Permit:
    """A call that was taken from an allowance and is not answered yet."""

    sent_at: float
    tag: str = ""


class SlidingWindow:
    """The calls, and when there is room for more."""

    def __init__(self) -> None:
        self.in_flight: set[Permit] = set()
        """Not answered yet."""
        self._calls: list[PastCall] = []

    @property
    def spent(self) -> Sequence[PastCall]:
        """Answered or given up, the oldest first."""
        return self._calls

    def complete(self, permit: Permit, at: float) -> None:
        """Count a call on its way as one of a time."""
        self.in_flight.discard(permit)
        insort(self._calls, PastCall(at, permit.tag), key=_by_time)

    def recall(self, spent: Iterable[PastCall]) -> None:
        """Count calls that were made before, too."""
        self._calls = sorted([*self._calls, *spent], key=_by_time)

    def since(self, begin: float) -> int:
        """How many were answered after `begin`."""
        return len(self._calls) - bisect_right(self._calls, begin, key=_by_time)

    def forget(self, until: float) -> None:
        """Those answered by then count no more."""
        if self._calls and self._calls[0].at <= until:
            del self._calls[: bisect_right(self._calls, until, key=_by_time)]

    def free_at(self, limit: Limit, now: float, earliest: float, ahead: int = 0) -> float:
        """When a call fits into a limit.

        Args:
            limit: The limit.
            now: The time.
            earliest: Not before; what is on its way is answered by then at best.
            ahead: So many others go first.
        """
        in_window = self.since(now - limit.seconds)
        # The call needs all but count-1 of the calls before it, known or ahead, to have aged.
        excess = in_window + len(self.in_flight) + ahead - limit.count
        if excess < 0:
            return earliest
        # Those ahead go in rounds of as many as the limit; of those known there may be more.
        rounds = min(excess, ahead) // limit.count
        index = excess - rounds * limit.count
        before = self._calls[index - in_window].at if index < in_window else earliest
        return max(before + limit.seconds, earliest) + rounds * limit.seconds
