"""A part of an allowance, which some of those who share it may use and no more.

Times are monotonic seconds, given by the caller.
"""

from collections.abc import Iterable

from scriptix_operator.core.budget import Budget
from scriptix_operator.core.limits import part_of
from scriptix_operator.core.remote import CallFailure, FailureKind
from scriptix_operator.core.spending import Spending, Spent, Ticket

__all__ = ["Part"]


class Part:
    """What may be used of a budget, and what was; calls are taken from the budget itself as well.

    Args:
        whole: The budget; where it learns stricter limits the part is one of these.
        part: Of it, 0 to 1; one call at least.
    """

    def __init__(self, whole: Budget, part: float) -> None:
        self._whole, self._part = whole, part
        self._spending = Spending()

    @property
    def in_flight(self) -> int:
        """Calls that are not answered yet."""
        return len(self._spending.in_flight)

    def wait(self, now: float) -> float:
        """Seconds until a call fits into the part; 0: it does now."""
        limits = [part_of(limit, self._part) for limit in self._whole.limits(now)]
        self._spending.forget(now - limits[-1].seconds)
        return max(self._spending.free_at(limit, now, now) for limit in limits) - now

    def take(self, ticket: Ticket) -> None:
        """Count a call that was taken from the whole."""
        self._spending.in_flight.add(ticket)

    def give_back(self, ticket: Ticket) -> None:
        """Take back a call that was not sent; others than those of this part are none of it."""
        self._spending.in_flight.discard(ticket)

    def answered(self, ticket: Ticket, now: float, failure: CallFailure | None) -> None:
        """Count a call whose reply was read or given up: it was sent, whatever came of it."""
        if failure is not None and failure.kind is FailureKind.NOT_SENT:
            self.give_back(ticket)
        elif ticket in self._spending.in_flight:
            self._spending.settle(ticket, now)

    def recall(self, spent: Iterable[Spent]) -> None:
        """Count calls that were answered before, in another process."""
        self._spending.recall(spent)
