"""One lane for each API key: what it may still do, and whose turn it is.

Keys with the same value share a lane, whichever Secret they come from. Nothing in here waits: a
lane answers at once, and says in `wakes` whom it expects when. Times are monotonic seconds, given
by the caller.
"""

from collections.abc import Mapping
from enum import StrEnum

from scriptix_operator.core.budget import Budget
from scriptix_operator.core.circuit import Circuit, Outage, is_silence
from scriptix_operator.core.limits import Limit
from scriptix_operator.core.logcalls import LogCalls
from scriptix_operator.core.looks import Looks, Wake, Wish
from scriptix_operator.core.remote import CallFailure, RateTold
from scriptix_operator.core.spending import Ticket
from scriptix_operator.core.starts import Starts
from scriptix_operator.core.training import TrainingKey

__all__ = ["Call", "Lane"]


class Call(StrEnum):
    """Kinds of calls, each with an allowance of its own."""

    START = "start"
    STATUS = "status"
    LOG = "log"


class Lane:
    """What one API key may still do.

    Args:
        limits: The configured allowance for each kind of call.
        now: The time. What the key was used for before is not known, but for its starts.
    """

    def __init__(self, limits: Mapping[Call, tuple[Limit, ...]], now: float) -> None:
        self.wakes: list[Wake] = []
        """Whom the lane expects; for the caller to take."""
        self.circuit = Circuit()
        self.flawed: set[Call] = set()
        """Kinds of calls whose replies were found to tell nonsense of limits."""
        self._held_up: dict[TrainingKey, None] = {}
        """Those whose calls the open circuit has not let through, or were left without an answer
        since the last one; in this order."""
        self._looking: dict[Ticket, TrainingKey] = {}
        """Whose each look is that is on its way."""
        self.looks = Looks(limits[Call.STATUS], self.wakes)
        self.starts = Starts(limits[Call.START], self.wakes)
        self.logs = LogCalls(limits[Call.LOG])
        self._kinds: Mapping[Call, Starts | Looks | LogCalls] = {
            Call.START: self.starts,
            Call.STATUS: self.looks,
            Call.LOG: self.logs,
        }
        self.budgets: Mapping[Call, Budget] = {
            call: kind.budget for call, kind in self._kinds.items()
        }
        self.spend_evenly(now)

    def spend_evenly(self, now: float) -> None:
        """Make no bursts for a while: others may have called just before, or will all at once."""
        for call in (Call.STATUS, Call.LOG):
            self.budgets[call].spend_evenly(now)

    def look(self, key: TrainingKey, wish: Wish, now: float) -> Ticket | Outage | float:
        """Ask for a look, as Looks.ask; or be told why none may be made."""
        outage = self.circuit.blocks(now)
        if outage is not None:
            self.looks.forgo(key)
            self.hold_up(key)
            return outage
        ticket = self.looks.ask(key, wish, now)
        if isinstance(ticket, Ticket):
            self._held_up.pop(key, None)
            self._looking[ticket] = key
            self.circuit.sent(ticket, now)
        return ticket

    def forget_trial(self, key: TrainingKey) -> None:
        """Have one that polls no more replaced, where it was to make the trial call."""
        if key in self._held_up:
            del self._held_up[key]
            self._expect_probe()

    def hold_up(self, key: TrainingKey) -> None:
        """Have one come that may not call now: for a probe, or when the circuit has closed."""
        self._held_up[key] = None
        self._expect_probe()

    def looked(
        self, ticket: Ticket, model_id: int, failure: CallFailure | None, now: float, luck: float
    ) -> None:
        """Learn from the outcome of a look, as Circuit.answered; when it closes, go on."""
        key, was_closed = self._looking.pop(ticket, None), self.circuit.outage is None
        has_closed = self.circuit.answered(ticket, model_id, failure, now, luck)
        is_answer = failure is None or not is_silence(failure)
        has_opened_alone = was_closed and self.circuit.outage is not None and not self._held_up
        if not is_answer and key is not None and not has_opened_alone:
            # Its own next poll may be due long after the API is back. One that has opened the
            # circuit alone polls at the named time; another model is the better trial.
            self._held_up[key] = None
        if has_closed:
            self.spend_evenly(now)
            # At the pace that looks are made at: all at once could only wait for their turns.
            pace = 1 / self.looks.budget.rate(now)
            self.wakes += [Wake(key, now + n * pace) for n, key in enumerate(self._held_up)]
            self.starts.expect_anew(now)
        if is_answer and self.circuit.outage is None:
            self._held_up.clear()
        self._expect_probe()

    def _expect_probe(self) -> None:
        """Have one come for the next probe: each by itself would come when its next look is due."""
        if self.circuit.outage is not None and self._held_up:
            self.wakes.append(Wake(next(iter(self._held_up)), self.circuit.probe_at))

    def answered(
        self,
        call: Call,
        ticket: Ticket,
        now: float,
        failure: CallFailure | None = None,
        told: RateTold | None = None,
    ) -> bool:
        """Count a call that was answered; returns whether that taught something of the limits."""
        return self._kinds[call].answered(ticket, now, failure, told)

    def is_unspent(self, now: float) -> bool:
        """Whether a new lane would do as well, once nobody is in it."""
        return all(budget.is_unspent(now) for budget in self.budgets.values())

    def leave(self, key: TrainingKey, now: float) -> None:
        """Want nothing any more."""
        self.forget_trial(key)
        self.looks.leave(key, now)
        self.starts.leave(key, now)
        self.logs.leave(key)
