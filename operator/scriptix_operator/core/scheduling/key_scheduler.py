"""One key scheduler for each API key: client-side flow control of starts, polls and log calls.

Keys with the same value share a scheduler, whichever Secret they come from. Each call is acquired,
and its permit is completed with the result or cancelled. Nothing blocks here: a scheduler answers
at once, and says which resources are to ask again, and when. Times are monotonic seconds, given by
the caller.

    acquire_start   acquire_poll   acquire_log          complete, cancel
          |              |              |                      |
      open circuit? ------------------------ circuit breaker <-+
          |              |              |                      |
     start queue     fair queue     log queue                  |   order: who is next
          |              |              |                      |
     rate limiter   rate limiter   rate limiter <--------------+   when a call fits
          +--------------+--------------+--> permit
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limiter import LimitUse, RateLimiter
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.scheduling.calls import Answer, Call, CallPermit
from scriptix_operator.core.scheduling.circuit_breaker import (
    CircuitBreaker,
    OpenCause,
    OpenCircuit,
)
from scriptix_operator.core.scheduling.log_scheduler import RUNNING, LogScheduler
from scriptix_operator.core.scheduling.poll_interval import GrantedInterval
from scriptix_operator.core.scheduling.poll_scheduler import (
    PollPriority,
    PollRequest,
    PollScheduler,
)
from scriptix_operator.core.scheduling.start_queue import QueueEntry
from scriptix_operator.core.scheduling.start_scheduler import QueuePosition, StartScheduler
from scriptix_operator.core.scheduling.trial_calls import TrialCalls
from scriptix_operator.core.scheduling.wake_up import WakeUp

__all__ = ["OPEN_CIRCUIT_WAIT", "KeyScheduler", "KeyState"]

OPEN_CIRCUIT_WAIT = 60.0
"""Seconds after which a log is due again while the circuit breaker of its key is open."""


@dataclass(frozen=True, slots=True)
class KeyState:
    """The state of an API key, for the metrics."""

    quotas: Mapping[Call, tuple[LimitUse, ...]]
    """The limits that apply to each kind of call, and their use."""
    start_queue_length: int
    """Resources in the start queue."""
    poll_interval_ratio: float
    """Requested over granted poll rate of followed runs; 1: unconstrained."""
    open_cause: OpenCause | None
    """Why the circuit is open; None: the circuit is closed."""
    is_used: bool
    """Whether a resource uses the key; else only the use of its quotas is of interest."""


class KeyScheduler:
    """Flow control of one API key.

    Args:
        limits: The configured limits of each kind of call.
        now: The time. Earlier calls with the key are not known, except for its starts.
    """

    def __init__(self, limits: Mapping[Call, tuple[Limit, ...]], now: float) -> None:
        self.invalid_rate_info: set[Call] = set()
        """Kinds of calls whose replies had invalid rate-limit info."""
        self.has_restored_limits = False
        """Whether the limits that earlier processes observed were restored."""
        self.charged_sources: set[str] = set()
        """The Secrets that hold the key, as far as the starts made from there were charged."""
        self.limiters: Mapping[Call, RateLimiter] = {
            call: RateLimiter(limits[call], evenly=call is not Call.START) for call in Call
        }
        """The quotas. Facts of an earlier process are restored here; calls are made below."""
        self.breaker = CircuitBreaker()
        self._trials = TrialCalls(self.breaker)
        self._starts = StartScheduler(self.limiters[Call.START])
        self._polls = PollScheduler(self.limiters[Call.STATUS])
        self._logs = LogScheduler(self.limiters[Call.LOG])
        self._wake_ups: list[WakeUp] = []
        self._pace(now)

    # Before a call.

    def acquire_poll(
        self, key: TrainingKey, request: PollRequest, now: float
    ) -> CallPermit | OpenCircuit | float:
        """Acquire the permit of a poll.

        Returns:
            The permit; why the open circuit prevents the poll; or seconds until asking again makes
            sense, unless the resource is triggered earlier.
        """
        open_circuit = self.breaker.blocks(now)
        if open_circuit is not None:
            self._polls.leave(key)
            self._wake_ups += self._trials.hold_up(key)
            return open_circuit
        self._wake_ups += self._polls.join(key, request, now)
        wait = self._polls.wait(key, now)
        if wait > 0:
            return self._wait_in_queues(key, wait, now)
        self._polls.leave(key)
        permit = self._acquire(Call.STATUS, key, now)
        self._trials.acquire(permit, now)
        self._wake_ups += self._polls.advance(now)
        self._drop_wake_ups(key)
        return permit

    def await_poll(self, key: TrainingKey, request: PollRequest, now: float) -> float:
        """Join the queue of the polls, or keep the position, without a reconcile.

        Returns:
            Seconds until asking again makes sense; 0: a reconcile can acquire the permit of the
            poll, or finds out that the circuit is open.
        """
        if self.breaker.blocks(now) is not None:
            return 0.0
        self._wake_ups += self._polls.join(key, request, now)
        return self._polls.wait(key, now)

    def queue_position(self, queue_entry: QueueEntry, now: float) -> QueuePosition | None:
        """Join the start queue; returns the position, or None if the resource may start now."""
        self._wake_ups += self._starts.join(queue_entry, now)
        position = self._starts.wait(queue_entry.key, now)
        if position is None:
            self._drop_wake_ups(queue_entry.key)
        return position

    def acquire_start(
        self, queue_entry: QueueEntry, now: float
    ) -> CallPermit | QueuePosition | OpenCircuit:
        """Acquire the permit of a start; or return the queue position, or the open circuit.

        The circuit breaker may have opened since the poll. Polls serve as trial calls, not starts.
        """
        if self.breaker.open_circuit is not None:
            self._wake_ups += self._trials.hold_up(queue_entry.key)
            return self.breaker.open_circuit
        position = self.queue_position(queue_entry, now)
        if position is not None:
            return position
        self._starts.leave(queue_entry.key)
        permit = self._acquire(Call.START, queue_entry.key, now, queue_entry.key.namespace)
        self._starts.restart_patience()
        self._wake_ups += self._starts.advance(now)
        return permit

    def acquire_log(self, key: TrainingKey, now: float, *, has_ended: bool) -> CallPermit | float:
        """Acquire the permit of a log call, or return the seconds until asking again makes sense.

        Args:
            key: The resource.
            now: The time.
            has_ended: The run has ended, so the call comes before those for running trainings.
        """
        if self.breaker.open_circuit is not None:
            return OPEN_CIRCUIT_WAIT
        wait = self._logs.wait(key, now, has_ended=has_ended)
        if wait > 0:
            return wait
        if has_ended:
            self._logs.leave(key)
        return self._acquire(Call.LOG, key, now, "" if has_ended else RUNNING)

    def is_queued(self, key: TrainingKey) -> bool:
        """Whether a resource waits in the start queue."""
        return key in self._starts

    def granted_interval(self, priority: PollPriority, now: float) -> GrantedInterval:
        """What the quota grants of the poll intervals that resources request."""
        return self._polls.granted_interval(priority, now)

    # After a call.

    def complete(self, permit: CallPermit, answer: Answer, now: float, jitter: float) -> bool:
        """Count a call whose reply was read, or given up.

        Args:
            permit: The permit of the call.
            answer: How the call ended.
            now: When that was.
            jitter: 0 to 1, drawn at random, for the delay of a trial call.

        Returns:
            Whether the observed limits have changed.
        """
        has_observed_limit = self.limiters[permit.call].complete(
            permit.reserved, now, answer.failure, answer.rate_info
        )
        self._advance(permit.call, now)
        if permit.call is Call.STATUS:
            self._complete_trial(permit, answer, now, jitter)
        return has_observed_limit

    def cancel(self, permit: CallPermit, now: float) -> None:
        """Cancel the permit of a call that was not sent."""
        self.limiters[permit.call].cancel(permit.reserved, now)
        self._advance(permit.call, now)

    def finish_reconcile(
        self, key: TrainingKey, now: float, *, is_queued: bool, is_polled: bool, awaits_poll: bool
    ) -> None:
        """Record the end of a reconcile.

        Args:
            key: The resource.
            now: The time.
            is_queued: The resource waits for a start.
            is_polled: The resource will be polled again without another trigger.
            awaits_poll: The resource waits for a permit to poll, and asks again when triggered. A
                resource that cannot ask (its Secret is missing, for instance) must not stay in the
                queue: all others would wait for it.
        """
        if key in self._starts and not is_queued:
            self._starts.leave(key)
            self._wake_ups += self._starts.advance(now)
        if not (is_polled and awaits_poll):
            self._polls.leave(key)
        # A queued resource is rarely polled: it takes no part in dividing the poll rate.
        if is_queued or not is_polled:
            self._polls.leave_rates(key)
        self._wake_ups += self._polls.advance(now)
        if not (is_polled or is_queued):
            self._wake_ups += self._trials.forget(key)

    def forget(self, key: TrainingKey, now: float) -> None:
        """Remove a resource from all queues."""
        self.finish_reconcile(key, now, is_queued=False, is_polled=False, awaits_poll=False)
        self._logs.leave(key)

    # Apart from calls.

    def tick(self, now: float) -> None:
        """Advance the queues past resources that were triggered and do not ask."""
        self._wake_ups += self._polls.advance(now)
        self._wake_ups += self._starts.update_positions(now)

    def take_wake_ups(self) -> list[WakeUp]:
        """Take the wake-ups since the last time: resources that are to ask again, and when."""
        wake_ups, self._wake_ups = self._wake_ups, []
        return wake_ups

    def state(self, now: float, *, is_used: bool) -> KeyState:
        """The state of the key, for the metrics."""
        return KeyState(
            quotas={call: limiter.use(now) for call, limiter in self.limiters.items()},
            start_queue_length=self.start_queue_length,
            poll_interval_ratio=self._polls.interval_ratio(PollPriority.RUNNING, now),
            open_cause=self.breaker.cause,
            is_used=is_used,
        )

    @property
    def start_queue_length(self) -> int:
        """The number of resources in the start queue."""
        return len(self._starts)

    def queued_starts(self, now: float) -> Iterator[tuple[TrainingKey, float]]:
        """The start queue in order, each resource with the seconds until its expected start."""
        return self._starts.expected_starts(now)

    def is_unspent(self, now: float) -> bool:
        """Whether the scheduler equals a new one, once no resource uses it."""
        return all(limiter.is_unspent(now) for limiter in self.limiters.values())

    # Inside.

    def _acquire(self, call: Call, key: TrainingKey, now: float, tag: str = "") -> CallPermit:
        return CallPermit(call, key, self.limiters[call].acquire(now, tag))

    def _advance(self, call: Call, now: float) -> None:
        """Advance the queue of a kind of call, whose quota has changed."""
        if call is Call.START:
            self._wake_ups += self._starts.advance(now)
        elif call is Call.STATUS:
            self._wake_ups += self._polls.advance(now)

    def _complete_trial(
        self, permit: CallPermit, answer: Answer, now: float, jitter: float
    ) -> None:
        """Record the result of a poll in the circuit breaker; once closed, resume all calls."""
        was_open = self.breaker.open_circuit is not None
        interval = 1 / self.limiters[Call.STATUS].rate(now)
        self._wake_ups += self._trials.complete(permit, answer, now, jitter, interval)
        if was_open and self.breaker.open_circuit is None:
            self._pace(now)
            self._starts.expect_again()
            self._wake_ups += self._starts.advance(now)

    def _wait_in_queues(self, key: TrainingKey, wait: float, now: float) -> float:
        """The wait for a poll, or until a queued resource may start, whichever is shorter."""
        position = self._starts.wait(key, now) if key in self._starts else None
        return wait if position is None else min(wait, position.ask_in)

    def _drop_wake_ups(self, key: TrainingKey) -> None:
        """The resource calls now: another wake-up would make it ask again."""
        self._wake_ups = [wake_up for wake_up in self._wake_ups if wake_up.key != key]

    def _pace(self, now: float) -> None:
        """Make no bursts for a while: earlier calls are not known, or many resources call now."""
        for call in (Call.STATUS, Call.LOG):
            self.limiters[call].pace(now)
