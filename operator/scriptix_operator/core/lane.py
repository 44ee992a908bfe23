"""One lane for each API key: what it may still do, and whose turn it is.

Keys with the same value share a lane, whichever Secret they come from. Nothing in here waits: a
lane answers at once, and says in `wakes` whom it expects when. Times are monotonic seconds, given
by the caller.
"""

from collections.abc import Mapping
from enum import StrEnum

from scriptix_operator.core.budget import Budget, Ticket
from scriptix_operator.core.circuit import Circuit
from scriptix_operator.core.limits import Limit
from scriptix_operator.core.logcalls import LogCalls
from scriptix_operator.core.looks import Looks, Wake
from scriptix_operator.core.remote import CallFailure, RateTold
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

    def leave(self, key: TrainingKey, now: float) -> None:
        """Want nothing any more."""
        self.looks.leave(key, now)
        self.starts.leave(key, now)
        self.logs.leave(key)
