"""Starts with one API key: the queue of those that could start now, and whose turn it is.

Times are monotonic seconds, given by the caller.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scriptix_operator.core.budget import Budget
from scriptix_operator.core.limits import Limit
from scriptix_operator.core.looks import Wake
from scriptix_operator.core.part import Part
from scriptix_operator.core.positions import Position, Positions
from scriptix_operator.core.remote import CallFailure, RateTold
from scriptix_operator.core.spending import Spent, Ticket
from scriptix_operator.core.startqueue import Claim, Order, StartQueue
from scriptix_operator.core.training import TrainingKey

__all__ = ["Place", "Starts"]

LATE_PART = 0.2
"""Of the allowance, for starts that were lost again and again: what is wrong with one model must
not use up what the others could start with."""
PATIENCE = 5.0
"""Seconds for which a free start is kept for whoever is next, before the one behind may have it."""
EXPECTED = 8
"""So many of those who are next are expected when a start becomes free: some may be held up, all
of one namespace for instance."""
REFRESH = 600.0
"""Seconds between looks at one's place, at most."""


@dataclass(frozen=True, slots=True)
class Place:
    """A wait in the start queue."""

    position: Position | None
    """To report; None: there is none until the next snapshot."""
    start_in: float
    """Seconds until the allowance is expected to reach it."""
    ask_in: float
    """Seconds until it is worth asking again, unless it is woken earlier."""


class Starts:
    """The starts of a key.

    Args:
        limits: As configured.
        wakes: Takes up who is expected when.
    """

    def __init__(self, limits: Sequence[Limit], wakes: list[Wake]) -> None:
        self.budget = Budget(limits)
        self._late = Part(self.budget, LATE_PART)
        self._queue = StartQueue()
        self._wakes = wakes
        self._expected: dict[TrainingKey, float] = {}
        """Those who are next, and when each was told to come."""
        self._free_at = math.inf
        """When a start is, or has become, free for whoever is next."""
        self._positions = Positions(wakes)

    def ask(self, claim: Claim, now: float) -> Place | None:
        """Ask for a start on behalf of a resource that could start now.

        Returns:
            Its place in the queue, where it is from now on; None: it is its turn.
        """
        self._queue.join(claim)
        ahead = self._expect(now).index(claim.key)
        start_in = self.budget.wait(now, ahead)
        is_free = start_in <= 0 or now >= self._free_at + PATIENCE * ahead
        if claim.is_late:
            late_in = self._late.wait(now)
            start_in, is_free = max(start_in, late_in), is_free and late_in <= 0
        if is_free and not self._is_held:
            # It is here already: woken once more, it would ask once more.
            self._wakes[:] = [wake for wake in self._wakes if wake.key != claim.key]
            return None
        expected_in = self._expected.get(claim.key, now) - now
        ask_in = min(start_in or PATIENCE, expected_in if expected_in > 0 else REFRESH, REFRESH)
        position = self._positions.of(claim.key)
        if position is None:
            ask_in = min(ask_in, self._positions.due_in(now))
        return Place(position, start_in, ask_in)

    def take(self, claim: Claim, now: float) -> Ticket:
        """Spend a start for a resource whose turn it is."""
        self._leave(claim.key)
        ticket = self.budget.take(now, claim.key.namespace)
        if claim.is_late:
            self._late.take(ticket)
        self._free_at = math.inf
        self._expect(now)
        return ticket

    def answered(
        self,
        ticket: Ticket,
        now: float,
        failure: CallFailure | None = None,
        told: RateTold | None = None,
    ) -> bool:
        """Count a start that was answered; returns whether that taught something of the limits."""
        self._late.answered(ticket, now, failure)
        has_learned = self.budget.answered(ticket, now, failure, told)
        self._expect(now)
        return has_learned

    def give_back(self, ticket: Ticket, now: float) -> None:
        """Take back a start that was not sent."""
        self._late.give_back(ticket)
        self.budget.give_back(ticket, now)
        self._expect(now)

    def recall(self, spent: Iterable[Spent], late: Iterable[Spent]) -> None:
        """Count starts that were made before: all of them, and those of them that were late."""
        self.budget.recall(spent)
        self._late.recall(late)

    def leave(self, key: TrainingKey, now: float) -> None:
        """Wait no more."""
        if key in self._queue:
            self._leave(key)
            self._expect(now)

    def advance(self, now: float) -> None:
        """Have those who are next report their positions; nobody may be there to ask."""
        self._positions.update(self._order(now), now)

    def __contains__(self, key: TrainingKey) -> bool:
        return key in self._queue

    def __len__(self) -> int:
        return len(self._queue)

    def expect_anew(self, now: float) -> None:
        """Expect those who are next once more: they have come in vain."""
        self._expected = {}
        self._expect(now)

    def _leave(self, key: TrainingKey) -> None:
        self._queue.leave(key)
        self._positions.forget(key)

    @property
    def _is_held(self) -> bool:
        """Until a whole window was let through, one at a time: a single refusal has to teach."""
        return self.budget.in_flight > 0 and not self.budget.is_proved

    def _order(self, now: float) -> Order:
        may_be_late = self._late.wait(now) <= 0
        return self._queue.order(self.budget.spent_by_tag(now), late=may_be_late)

    def _expect(self, now: float) -> Order:
        """Expect those who are next when a start is free, each a little later than the other.

        Returns:
            The present order.
        """
        wait, order = self.budget.wait(now), self._order(now)
        self._positions.update(order, now)
        next_ones = () if self._is_held else order.first(EXPECTED)
        # Whoever is next has its time to come from when it is next.
        is_new = next_ones[:1] != tuple(self._expected)[:1]
        self._free_at = now + wait if wait > 0 or is_new else min(self._free_at, now)
        before = self._expected
        self._expected = {
            key: self._free_at + PATIENCE * place for place, key in enumerate(next_ones)
        }
        self._wakes += [
            Wake(key, at) for key, at in self._expected.items() if before.get(key) != at
        ]
        return order
