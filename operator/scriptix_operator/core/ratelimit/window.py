"""A sliding window of calls that count against limits: in flight, or answered within the window.

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
    """A call that counts against a quota."""

    at: float
    tag: str = ""
    """The group that the call is counted for, such as a namespace."""


@dataclass(slots=True, eq=False)
class Permit:
    """The reservation of one call, which is not answered yet."""

    sent_at: float
    tag: str = ""


class SlidingWindow:
    """The calls in a sliding window, and when there is room for more."""

    def __init__(self) -> None:
        self.in_flight: set[Permit] = set()
        """Calls that are not answered yet."""
        self._calls: list[PastCall] = []

    @property
    def spent(self) -> Sequence[PastCall]:
        """Calls that were answered or given up, the oldest first."""
        return self._calls

    def complete(self, permit: Permit, at: float) -> None:
        """Count a call in flight as a past call at `at`."""
        self.in_flight.discard(permit)
        insort(self._calls, PastCall(at, permit.tag), key=_by_time)

    def restore(self, spent: Iterable[PastCall]) -> None:
        """Count calls of an earlier process, too."""
        self._calls = sorted([*self._calls, *spent], key=_by_time)

    def tagged(self, tag: str) -> "SlidingWindow":
        """A window of the calls with a tag."""
        window = SlidingWindow()
        window.in_flight = {permit for permit in self.in_flight if permit.tag == tag}
        window.restore(call for call in self._calls if call.tag == tag)
        return window

    def since(self, begin: float) -> int:
        """The number of calls answered after `begin`."""
        return len(self._calls) - bisect_right(self._calls, begin, key=_by_time)

    def forget(self, until: float) -> None:
        """Drop the calls that were answered by `until`."""
        if self._calls and self._calls[0].at <= until:
            del self._calls[: bisect_right(self._calls, until, key=_by_time)]

    def free_at(self, limit: Limit, now: float, earliest: float, ahead: int = 0) -> float:
        """When a call fits into a limit.

        Args:
            limit: The limit.
            now: The time.
            earliest: The earliest time; calls in flight are answered then at the earliest.
            ahead: The number of calls that go first.
        """
        in_window = self.since(now - limit.seconds)
        # The call needs all but count-1 of the calls before it, known or ahead, to have aged.
        excess = in_window + len(self.in_flight) + ahead - limit.count
        if excess < 0:
            return earliest
        # The calls ahead go in rounds of limit.count calls; known calls may be more than that.
        rounds = min(excess, ahead) // limit.count
        index = excess - rounds * limit.count
        before = self._calls[index - in_window].at if index < in_window else earliest
        return max(before + limit.seconds, earliest) + rounds * limit.seconds
