"""One lane for each API key: its allowances, its start queue, and its circuit.

Keys with the same value share a lane, whichever Secret they come from.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus

from scriptix_operator.api.status import Queue
from scriptix_operator.core.budget import Budget
from scriptix_operator.core.limits import Limit
from scriptix_operator.core.observation import SlotDeferred
from scriptix_operator.core.remote import RATE_LIMIT_WAIT, CallFailure, FailureKind
from scriptix_operator.core.training import Training, TrainingKey

__all__ = ["Call", "Lane", "Lanes"]

PROBE_INTERVAL = 60.0
"""Seconds between probes with a key that the API rejects."""
MISSED_TURN = 5.0
"""Seconds after its turn when a look that did not come is not waited for any more."""


Rank = tuple[bool, int, datetime, str]
"""What the order of the start queue goes by."""


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
    _sources: set[str] = field(default_factory=set)
    """Secrets that this key was seen in: what was started from them is counted."""
    _waiting: dict[TrainingKey, Rank] = field(default_factory=dict)
    """The start queue: what its order goes by."""
    _turns: dict[TrainingKey, float] = field(default_factory=dict)
    """When each look that was put off may be made; in the order of asking."""

    def is_new_to(self, source: str) -> bool:
        """Whether the starts made from this source have yet to be recalled."""
        return source not in self._sources

    def recall(self, source: str, own: Iterable[float], before: Iterable[float]) -> None:
        """Count starts that this process has not made itself.

        Args:
            source: Where the key is from.
            own: Those made with this key; they count once, however many sources it has.
            before: Those made with keys that the source held before.
        """
        starts = [*before, *(() if self._sources else own)]
        self.budgets[Call.START].recall(starts)
        self._sources.add(source)

    def circuit(self, now: float) -> CallFailure | None:
        """Why no call may be made now; each minute one probe may."""
        if self.rejection is None:
            return None
        if now >= self._probe_at:
            self._probe_at = now + PROBE_INTERVAL
            return None
        return self.rejection

    def answered(
        self, call: Call, taken_at: float, failure: CallFailure | None, now: float
    ) -> None:
        """Learn from the outcome of a call that was spent at `taken_at`."""
        budget = self.budgets[call]
        # It ages from now on: when the server counted it is not known, only that it has by now.
        budget.give_back(taken_at)
        if failure is None or failure.kind is not FailureKind.NOT_SENT:
            budget.take(now)
        if failure is None:
            self.rejection = None
            return
        if failure.kind is FailureKind.RATE_LIMITED:
            budget.hold(now + (failure.retry_after or RATE_LIMIT_WAIT))
        # Only a refused look says that it is no key: one without the right to start may look. A 403
        # may be about the one model: there each resource asks for itself, so that a resource with
        # somebody else's model does not stop those that share its key.
        rejected = failure.kind is FailureKind.UNAUTHORIZED
        if call is Call.STATUS and rejected and failure.status != HTTPStatus.FORBIDDEN:
            self.rejection = failure
            self._probe_at = now + PROBE_INTERVAL

    def look(self, key: TrainingKey, now: float) -> float:
        """Spend a look, or have a turn kept: first asked, first served.

        Were all told the same time, thousands would wake for each call that becomes free.

        Returns:
            0 where the look may be made now; else the seconds until the turn of `key`.
        """
        turn = self._turns.get(key)
        if turn is not None and now < turn:
            return turn - now
        self._drop_missed_turns(now)
        self._turns.pop(key, None)
        # Whoever comes at its turn waited for those before it; a newcomer has all to let pass.
        ahead = 0 if turn is not None else len(self._turns)
        wait = self.budgets[Call.STATUS].wait(now, ahead)
        if wait > 0:
            self._turns[key] = now + wait
        else:
            self.budgets[Call.STATUS].take(now)
        return wait

    def reserve(self, training: Training, now: float, wall: datetime) -> SlotDeferred | None:
        """Spend a start for `training`, if there is one and nobody comes before it.

        Returns:
            None where it may start; else its place in the queue.
        """
        budget = self.budgets[Call.START]
        self._waiting[training.key] = _rank(training)
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

    def _drop_missed_turns(self, now: float) -> None:
        """Forget who does not come: deleted, suspended, or with another key meanwhile."""
        while self._turns:
            key, turn = next(iter(self._turns.items()))
            if turn >= now - MISSED_TURN:
                return
            del self._turns[key]


def _rank(training: Training) -> Rank:
    """A start that was lost is tried again behind those that have had none."""
    run = training.status.run
    again = run is not None and run.attempt > 1
    return again, -training.spec.priority, training.created_at, training.uid


class Lanes:
    """All lanes, made as keys turn up.

    Args:
        limits: The configured allowance for each kind of call.
    """

    def __init__(self, limits: Mapping[Call, tuple[Limit, ...]]) -> None:
        self._limits = dict(limits)
        self._lanes: dict[str, Lane] = {}
        self._queued: dict[TrainingKey, Lane] = {}
        """In whose start queue a resource may be; in no more than one."""

    def of(self, fingerprint: str) -> Lane:
        """The lane of the key with this fingerprint."""
        if fingerprint not in self._lanes:
            budgets = {call: Budget(limits) for call, limits in self._limits.items()}
            self._lanes[fingerprint] = Lane(budgets)
        return self._lanes[fingerprint]

    def reserve(
        self, fingerprint: str, training: Training, now: float, wall: datetime
    ) -> SlotDeferred | None:
        """Spend a start of that key for `training`, as Lane.reserve.

        A place in the queue of another key is given up: whoever stays behind there would be waited
        for by all that come after it.
        """
        lane = self.of(fingerprint)
        self.leave(training.key)
        deferred = lane.reserve(training, now, wall)
        if deferred is not None:
            self._queued[training.key] = lane
        return deferred

    def leave(self, key: TrainingKey) -> None:
        """Take a resource out of the start queue that it is in, if any."""
        lane = self._queued.pop(key, None)
        if lane is not None:
            lane.leave(key)
