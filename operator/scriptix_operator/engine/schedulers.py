"""The key schedulers of all API keys: created as keys appear, and asked on behalf of resources.

core/scheduling/key_scheduler.py decides. This module adds the clocks, the jitter, the one key that
a resource uses, and the work queue that triggers the resources that a key scheduler expects.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

from scriptix_operator.api.status import Queue
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.reconcile.vocabulary import StartQueued
from scriptix_operator.core.scheduling.calls import Answer, Call, CallPermit
from scriptix_operator.core.scheduling.circuit_breaker import OpenCircuit
from scriptix_operator.core.scheduling.key_scheduler import KeyScheduler, KeyState
from scriptix_operator.core.scheduling.poll_interval import GrantedInterval
from scriptix_operator.core.scheduling.poll_scheduler import PollPriority, PollRequest
from scriptix_operator.core.scheduling.quota_document import QuotaDocument, quota_document
from scriptix_operator.core.scheduling.start_queue import QueueEntry
from scriptix_operator.core.scheduling.start_scheduler import QueuePosition
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.work_queue import WorkQueue
from scriptix_operator.log_fields import field_logger

__all__ = ["KeySchedulers", "NextPoll"]

logger = field_logger(__name__)


class NextPoll(NamedTuple):
    """A poll that is due next for a resource, and nothing else."""

    request: PollRequest
    at_latest: float
    """Seconds after which the resource is reconciled even if the quota does not allow the poll."""


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
        self._next_polls: dict[TrainingKey, NextPoll] = {}
        """The resources that are due for a poll only; `at_latest` is a monotonic time here."""

    def of(self, fingerprint: str) -> KeyScheduler:
        """The key scheduler of the key with this fingerprint."""
        if fingerprint not in self._schedulers:
            self._schedulers[fingerprint] = KeyScheduler(self._limits, self._clock.monotonic())
        return self._schedulers[fingerprint]

    # Calls.

    def acquire_poll(
        self, fingerprint: str, key: TrainingKey, request: PollRequest
    ) -> CallPermit | OpenCircuit | float:
        """Acquire the permit of a poll, as KeyScheduler.acquire_poll."""
        with self._joined(fingerprint, key) as (scheduler, now):
            return scheduler.acquire_poll(key, request, now)

    def check_queue(self, fingerprint: str, queue_entry: QueueEntry) -> StartQueued | None:
        """The queue position of a resource; None: its start may be made now."""
        with self._joined(fingerprint, queue_entry.key) as (scheduler, now):
            position = scheduler.queue_position(queue_entry, now)
            return None if position is None else self._start_queued(position)

    def acquire_start(
        self, fingerprint: str, queue_entry: QueueEntry
    ) -> CallPermit | StartQueued | OpenCircuit:
        """Acquire the permit of a start, as KeyScheduler.acquire_start."""
        with self._joined(fingerprint, queue_entry.key) as (scheduler, now):
            permit = scheduler.acquire_start(queue_entry, now)
            return self._start_queued(permit) if isinstance(permit, QueuePosition) else permit

    def acquire_log(
        self, fingerprint: str, key: TrainingKey, *, has_ended: bool
    ) -> CallPermit | float:
        """Acquire the permit of a log call, as KeyScheduler.acquire_log."""
        with self._joined(fingerprint, key) as (scheduler, now):
            return scheduler.acquire_log(key, now, has_ended=has_ended)

    def complete(self, fingerprint: str, permit: CallPermit, answer: Answer) -> bool:
        """Count a call that has ended; returns whether a limit was observed in the reply."""
        with self._of(fingerprint) as (scheduler, now):
            jitter = self.jitter() if permit.call is Call.STATUS else 0.0  # polls are trial calls
            return scheduler.complete(permit, answer, now, jitter)

    def cancel(self, fingerprint: str, permit: CallPermit) -> None:
        """Cancel the permit of a call that was not sent."""
        with self._of(fingerprint) as (scheduler, now):
            scheduler.cancel(permit, now)

    def wait(self, fingerprint: str, call: Call) -> float:
        """Seconds until the next call of a kind fits."""
        return self.of(fingerprint).limiters[call].wait(self._clock.monotonic())

    def granted_interval(self, fingerprint: str, priority: PollPriority) -> GrantedInterval:
        """The poll interval that the quota of a key allows."""
        return self.of(fingerprint).granted_interval(priority, self._clock.monotonic())

    # Resources.

    def is_queued(self, key: TrainingKey) -> bool:
        """Whether a resource waits in a start queue."""
        fingerprint = self._members.get(key)
        return fingerprint is not None and self.of(fingerprint).is_queued(key)

    def finish_reconcile(
        self,
        key: TrainingKey,
        *,
        is_queued: bool,
        is_polled: bool = False,
        awaits_poll: bool = False,
        next_poll: NextPoll | None = None,
    ) -> None:
        """Record the end of a reconcile, as KeyScheduler.finish_reconcile; and the next poll."""
        self.reconcile_when_due(key)
        fingerprint = self._members.get(key)
        if fingerprint is None:
            return
        with self._of(fingerprint) as (scheduler, now):
            scheduler.finish_reconcile(
                key, now, is_queued=is_queued, is_polled=is_polled, awaits_poll=awaits_poll
            )
        if not (is_polled or is_queued):
            # Its request for a log call stays, and makes it join again.
            del self._members[key]
        elif next_poll is not None:
            at_latest = self._clock.monotonic() + next_poll.at_latest
            self._next_polls[key] = next_poll._replace(at_latest=at_latest)

    def await_poll(self, key: TrainingKey) -> float | None:
        """Keep a due resource waiting for the permit of its poll, if nothing else is due for it.

        Returns:
            Seconds until the resource is due again; None: it is to be reconciled now.
        """
        next_poll, fingerprint = self._next_polls.get(key), self._members.get(key)
        if next_poll is None or fingerprint is None:
            return None
        with self._of(fingerprint) as (scheduler, now):
            wait = scheduler.await_poll(key, next_poll.request, now)
        wait = min(wait, next_poll.at_latest - now)
        return wait if wait > 0 else None

    def reconcile_when_due(self, key: TrainingKey) -> None:
        """Keep a resource waiting for no permit: it has changed."""
        self._next_polls.pop(key, None)

    def forget(self, key: TrainingKey) -> None:
        """Remove a resource from all queues of its key."""
        self.reconcile_when_due(key)
        fingerprint = self._members.pop(key, None)
        if fingerprint is not None:
            with self._of(fingerprint) as (scheduler, now):
                scheduler.forget(key, now)

    def tick(self) -> None:
        """Advance the queues past resources that were triggered and do not ask."""
        for fingerprint in self._schedulers:
            with self._of(fingerprint) as (scheduler, now):
                scheduler.tick(now)

    # Keys.

    def quota_document(self) -> QuotaDocument:
        """The quota left per key, and the start queues."""
        return quota_document(self._schedulers, self._clock.monotonic(), self._clock.now())

    def states(self) -> dict[str, KeyState]:
        """The state of each key that a resource uses, or whose quotas have charges.

        Other keys are forgotten.
        """
        used, now = set(self._members.values()), self._clock.monotonic()
        states = {}
        for fingerprint, scheduler in tuple(self._schedulers.items()):
            if fingerprint in used or not scheduler.is_unspent(now):
                states[fingerprint] = scheduler.state(now, is_used=fingerprint in used)
                continue
            del self._schedulers[fingerprint]
            if scheduler.breaker.open_circuit is not None:
                text = "the circuit breaker is dropped: no resource uses the API key any more"
                logger.about(fingerprint=fingerprint).info(text)
        return states

    @contextmanager
    def _of(self, fingerprint: str) -> Iterator[tuple[KeyScheduler, float]]:
        """A key scheduler and the time; then trigger the resources that it expects."""
        scheduler, now = self.of(fingerprint), self._clock.monotonic()
        yield scheduler, now
        for wake_up in scheduler.take_wake_ups():
            self._work_queue.bring_forward(wake_up.key, wake_up.at - now)

    @contextmanager
    def _joined(self, fingerprint: str, key: TrainingKey) -> Iterator[tuple[KeyScheduler, float]]:
        """The key scheduler of a resource, which leaves the one of its former key."""
        if self._members.get(key) != fingerprint:
            self.forget(key)
            self._members[key] = fingerprint
        with self._of(fingerprint) as found:
            yield found

    def _start_queued(self, position: QueuePosition) -> StartQueued:
        if position.position is None:
            return StartQueued(None, position.ask_in)
        at = (self._clock.now() + timedelta(seconds=position.start_in)).replace(microsecond=0)
        number, of = position.position
        return StartQueued(Queue(position=number, of=of, estimated_start_at=at), position.ask_in)
