"""A part of an allowance, which some of those who share it may use and no more.

Times are monotonic seconds, given by the caller.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable

from scriptix_operator.core.budget import Budget, Ticket
from scriptix_operator.core.limits import part_of
from scriptix_operator.core.remote import CallFailure, FailureKind

__all__ = ["Part"]


class Part:
    """What may be used of a budget, and what was; calls are taken from the budget itself as well.

    Args:
        whole: The budget; where it learns stricter limits the part is one of these.
        part: Of it, 0 to 1; one call at least.
    """

    def __init__(self, whole: Budget, part: float) -> None:
        self._whole, self._part = whole, part
        self._in_flight: set[Ticket] = set()
        self._spent: list[float] = []
        """When each call was answered, the oldest first."""

    @property
    def in_flight(self) -> int:
        """Calls that are not answered yet."""
        return len(self._in_flight)

    def wait(self, now: float) -> float:
        """Seconds until a call fits into the part; 0: it does now."""
        limits = [part_of(limit, self._part) for limit in self._whole.limits(now)]
        del self._spent[: bisect_right(self._spent, now - limits[-1].seconds)]
        free_at = now
        for limit in limits:
            in_window = len(self._spent) - bisect_right(self._spent, now - limit.seconds)
            excess = in_window + len(self._in_flight) - limit.count
            if excess >= 0:
                # All but count-1 of them have to age; those on their way do so from now at best.
                begin = self._spent[excess - in_window] if excess < in_window else now
                free_at = max(free_at, begin + limit.seconds)
        return free_at - now

    def take(self, ticket: Ticket) -> None:
        """Count a call that was taken from the whole."""
        self._in_flight.add(ticket)

    def give_back(self, ticket: Ticket) -> None:
        """Take back a call that was not sent; others than those of this part are none of it."""
        self._in_flight.discard(ticket)

    def answered(self, ticket: Ticket, now: float, failure: CallFailure | None) -> None:
        """Count a call whose reply was read or given up: it was sent, whatever came of it."""
        if ticket in self._in_flight:
            self._in_flight.discard(ticket)
            if failure is None or failure.kind is not FailureKind.NOT_SENT:
                insort(self._spent, now)

    def recall(self, spent: Iterable[float]) -> None:
        """Count calls that were answered before, in another process."""
        self._spent = sorted([*self._spent, *spent])
