"""The key schedulers of all API keys: created as keys appear, and asked on behalf of resources.

core/scheduling/key_scheduler.py decides. This module adds the clocks, the jitter, and the work
queue that triggers the resources that a key scheduler expects.
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
from scriptix_operator.core.reconcile.vocabulary import StartQueued
from scriptix_operator.core.scheduling.circuit_breaker import OpenCircuit
from scriptix_operator.core.scheduling.key_scheduler import Call, KeyScheduler, KeyState
from scriptix_operator.core.scheduling.poll_interval import GrantedInterval
from scriptix_operator.core.scheduling.polls import PollPriority, PollRequest
from scriptix_operator.core.scheduling.start_queue import QueueEntry
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.work_queue import WorkQueue
from scriptix_operator.log_fields import field_logger

__all__ = ["Answer", "KeySchedulers"]

logger = field_logger(__name__)

OPEN_CIRCUIT_WAIT = 60.0
"""Seconds after which a log is due again while the circuit breaker of its key is open."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a call ended."""

    model_id: int
    failure: CallFailure | None = None
    """How the call failed; None: it succeeded."""
    rate_info: RateLimitInfo | None = None
    """The rate-limit info of the reply."""


class KeySchedulers:
    """All key schedulers.

    Args:
        limits: The configured quota for each kind of call.
        work_queue: Triggers the resources that a key scheduler expects.
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
        """The key scheduler that a resource has joined, by fingerprint. A resource joins only one:
        the scheduler of its former key would wait for the resource."""
        self._recalled: set[str] = set()
        """Keys whose observed limits were restored from the ledger."""
        self._sources: set[tuple[str, str]] = set()
        """Keys and the Secrets that hold them: the starts made from there are charged."""

    def of(self, fingerprint: str) -> KeyScheduler:
        """The key scheduler of the key with this fingerprint."""
        if fingerprint not in self._schedulers:
            self._schedulers[fingerprint] = KeyScheduler(self._limits, self._clock.monotonic())
        return self._schedulers[fingerprint]

    # Before a call.

    def poll(
        self, fingerprint: str, key: TrainingKey, poll_request: PollRequest
    ) -> Permit | OpenCircuit | float:
        """Ask for a poll, as KeyScheduler.poll."""
        scheduler, now = self._joined(fingerprint, key), self._clock.monotonic()
        permit = scheduler.poll(key, poll_request, now)
        self._wake_up(scheduler, now)
        return permit

    def vouch(self, fingerprint: str) -> None:
        """Note that the API has accepted a key before, according to a status."""
        self.of(fingerprint).breaker.has_worked = True

    def has_worked(self, fingerprint: str) -> bool:
        """Whether the API has accepted a key before, as far as this process knows."""
        return self.of(fingerprint).breaker.has_worked

    def granted_interval(self, fingerprint: str, kind: PollPriority) -> GrantedInterval:
        """The poll interval that the quota of a key allows."""
        return self.of(fingerprint).polls.granted_interval(kind, self._clock.monotonic())

    def start(
        self, fingerprint: str, queue_entry: QueueEntry
    ) -> Permit | StartQueued | OpenCircuit:
        """Ask for a start: its permit, its queue position, or why none may be made."""
        scheduler, now = self._joined(fingerprint, queue_entry.key), self._clock.monotonic()
        if scheduler.breaker.open_circuit is not None:
            # The circuit breaker has opened since the poll. Polls serve as trial calls, not starts.
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
        """The queue position of a resource; None: its start may be made now."""
        scheduler, now = self._joined(fingerprint, queue_entry.key), self._clock.monotonic()
        position = self._queue_position(scheduler, queue_entry, now)
        self._wake_up(scheduler, now)
        return position

    def log(self, fingerprint: str, key: TrainingKey, *, has_ended: bool) -> Permit | float:
        """Ask for a log call, as LogCalls.ask; none is made while the circuit breaker is open."""
        scheduler, now = self._joined(fingerprint, key), self._clock.monotonic()
        if scheduler.breaker.open_circuit is not None:
            return OPEN_CIRCUIT_WAIT
        return scheduler.logs.ask(key, now, has_ended=has_ended)

    def cancel_log_call(self, fingerprint: str, permit: Permit) -> None:
        """Cancel the permit of a log call that was not made."""
        self.of(fingerprint).logs.cancel(permit, self._clock.monotonic())

    # After a call.

    def answered(self, fingerprint: str, call: Call, permit: Permit, answer: Answer) -> bool:
        """Count a call that has ended; returns whether a limit was observed in the reply."""
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
        """Cancel the permit of a start that was not sent."""
        scheduler, now = self.of(fingerprint), self._clock.monotonic()
        scheduler.starts.cancel(permit, now)
        self._wake_up(scheduler, now)

    def finish_reconcile(
        self, key: TrainingKey, *, is_queued: bool, is_polled: bool, awaits_poll: bool
    ) -> None:
        """Note that a reconcile has ended.

        Args:
            key: The resource.
            is_queued: The resource waits for a start.
            is_polled: The resource will be polled again without another trigger.
            awaits_poll: The resource waits for a permit to poll, and asks again when triggered. A
                resource that cannot ask (its Secret is missing, for instance) must not stay in the
                queue: all others would wait for it.
        """
        fingerprint = self._members.get(key)
        if fingerprint is None:
            return
        scheduler, now = self.of(fingerprint), self._clock.monotonic()
        if not is_queued:
            scheduler.starts.leave(key, now)
        # A queued resource is rarely polled: it takes no part in dividing the poll rate.
        is_regular = is_polled and not is_queued
        awaits_poll = is_polled and awaits_poll
        scheduler.polls.finish(key, now, awaits_poll=awaits_poll, is_regular=is_regular)
        if not (is_polled or is_queued):
            # Its request for a log call stays, and makes it join again.
            del self._members[key]
            scheduler.forget_trial(key)
        self._wake_up(scheduler, now)

    def requeue_failed(self, key: TrainingKey) -> None:
        """Note that a reconcile has failed; the resource keeps its queue entry only."""
        is_queued = self.is_queued(key)
        self.finish_reconcile(key, is_queued=is_queued, is_polled=False, awaits_poll=False)

    def tick(self) -> None:
        """Advance the queues past resources that were triggered and do not ask."""
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

    # Facts that outlive a process.

    def observed_limits(self, fingerprint: str, call: Call) -> tuple[StoredLimit, ...]:
        """The observed limits of a key."""
        observed_limits = self.of(fingerprint).limiters[call].observed_limits
        return stored_limits(observed_limits, self._clock.now(), self._clock.monotonic())

    def has_recalled(self, fingerprint: str) -> bool:
        """Whether the observed limits of a key were restored."""
        return fingerprint in self._recalled

    def learn(
        self, fingerprint: str, observed_limits: Mapping[str, tuple[StoredLimit, ...]]
    ) -> None:
        """Restore the limits that earlier processes observed."""
        self._recalled.add(fingerprint)
        wall, now = self._clock.now(), self._clock.monotonic()
        for call, limiter in self.of(fingerprint).limiters.items():
            limiter.restore_limits(restored_limits(observed_limits.get(call, ()), wall, now))

    def is_new_to(self, fingerprint: str, source: str) -> bool:
        """Whether the starts made with a key from this source have yet to be charged."""
        return (fingerprint, source) not in self._sources

    def recall(
        self, fingerprint: str, source: str, own: list[StartCharge], before: list[StartCharge]
    ) -> None:
        """Charge starts that earlier processes made.

        Args:
            fingerprint: The fingerprint of the key.
            source: The Secret that holds the key.
            own: Starts made with this key; charged once, however many sources the key has.
            before: Starts made with keys that the source held before.
        """
        is_first = all(known != fingerprint for known, _ in self._sources)
        charges = [*before, *(own if is_first else ())]
        self._sources.add((fingerprint, source))
        self.of(fingerprint).starts.recall(
            [PastCall(self._monotonic(charge.at), charge.namespace) for charge in charges]
        )

    def recall_logs(self, fingerprint: str, fetched: Iterable[datetime]) -> None:
        """Charge log calls that earlier processes made."""
        self.of(fingerprint).logs.recall([PastCall(self._monotonic(at)) for at in fetched])

    def _monotonic(self, at: datetime) -> float:
        # A charge in the future was written by a clock that is ahead of this one.
        ago = max((self._clock.now() - at).total_seconds(), 0.0)
        return self._clock.monotonic() - ago

    # For the metrics.

    def states(self) -> dict[str, KeyState]:
        """The state of each key that a resource uses, or whose quotas have charges."""
        used, now = set(self._members.values()), self._clock.monotonic()
        return {
            fingerprint: scheduler.state(now, is_used=fingerprint in used)
            for fingerprint, scheduler in self._schedulers.items()
        }

    def drop_unused(self) -> None:
        """Forget the keys that no resource uses, once no charge counts against them."""
        used, now = set(self._members.values()), self._clock.monotonic()
        for fingerprint, scheduler in tuple(self._schedulers.items()):
            if fingerprint in used or not scheduler.is_unspent(now):
                continue
            del self._schedulers[fingerprint]
            if scheduler.breaker.open_circuit is not None:
                text = "the circuit breaker is dropped: no resource uses the API key any more"
                logger.about(fingerprint=fingerprint).info(text)
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
