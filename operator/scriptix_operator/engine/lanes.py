"""One lane for each API key: its allowances, its start queue, and its circuit.

Keys with the same value share a lane, whichever Secret they come from.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from scriptix_operator.api.status import Queue
from scriptix_operator.core.budget import Budget
from scriptix_operator.core.limits import Limit
from scriptix_operator.core.observation import SlotDeferred
from scriptix_operator.core.remote import CallFailure, FailureKind
from scriptix_operator.core.start import RATE_LIMIT_WAIT
from scriptix_operator.core.training import Training, TrainingKey

__all__ = ["Call", "Lane", "Lanes"]

PROBE_INTERVAL = 60.0
"""Seconds between probes with a key that the API rejects."""


class Call(StrEnum):
    """Kinds of calls, each with an allowance of its own."""

    START = "start"
    STATUS = "status"
    LOG = "log"


@dataclass(slots=True)
class Lane:
    """What one API key may still do. Times are monotonic seconds, given by the caller."""

    budgets: Mapping[Call, Budget]
    rejection: CallFailure | None = None
    """The answer that opened the circuit."""
    _probe_at: float = 0.0
    _waiting: dict[TrainingKey, tuple[int, datetime, str]] = field(default_factory=dict)

    def circuit(self, now: float) -> CallFailure | None:
        """Why no call may be made now; each minute one probe may."""
        if self.rejection is None:
            return None
        if now >= self._probe_at:
            self._probe_at = now + PROBE_INTERVAL
            return None
        return self.rejection

    def answered(self, call: Call, failure: CallFailure | None, now: float) -> None:
        """Learn from the outcome of a call."""
        if failure is None:
            self.rejection = None
            return
        if failure.kind is FailureKind.RATE_LIMITED:
            self.budgets[call].hold(now + (failure.retry_after or RATE_LIMIT_WAIT))
        # A key without the right to start may still look: only a refused look says it is no key.
        if failure.kind is FailureKind.UNAUTHORIZED and call is Call.STATUS:
            self.rejection = failure
            self._probe_at = now + PROBE_INTERVAL

    def reserve(self, training: Training, now: float, wall: datetime) -> SlotDeferred | None:
        """Spend a start for `training`, if there is one and nobody comes before it.

        Returns:
            None where it may start; else its place in the queue.
        """
        budget = self.budgets[Call.START]
        spec = training.spec
        self._waiting[training.key] = (-spec.priority, training.created_at, training.uid)
        order = sorted(self._waiting, key=self._waiting.__getitem__)
        ahead = order.index(training.key)
        wait = budget.wait(now, ahead)
        if wait <= 0:
            budget.take(now)
            self.leave(training.key)
            return None
        at = (wall + timedelta(seconds=wait)).replace(microsecond=0)
        place = Queue(position=ahead + 1, of=len(order), estimated_start_at=at)
        return SlotDeferred(place, wait)

    def leave(self, key: TrainingKey) -> None:
        """Take a resource out of the start queue."""
        self._waiting.pop(key, None)


class Lanes:
    """All lanes, made as keys turn up.

    Args:
        limits: The configured allowance for each kind of call.
    """

    def __init__(self, limits: Mapping[Call, tuple[Limit, ...]]) -> None:
        self._limits = dict(limits)
        self._lanes: dict[str, Lane] = {}

    def of(self, fingerprint: str) -> Lane:
        """The lane of the key with this fingerprint."""
        if fingerprint not in self._lanes:
            budgets = {call: Budget(limits) for call, limits in self._limits.items()}
            self._lanes[fingerprint] = Lane(budgets)
        return self._lanes[fingerprint]

    def leave(self, key: TrainingKey) -> None:
        """Take a resource out of every start queue."""
        for lane in self._lanes.values():
            lane.leave(key)
