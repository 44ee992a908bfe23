"""Log calls with one API key: those of runs that have ended first, in the order of asking.

Times are monotonic seconds, given by the caller.
"""

from collections.abc import Iterable, Sequence

from scriptix_operator.core.budget import Budget
from scriptix_operator.core.limits import Limit
from scriptix_operator.core.part import Part
from scriptix_operator.core.remote import CallFailure, RateTold
from scriptix_operator.core.spending import Spent, Ticket
from scriptix_operator.core.training import TrainingKey
from scriptix_operator.core.turns import MISSED_TURN

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
        self.budget = Budget(limits, evenly=True)
        self._running = Part(self.budget, RUNNING_PART)
        self._waiting: dict[TrainingKey, float] = {}
        """Those whose runs have ended, in the order of asking, and when each comes again."""

    def ask(self, key: TrainingKey, now: float, *, has_ended: bool) -> Ticket | float:
        """Ask for a log call.

        Returns:
            The call; or seconds until it is worth asking again.
        """
        for missed in [k for k, at in self._waiting.items() if at < now - MISSED_TURN]:
            del self._waiting[missed]
        if not has_ended:
            wait = max(self.budget.wait(now, len(self._waiting)), self._running.wait(now))
            if wait > 0:
                return max(wait, SHORTEST_WAIT)
            ticket = self.budget.take(now)
            self._running.take(ticket)
            return ticket
        self._waiting.setdefault(key, now)
        wait = self.budget.wait(now, list(self._waiting).index(key))
        if wait > 0:
            wait = max(wait, SHORTEST_WAIT)
            self._waiting[key] = now + wait
            return wait
        del self._waiting[key]
        return self.budget.take(now)

    def answered(
        self,
        ticket: Ticket,
        now: float,
        failure: CallFailure | None = None,
        told: RateTold | None = None,
    ) -> bool:
        """Count a call that was answered; returns whether that taught something of the limits."""
        self._running.answered(ticket, now, failure)
        return self.budget.answered(ticket, now, failure, told)

    def give_back(self, ticket: Ticket, now: float) -> None:
        """Take back a call that was not made."""
        self._running.give_back(ticket)
        self.budget.give_back(ticket, now)

    def recall(self, spent: Iterable[Spent]) -> None:
        """Count calls that were made before, in another process."""
        self.budget.recall(spent)

    def leave(self, key: TrainingKey) -> None:
        """Want no log any more."""
        self._waiting.pop(key, None)
