"""The lanes of all API keys: made as keys turn up, and asked on behalf of resources.

Decisions are in core/scheduling/key_scheduler.py. Here is what they lack: clocks, luck, and the
timer that wakes whoever a lane expects.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from scriptix_operator.api.status import Queue
from scriptix_operator.core.ledger.ledger import StartCharge
from scriptix_operator.core.ledger.observed_limits import (
    StoredLimit,
    restored_limits,
    stored_limits,
)
from scriptix_operator.core.model.remote import CallFailure, RateLimitInfo
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.window import PastCall, Permit
from scriptix_operator.core.reconcile.protocol import StartQueued
from scriptix_operator.core.scheduling.circuit_breaker import OpenCircuit
from scriptix_operator.core.scheduling.key_scheduler import Call, KeyScheduler
from scriptix_operator.core.scheduling.poll_interval import GrantedInterval
from scriptix_operator.core.scheduling.polls import PollPriority, PollRequest
from scriptix_operator.core.scheduling.start_queue import FREE_ATTEMPTS, QueueEntry
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.work_queue import WorkQueue

__all__ = ["Answer", "KeySchedulers"]

OPEN_CIRCUIT_WAIT = 60.0
"""Seconds after which a log is asked for again, where no calls are made with its key."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended."""

    model_id: int
    failure: CallFailure | None = None
    """None: it did not fail."""
    rate_info: RateLimitInfo | None = None
    """What the reply says of the limit."""


