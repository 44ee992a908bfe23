"""One key scheduler for each API key: limiters, queues and the circuit breaker.

Keys with the same value share a scheduler, whichever Secret they come from. Nothing blocks here: a
scheduler answers at once, and lists in `wake_ups` which resources are to ask again, and when. Times
are monotonic seconds, given by the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from scriptix_operator.core.model.remote import CallFailure, RateLimitInfo
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limiter import LimitUse, RateLimiter
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.window import Permit
from scriptix_operator.core.scheduling.circuit_breaker import (
    CircuitBreaker,
    OpenCause,
    OpenCircuit,
    is_unanswered,
)
from scriptix_operator.core.scheduling.log_fetches import LogCalls
from scriptix_operator.core.scheduling.polls import PollPriority, PollRequest, PollScheduler, WakeUp
from scriptix_operator.core.scheduling.starts import Starts

__all__ = ["Call", "KeyScheduler", "KeyState"]


class Call(StrEnum):
    """Kinds of calls, each with a quota of its own."""

    START = "start"
    STATUS = "status"
    LOG = "log"


@dataclass(frozen=True, slots=True)
class KeyState:
    """The state of an API key, for the metrics."""

    quotas: Mapping[Call, tuple[LimitUse, ...]]
    """The limits that apply to each kind of call, and their use."""
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
        self.wake_ups: list[WakeUp] = []
        """Resources that the scheduler expects to ask again; the caller takes them."""
        self.breaker = CircuitBreaker()
        self.flawed: set[Call] = set()
        """Kinds of calls whose replies had invalid rate-limit info."""
        self._held_up: dict[TrainingKey, None] = {}
        """Resources whose polls the open circuit has prevented, or whose polls had no answer since
        the last answered poll; in this order."""
        self._polling: dict[Permit, TrainingKey] = {}
        """The resource of each poll in flight."""
        self.polls = PollScheduler(limits[Call.STATUS], self.wake_ups)
        self.starts = Starts(limits[Call.START], self.wake_ups)
        self.logs = LogCalls(limits[Call.LOG])
        self._kinds: Mapping[Call, Starts | PollScheduler | LogCalls] = {
            Call.START: self.starts,
            Call.STATUS: self.polls,
            Call.LOG: self.logs,
        }
        self.limiters: Mapping[Call, RateLimiter] = {
            call: kind.limiter for call, kind in self._kinds.items()
        }
        self.pace(now)

    def pace(self, now: float) -> None:
        """Make no bursts for a while: earlier calls are not known, or many resources call now."""
        for call in (Call.STATUS, Call.LOG):
            self.limiters[call].pace(now)

    def poll(
        self, key: TrainingKey, poll_request: PollRequest, now: float
    ) -> Permit | OpenCircuit | float:
        """Ask for a poll, as PollScheduler.ask; an open circuit is returned as the reason."""
        open_circuit = self.breaker.blocks(now)
        if open_circuit is not None:
            self.polls.cancel(key)
            self.hold_up(key)
            return open_circuit
        permit = self.polls.ask(key, poll_request, now)
        if isinstance(permit, Permit):
            self._held_up.pop(key, None)
            self._polling[permit] = key
            self.breaker.sent(permit, now)
        return permit

    def forget_trial(self, key: TrainingKey) -> None:
        """Choose another resource for the trial call, where this one was to make it."""
        if key in self._held_up:
            del self._held_up[key]
            self._expect_trial()

    def hold_up(self, key: TrainingKey) -> None:
        """Expect a resource that may not call now: for a trial call, or once the circuit closes."""
        self._held_up[key] = None
        self._expect_trial()

    def polled(
        self, permit: Permit, model_id: int, failure: CallFailure | None, now: float, jitter: float
    ) -> None:
        """Record the result of a poll, as CircuitBreaker.answered; once closed, resume polling."""
        key, was_closed = self._polling.pop(permit, None), self.breaker.open_circuit is None
        has_closed = self.breaker.answered(permit, model_id, failure, now, jitter)
        is_answer = failure is None or not is_unanswered(failure)
        has_opened_alone = (
            was_closed and self.breaker.open_circuit is not None and not self._held_up
        )
        if not is_answer and key is not None and not has_opened_alone:
            # The resource's own next poll may be due long after the API is back. A resource that
            # has opened the circuit alone polls at the named time; another model is the better
            # trial.
            self._held_up[key] = None
        if has_closed:
            self.pace(now)
            # At the granted poll rate: resources that all ask at once would only wait.
            granted_interval = 1 / self.polls.limiter.rate(now)
            self.wake_ups += [
                WakeUp(key, now + n * granted_interval) for n, key in enumerate(self._held_up)
            ]
            self.starts.renew_expectations(now)
        if is_answer and self.breaker.open_circuit is None:
            self._held_up.clear()
        self._expect_trial()

    def _expect_trial(self) -> None:
        """Expect a resource for the next trial call, before its own next poll is due."""
        if self.breaker.open_circuit is not None and self._held_up:
            self.wake_ups.append(WakeUp(next(iter(self._held_up)), self.breaker.trial_at))

    def answered(
        self,
        call: Call,
        permit: Permit,
        now: float,
        failure: CallFailure | None = None,
        rate_info: RateLimitInfo | None = None,
    ) -> bool:
        """Count an answered call; returns whether the observed limits have changed."""
        return self._kinds[call].answered(permit, now, failure, rate_info)

    def state(self, now: float, *, is_used: bool) -> KeyState:
        """The state of the key, for the metrics."""
        return KeyState(
            quotas={call: limiter.use(now) for call, limiter in self.limiters.items()},
            poll_interval_ratio=self.polls.interval_ratio(PollPriority.RUNNING, now),
            open_cause=self.breaker.cause,
            is_used=is_used,
        )

    def is_unspent(self, now: float) -> bool:
        """Whether the scheduler equals a new one, once no resource uses it."""
        return all(limiter.is_unspent(now) for limiter in self.limiters.values())

    def leave(self, key: TrainingKey, now: float) -> None:
        """Remove a resource from all queues."""
        self.forget_trial(key)
        self.polls.leave(key, now)
        self.starts.leave(key, now)
        self.logs.leave(key)
