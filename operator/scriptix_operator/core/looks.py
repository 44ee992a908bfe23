"""Looks at models with one API key: how many, whose turn it is, and how often it comes.

Times are monotonic seconds, given by the caller.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from scriptix_operator.core.budget import Budget
from scriptix_operator.core.demand import Demand
from scriptix_operator.core.limits import Limit
from scriptix_operator.core.pacing import Pace
from scriptix_operator.core.remote import CallFailure, RateTold
from scriptix_operator.core.spending import Ticket
from scriptix_operator.core.training import TrainingKey
from scriptix_operator.core.turns import MISSED_TURN, Turns

__all__ = ["LookKind", "Looks", "Wake", "Wish"]


class LookKind(StrEnum):
    """What a look is for."""

    RESOLUTION = "resolution"
    """To learn what came of a start, or with which results a run has ended."""
    BASELINE = "baseline"
    """The last look before a start."""
    RUNNING = "running"
    """A run that is followed."""
    WAITING = "waiting"
    """A model that cannot be started yet, or that nobody has looked at."""


SHARES = {
    LookKind.RESOLUTION: 0.2,
    LookKind.BASELINE: 0.2,
    LookKind.RUNNING: 0.4,
    LookKind.WAITING: 0.2,
}
"""What each kind is sure of, however many looks of other kinds are wanted."""


class Wish(NamedTuple):
    """What looks somebody would like."""

    kind: LookKind
    interval: float | None
    """Seconds between them; None: this one alone."""
    closer: float = 1.0
    """How many times as many just now, near the expected end."""


class Wake(NamedTuple):
    """Who is expected, and when."""

    key: TrainingKey
    at: float


class Looks:
    """The status calls of a key.

    Args:
        limits: As configured.
        wakes: Takes up who is expected when.
    """

    def __init__(self, limits: Sequence[Limit], wakes: list[Wake]) -> None:
        self.budget = Budget(limits, evenly=True)
        self._wakes = wakes
        self._turns = Turns[TrainingKey, LookKind](SHARES)
        self._demand = Demand[TrainingKey, LookKind](SHARES)

    def ask(self, key: TrainingKey, wish: Wish, now: float) -> Ticket | float:
        """Ask for a look.

        Returns:
            The call; or seconds until it is worth asking again, unless it is expected earlier.
        """
        if wish.interval is None:
            self._demand.leave(key)
        else:
            self._demand.wants(key, wish.kind, wish.interval, wish.closer)
        self._turns.drop_missed(now)
        self._turns.ask(key, wish.kind)
        self._call(now)
        turn = self._turns.called_for(key)
        if turn is None:
            # For the case that it is never called: the time in which all are.
            return max(len(self._turns) / self.budget.rate(now), MISSED_TURN)
        wait = max(turn - now, self.budget.wait(now))
        if wait > 0:  # or less is allowed than when it was called
            self._turns.put_off(key, now + wait)
            return wait
        self._turns.leave(key)
        ticket = self.budget.take(now)
        self._call(now)
        # It is here already: woken once more, it would look once more.
        self._wakes[:] = [wake for wake in self._wakes if wake.key != key]
        return ticket

    def answered(
        self,
        ticket: Ticket,
        now: float,
        failure: CallFailure | None = None,
        told: RateTold | None = None,
    ) -> bool:
        """Count a look that was answered; returns whether that taught something of the limits."""
        has_learned = self.budget.answered(ticket, now, failure, told)
        self._call(now)
        return has_learned

    def stretch(self, kind: LookKind, now: float) -> float:
        """How many times as many looks of a kind are asked for as can be made."""
        return self._demand.stretch(kind, self.budget.rate(now))

    def pace(self, kind: LookKind, now: float) -> Pace:
        """What can be kept of the intervals that are asked for."""
        return self._demand.pace(kind, self.budget.rate(now))

    def forgo(self, key: TrainingKey) -> None:
        """Do without the look that was asked for."""
        self._turns.leave(key)

    def leave(self, key: TrainingKey, now: float) -> None:
        """Want no looks any more."""
        self.rests(key, now, awaits_look=False, is_regular=False)

    def rests(self, key: TrainingKey, now: float, *, awaits_look: bool, is_regular: bool) -> None:
        """Take note that a step is over.

        Args:
            key: Whose.
            now: The time.
            awaits_look: It was told to wait for its turn, and does.
            is_regular: It will be looked at at intervals.
        """
        if not awaits_look:
            self.forgo(key)
        if not is_regular:
            self._demand.leave(key)
        self._call(now)

    def go_on(self, now: float) -> None:
        """Call the next, should whoever was called not come; nobody may be there to ask."""
        self._call(now)

    def _call(self, now: float) -> None:
        """Call those whose turn it is, and one more for when it will be."""
        self._turns.drop_missed(now)
        while not self._turns.is_expecting(now):
            at = now + self.budget.wait(now, ahead=self._turns.called)
            key = self._turns.call(at)
            if key is None:
                return
            self._wakes.append(Wake(key, at))