class KeySchedulers:
    """All lanes.

    Args:
        limits: The configured allowance for each kind of call.
        work_queue: Wakes those who are expected.
        clock: The clocks.
        jitter: Draws a number from 0 to 1.
    """

    def __init__(
        self,
        limits: Mapping[Call, tuple[Limit, ...]],
        work_queue: WorkQueue,
        clock: Clock,
        jitter: Callable[[], float],
    ) -> None:
        self._limits = dict(limits)
        self._work_queue = work_queue
        self._clock = clock
        self.jitter = jitter
        self._schedulers: dict[str, KeyScheduler] = {}
        self._members: dict[TrainingKey, str] = {}
        """In whose lane a resource is; in no more than one: whoever stays behind in the lane of
        another key would be waited for there."""
        self._recalled: set[str] = set()
        """Keys whose learned limits were taken over from the processes before this one."""
        self._sources: set[tuple[str, str]] = set()
        """Keys and the Secrets that they were seen in: what was started from there is counted."""

    def of(self, fingerprint: str) -> KeyScheduler:
        """The lane of the key with this fingerprint."""
        if fingerprint not in self._schedulers:
            self._schedulers[fingerprint] = KeyScheduler(self._limits, self._clock.monotonic())
        return self._schedulers[fingerprint]

    # Before a call.

    def poll(
        self, fingerprint: str, key: TrainingKey, poll_request: PollRequest
    ) -> Permit | OpenCircuit | float:
        """Ask for a look, as Lane.look."""
        scheduler, now = self._joined(fingerprint, key), self._clock.monotonic()
        permit = scheduler.poll(key, poll_request, now)
        self._wake_up(scheduler, now)
        return permit

    def vouch(self, fingerprint: str) -> None:
        """Take note that the API has accepted a key before, as a status says."""
        self.of(fingerprint).breaker.has_worked = True

    def has_worked(self, fingerprint: str) -> bool:
        """Whether the API has accepted a key before, as far as this process knows."""
        return self.of(fingerprint).breaker.has_worked

    def granted_interval(self, fingerprint: str, kind: PollPriority) -> GrantedInterval:
        """What can be kept of the intervals between looks that are asked for."""
        return self.of(fingerprint).polls.granted_interval(kind, self._clock.monotonic())

    def start(
        self, fingerprint: str, queue_entry: QueueEntry
    ) -> Permit | StartQueued | OpenCircuit:
        """Ask for a start: the call, the place in the queue, or why none may be made."""
        scheduler, now = self._joined(fingerprint, queue_entry.key), self._clock.monotonic()
        if scheduler.breaker.open_circuit is not None:
            # It has opened since the look. Not even as a probe: a look costs less.
            scheduler.hold_up(queue_entry.key)
            self._wake_up(scheduler, now)
            return scheduler.breaker.open_circuit
        position = self._queue_position(scheduler, queue_entry, now)
        permit = scheduler.starts.acquire(queue_entry, now) if position is None else position
        self._wake_up(scheduler, now)
        return permit

    def is_queued(self, key: TrainingKey) -> bool:
        """Whether a resource waits in a start queue."""
        fingerprint = self._members.get(key)
        return fingerprint is not None and key in self.of(fingerprint).starts

    def check_queue(self, fingerprint: str, queue_entry: QueueEntry) -> StartQueued | None:
        """Ask how far the queue is; None: it is this one's turn."""
        scheduler, now = self._joined(fingerprint, queue_entry.key), self._clock.monotonic()
        position = self._queue_position(scheduler, queue_entry, now)
        self._wake_up(scheduler, now)
        return position

    def log(self, fingerprint: str, key: TrainingKey, *, has_ended: bool) -> Permit | float:
        """Ask for a log call, as LogCalls.ask; none may be made while the circuit is open."""
        scheduler, now = self._joined(fingerprint, key), self._clock.monotonic()
        if scheduler.breaker.open_circuit is not None:
            return OPEN_CIRCUIT_WAIT
        return scheduler.logs.ask(key, now, has_ended=has_ended)

    def cancel_log_call(self, fingerprint: str, permit: Permit) -> None:
        """Take back a log call that was not made."""
        self.of(fingerprint).logs.cancel(permit, self._clock.monotonic())

    # After a call.

    def answered(self, fingerprint: str, call: Call, permit: Permit, answer: Answer) -> bool:
        """Count a call that was answered; returns whether limits were learned from it."""
        scheduler, now = self.of(fingerprint), self._clock.monotonic()
        has_observed_limit = scheduler.answered(call, permit, now, answer.failure, answer.rate_info)
        if call is Call.STATUS:
            scheduler.polled(permit, answer.model_id, answer.failure, now, self.jitter())
        self._wake_up(scheduler, now)
        return has_observed_limit

    def wait(self, fingerprint: str, call: Call) -> float:
        """Seconds until the next call of a kind fits."""
        return self.of(fingerprint).limiters[call].wait(self._clock.monotonic())

    def cancel(self, fingerprint: str, permit: Permit) -> None:
        """Take back a start that was not sent."""
        scheduler, now = self.of(fingerprint), self._clock.monotonic()
        scheduler.starts.cancel(permit, now)
        self._wake_up(scheduler, now)

    def finish_reconcile(
        self, key: TrainingKey, *, is_queued: bool, is_watched: bool, awaits_poll: bool
    ) -> None:
        """Take note that a step is over.

        Args:
            key: Whose.
            is_queued: It waits for a start.
            is_watched: It will be looked at again by itself.
            awaits_poll: It was told to wait for a look, and will come when it is called. Whoever
                cannot ask (its Secret is gone, say) must not stand in line: all would wait for it.
        """
        fingerprint = self._members.get(key)
        if fingerprint is None:
            return
        scheduler, now = self.of(fingerprint), self._clock.monotonic()
        if not is_queued:
            scheduler.starts.leave(key, now)
        # Who queues is hardly looked at: it takes no part in what is left of the intervals.
        is_regular = is_watched and not is_queued
        awaits_poll = is_watched and awaits_poll
        scheduler.polls.finish(key, now, awaits_poll=awaits_poll, is_regular=is_regular)
        if not (is_watched or is_queued):
            # It may keep its place for a log call, and so joins once more.
            del self._members[key]
            scheduler.forget_trial(key)
        self._wake_up(scheduler, now)

    def requeue_failed(self, key: TrainingKey) -> None:
        """Take note that a step came to no end; it keeps its place in the start queue only."""
        is_queued = self.is_queued(key)
        self.finish_reconcile(key, is_queued=is_queued, is_watched=False, awaits_poll=False)

    def tick(self) -> None:
        """See to it that nobody waits for one that was called and does not come."""
        now = self._clock.monotonic()
        for scheduler in self._schedulers.values():
            scheduler.polls.tick(now)
            scheduler.starts.advance(now)
            self._wake_up(scheduler, now)

    def leave(self, key: TrainingKey) -> None:
        """Forget a resource."""
        fingerprint = self._members.pop(key, None)
        if fingerprint is not None:
            scheduler, now = self.of(fingerprint), self._clock.monotonic()
            scheduler.leave(key, now)
            self._wake_up(scheduler, now)

    # What outlives a process.

    def observed_limits(self, fingerprint: str, call: Call) -> tuple[StoredLimit, ...]:
        """What was learned of the limits of a key."""
        observed_limits = self.of(fingerprint).limiters[call].observed_limits
        return stored_limits(observed_limits, self._clock.now(), self._clock.monotonic())

    def has_recalled(self, fingerprint: str) -> bool:
        """Whether what was learned of the limits of a key before was taken over."""
        return fingerprint in self._recalled

    def learn(
        self, fingerprint: str, observed_limits: Mapping[str, tuple[StoredLimit, ...]]
    ) -> None:
        """Take over what a process before this one has learned."""
        self._recalled.add(fingerprint)
        wall, now = self._clock.now(), self._clock.monotonic()
        for call, budget in self.of(fingerprint).limiters.items():
            budget.learn(restored_limits(observed_limits.get(call, ()), wall, now))

    def is_new_to(self, fingerprint: str, source: str) -> bool:
        """Whether the starts made with a key from this source have yet to be recalled."""
        return (fingerprint, source) not in self._sources

    def recall(
        self, fingerprint: str, source: str, own: list[StartCharge], before: list[StartCharge]
    ) -> None:
        """Count starts that this process has not made itself.

        Args:
            fingerprint: The key's.
            source: Where it is from.
            own: Those made with this key; they count once, however many sources it has.
            before: Those made with keys that the source held before.
        """
        is_first = all(known != fingerprint for known, _ in self._sources)
        charges = [*before, *(own if is_first else ())]
        self._sources.add((fingerprint, source))
        late = [charge for charge in charges if charge.attempt > FREE_ATTEMPTS]
        self.of(fingerprint).starts.recall(self._spent(charges), self._spent(late))

    def recall_logs(self, fingerprint: str, fetched: Iterable[datetime]) -> None:
        """Count log calls that this process has not made itself."""
        self.of(fingerprint).logs.recall([PastCall(self._monotonic(at)) for at in fetched])

    def _spent(self, charges: list[StartCharge]) -> list[PastCall]:
        return [PastCall(self._monotonic(charge.at), charge.namespace) for charge in charges]

    def _monotonic(self, at: datetime) -> float:
        # One that seems to come is of a clock that goes ahead of this one.
        ago = max((self._clock.now() - at).total_seconds(), 0.0)
        return self._clock.monotonic() - ago

    # For the metrics.

    def queued(self) -> int:
        """How many wait for a start."""
        return sum(len(scheduler.starts) for scheduler in self._schedulers.values())

    def poll_interval_ratio(self) -> float:
        """Looks at followed runs asked for over those that fit, at the key with least room."""
        now = self._clock.monotonic()
        stretches = (
            scheduler.polls.interval_ratio(PollPriority.RUNNING, now)
            for scheduler in self._schedulers.values()
        )
        return max(stretches, default=1.0)

    def open_circuits(self) -> int:
        """How many keys are only probed, of those that somebody uses."""
        used = set(self._members.values())
        return sum(self.of(fingerprint).breaker.open_circuit is not None for fingerprint in used)

    def drop_unused(self) -> None:
        """Forget the keys that nobody uses any more, once nothing counts against them either."""
        used, now = set(self._members.values()), self._clock.monotonic()
        self._schedulers = {
            fingerprint: scheduler
            for fingerprint, scheduler in self._schedulers.items()
            if fingerprint in used or not scheduler.is_unspent(now)
        }
        self._recalled &= self._schedulers.keys()
        self._sources = {one for one in self._sources if one[0] in self._schedulers}

    def _joined(self, fingerprint: str, key: TrainingKey) -> KeyScheduler:
        if self._members.get(key) != fingerprint:
            self.leave(key)
            self._members[key] = fingerprint
        return self.of(fingerprint)

    def _queue_position(
        self, scheduler: KeyScheduler, queue_entry: QueueEntry, now: float
    ) -> StartQueued | None:
        position = scheduler.starts.ask(queue_entry, now)
        if position is None:
            return None
        if position.position is None:
            return StartQueued(None, position.ask_in)
        at = (self._clock.now() + timedelta(seconds=position.start_in)).replace(microsecond=0)
        number, of = position.position
        return StartQueued(Queue(position=number, of=of, estimated_start_at=at), position.ask_in)

    def _wake_up(self, scheduler: KeyScheduler, now: float) -> None:
        for wake_up in scheduler.wake_ups:
            self._work_queue.bring_forward(wake_up.key, wake_up.at - now)
        scheduler.wake_ups.clear()
