"""The lanes of all API keys: made as keys turn up, and asked on behalf of resources.

Decisions are in core/lane.py. Here is what they lack: clocks, luck, and the timer that wakes
whoever a lane expects.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from scriptix_operator.api.status import Queue
from scriptix_operator.core.circuit import Outage
from scriptix_operator.core.lane import Call, Lane
from scriptix_operator.core.learned import Learned, from_lessons, to_lessons
from scriptix_operator.core.ledger import Debit
from scriptix_operator.core.limits import Limit
from scriptix_operator.core.looks import LookKind, Wish
from scriptix_operator.core.observation import SlotDeferred
from scriptix_operator.core.pacing import Pace
from scriptix_operator.core.remote import CallFailure, RateTold
from scriptix_operator.core.spending import Spent, Ticket
from scriptix_operator.core.startqueue import FREE_ATTEMPTS, Claim
from scriptix_operator.core.training import TrainingKey
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.timer import Timer

__all__ = ["Answer", "Lanes"]

OUTAGE_WAIT = 60.0
"""Seconds after which a log is asked for again, where no calls are made with its key."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended."""

    model_id: int
    failure: CallFailure | None = None
    """None: it did not fail."""
    told: RateTold | None = None
    """What the reply says of the limit."""


class Lanes:
    """All lanes.

    Args:
        limits: The configured allowance for each kind of call.
        timer: Wakes those who are expected.
        clock: The clocks.
        luck: Draws a number from 0 to 1.
    """

    def __init__(
        self,
        limits: Mapping[Call, tuple[Limit, ...]],
        timer: Timer,
        clock: Clock,
        luck: Callable[[], float],
    ) -> None:
        self._limits = dict(limits)
        self._timer = timer
        self._clock = clock
        self.luck = luck
        self._lanes: dict[str, Lane] = {}
        self._members: dict[TrainingKey, str] = {}
        """In whose lane a resource is; in no more than one: whoever stays behind in the lane of
        another key would be waited for there."""
        self._recalled: set[str] = set()
        """Keys whose learned limits were taken over from the processes before this one."""
        self._sources: set[tuple[str, str]] = set()
        """Keys and the Secrets that they were seen in: what was started from there is counted."""

    def of(self, fingerprint: str) -> Lane:
        """The lane of the key with this fingerprint."""
        if fingerprint not in self._lanes:
            self._lanes[fingerprint] = Lane(self._limits, self._clock.monotonic())
        return self._lanes[fingerprint]

    # Before a call.

    def look(self, fingerprint: str, key: TrainingKey, wish: Wish) -> Ticket | Outage | float:
        """Ask for a look, as Lane.look."""
        lane, now = self._joined(fingerprint, key), self._clock.monotonic()
        ticket = lane.look(key, wish, now)
        self._wake(lane, now)
        return ticket

    def vouch(self, fingerprint: str) -> None:
        """Take note that the API has accepted a key before, as a status says."""
        self.of(fingerprint).circuit.has_worked = True

    def has_worked(self, fingerprint: str) -> bool:
        """Whether the API has accepted a key before, as far as this process knows."""
        return self.of(fingerprint).circuit.has_worked

    def pace(self, fingerprint: str, kind: LookKind) -> Pace:
        """What can be kept of the intervals between looks that are asked for."""
        return self.of(fingerprint).looks.pace(kind, self._clock.monotonic())

    def start(self, fingerprint: str, claim: Claim) -> Ticket | SlotDeferred | Outage:
        """Ask for a start: the call, the place in the queue, or why none may be made."""
        lane, now = self._joined(fingerprint, claim.key), self._clock.monotonic()
        if lane.circuit.outage is not None:
            # It has opened since the look. Not even as a probe: a look costs less.
            lane.hold_up(claim.key)
            self._wake(lane, now)
            return lane.circuit.outage
        place = self._place(lane, claim, now)
        ticket = lane.starts.take(claim, now) if place is None else place
        self._wake(lane, now)
        return ticket

    def is_queued(self, key: TrainingKey) -> bool:
        """Whether a resource waits in a start queue."""
        fingerprint = self._members.get(key)
        return fingerprint is not None and key in self.of(fingerprint).starts

    def turn(self, fingerprint: str, claim: Claim) -> SlotDeferred | None:
        """Ask how far the queue is; None: it is this one's turn."""
        lane, now = self._joined(fingerprint, claim.key), self._clock.monotonic()
        place = self._place(lane, claim, now)
        self._wake(lane, now)
        return place

    def log(self, fingerprint: str, key: TrainingKey, *, has_ended: bool) -> Ticket | float:
        """Ask for a log call, as LogCalls.ask; none may be made while the circuit is open."""
        lane, now = self._joined(fingerprint, key), self._clock.monotonic()
        if lane.circuit.outage is not None:
            return OUTAGE_WAIT
        return lane.logs.ask(key, now, has_ended=has_ended)

    def cancel_log_call(self, fingerprint: str, ticket: Ticket) -> None:
        """Take back a log call that was not made."""
        self.of(fingerprint).logs.give_back(ticket, self._clock.monotonic())

    # After a call.

    def answered(self, fingerprint: str, call: Call, ticket: Ticket, answer: Answer) -> bool:
        """Count a call that was answered; returns whether limits were learned from it."""
        lane, now = self.of(fingerprint), self._clock.monotonic()
        has_learned = lane.answered(call, ticket, now, answer.failure, answer.told)
        if call is Call.STATUS:
            lane.looked(ticket, answer.model_id, answer.failure, now, self.luck())
        self._wake(lane, now)
        return has_learned

    def wait(self, fingerprint: str, call: Call) -> float:
        """Seconds until the next call of a kind fits."""
        return self.of(fingerprint).budgets[call].wait(self._clock.monotonic())

    def give_back(self, fingerprint: str, ticket: Ticket) -> None:
        """Take back a start that was not sent."""
        lane, now = self.of(fingerprint), self._clock.monotonic()
        lane.starts.give_back(ticket, now)
        self._wake(lane, now)

    def rests(
        self, key: TrainingKey, *, is_queued: bool, is_watched: bool, awaits_look: bool
    ) -> None:
        """Take note that a step is over.

        Args:
            key: Whose.
            is_queued: It waits for a start.
            is_watched: It will be looked at again by itself.
            awaits_look: It was told to wait for a look, and will come when it is called. Whoever
                cannot ask (its Secret is gone, say) must not stand in line: all would wait for it.
        """
        fingerprint = self._members.get(key)
        if fingerprint is None:
            return
        lane, now = self.of(fingerprint), self._clock.monotonic()
        if not is_queued:
            lane.starts.leave(key, now)
        # Who queues is hardly looked at: it takes no part in what is left of the intervals.
        is_regular = is_watched and not is_queued
        awaits_look = is_watched and awaits_look
        lane.looks.rests(key, now, awaits_look=awaits_look, is_regular=is_regular)
        if not (is_watched or is_queued):
            # It may keep its place for a log call, and so joins once more.
            del self._members[key]
            lane.forget_trial(key)
        self._wake(lane, now)

    def spoilt(self, key: TrainingKey) -> None:
        """Take note that a step came to no end; it keeps its place in the start queue only."""
        is_queued = self.is_queued(key)
        self.rests(key, is_queued=is_queued, is_watched=False, awaits_look=False)

    def go_on(self) -> None:
        """See to it that nobody waits for one that was called and does not come."""
        now = self._clock.monotonic()
        for lane in self._lanes.values():
            lane.looks.go_on(now)
            lane.starts.advance(now)
            self._wake(lane, now)

    def leave(self, key: TrainingKey) -> None:
        """Forget a resource."""
        fingerprint = self._members.pop(key, None)
        if fingerprint is not None:
            lane, now = self.of(fingerprint), self._clock.monotonic()
            lane.leave(key, now)
            self._wake(lane, now)

    # What outlives a process.

    def learned(self, fingerprint: str, call: Call) -> tuple[Learned, ...]:
        """What was learned of the limits of a key."""
        lessons = self.of(fingerprint).budgets[call].lessons
        return from_lessons(lessons, self._clock.now(), self._clock.monotonic())

    def has_recalled(self, fingerprint: str) -> bool:
        """Whether what was learned of the limits of a key before was taken over."""
        return fingerprint in self._recalled

    def learn(self, fingerprint: str, learned: Mapping[str, tuple[Learned, ...]]) -> None:
        """Take over what a process before this one has learned."""
        self._recalled.add(fingerprint)
        wall, now = self._clock.now(), self._clock.monotonic()
        for call, budget in self.of(fingerprint).budgets.items():
            budget.learn(to_lessons(learned.get(call, ()), wall, now))

    def is_new_to(self, fingerprint: str, source: str) -> bool:
        """Whether the starts made with a key from this source have yet to be recalled."""
        return (fingerprint, source) not in self._sources

    def recall(self, fingerprint: str, source: str, own: list[Debit], before: list[Debit]) -> None:
        """Count starts that this process has not made itself.

        Args:
            fingerprint: The key's.
            source: Where it is from.
            own: Those made with this key; they count once, however many sources it has.
            before: Those made with keys that the source held before.
        """
        is_first = all(known != fingerprint for known, _ in self._sources)
        debits = [*before, *(own if is_first else ())]
        self._sources.add((fingerprint, source))
        late = [debit for debit in debits if debit.attempt > FREE_ATTEMPTS]
        self.of(fingerprint).starts.recall(self._spent(debits), self._spent(late))

    def recall_logs(self, fingerprint: str, fetched: Iterable[datetime]) -> None:
        """Count log calls that this process has not made itself."""
        self.of(fingerprint).logs.recall([Spent(self._monotonic(at)) for at in fetched])

    def _spent(self, debits: list[Debit]) -> list[Spent]:
        return [Spent(self._monotonic(debit.at), debit.namespace) for debit in debits]

    def _monotonic(self, at: datetime) -> float:
        # One that seems to come is of a clock that goes ahead of this one.
        ago = max((self._clock.now() - at).total_seconds(), 0.0)
        return self._clock.monotonic() - ago

    # For the metrics.

    def queued(self) -> int:
        """How many wait for a start."""
        return sum(len(lane.starts) for lane in self._lanes.values())

    def longest_stretch(self) -> float:
        """Looks at followed runs asked for over those that fit, at the key with least room."""
        now = self._clock.monotonic()
        stretches = (lane.looks.stretch(LookKind.RUNNING, now) for lane in self._lanes.values())
        return max(stretches, default=1.0)

    def open_circuits(self) -> int:
        """How many keys are only probed, of those that somebody uses."""
        used = set(self._members.values())
        return sum(self.of(fingerprint).circuit.outage is not None for fingerprint in used)

    def drop_unused(self) -> None:
        """Forget the keys that nobody uses any more, once nothing counts against them either."""
        used, now = set(self._members.values()), self._clock.monotonic()
        self._lanes = {
            fingerprint: lane
            for fingerprint, lane in self._lanes.items()
            if fingerprint in used or not lane.is_unspent(now)
        }
        self._recalled &= self._lanes.keys()
        self._sources = {one for one in self._sources if one[0] in self._lanes}

    def _joined(self, fingerprint: str, key: TrainingKey) -> Lane:
        if self._members.get(key) != fingerprint:
            self.leave(key)
            self._members[key] = fingerprint
        return self.of(fingerprint)

    def _place(self, lane: Lane, claim: Claim, now: float) -> SlotDeferred | None:
        place = lane.starts.ask(claim, now)
        if place is None:
            return None
        if place.position is None:
            return SlotDeferred(None, place.ask_in)
        at = (self._clock.now() + timedelta(seconds=place.start_in)).replace(microsecond=0)
        number, of = place.position
        return SlotDeferred(Queue(position=number, of=of, estimated_start_at=at), place.ask_in)

    def _wake(self, lane: Lane, now: float) -> None:
        for wake in lane.wakes:
            self._timer.bring_forward(wake.key, wake.at - now)
        lane.wakes.clear()
