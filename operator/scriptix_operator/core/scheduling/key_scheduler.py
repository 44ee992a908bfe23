"""One lane for each API key: what it may still do, and whose turn it is.

Keys with the same value share a lane, whichever Secret they come from. Nothing in here waits: a
lane answers at once, and says in `wakes` whom it expects when. Times are monotonic seconds, given
by the caller.
"""

from collections.abc import Mapping
from enum import StrEnum

from scriptix_operator.core.model.remote import CallFailure, RateLimitInfo
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limiter import RateLimiter
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.window import Permit
from scriptix_operator.core.scheduling.circuit_breaker import (
    CircuitBreaker,
    OpenCircuit,
    is_unanswered,
)
from scriptix_operator.core.scheduling.log_fetches import LogCalls
from scriptix_operator.core.scheduling.polls import PollRequest, PollScheduler, WakeUp
from scriptix_operator.core.scheduling.starts import Starts

__all__ = ["Call", "KeyScheduler"]


class Call(StrEnum):
    """Kinds of calls, each with an allowance of its own."""

    START = "start"
    STATUS = "status"
    LOG = "log"


class KeyScheduler:
    """What one API key may still do.

    Args:
        limits: The configured allowance for each kind of call.
        now: The time. What the key was used for before is not known, but for its starts.
    """

    def __init__(self, limits: Mapping[Call, tuple[Limit, ...]], now: float) -> None:
        self.wake_ups: list[WakeUp] = []
        """Whom the lane expects; for the caller to take."""
        self.breaker = CircuitBreaker()
        self.flawed: set[Call] = set()
        """Kinds of calls whose replies were found to tell nonsense of limits."""
        self._held_up: dict[TrainingKey, None] = {}
        """Those whose calls the open circuit has not let through, or were left without an answer
        since the last one; in this order."""
        self._polling: dict[Permit, TrainingKey] = {}
        """Whose each look is that is on its way."""
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
        """Make no bursts for a while: others may have called just before, or will all at once."""
        for call in (Call.STATUS, Call.LOG):
            self.limiters[call].pace(now)

    def poll(
        self, key: TrainingKey, poll_request: PollRequest, now: float
    ) -> Permit | OpenCircuit | float:
        """Ask for a look, as Looks.ask; or be told why none may be made."""
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
        """Have one that polls no more replaced, where it was to make the trial call."""
        if key in self._held_up:
            del self._held_up[key]
            self._expect_trial()

    def hold_up(self, key: TrainingKey) -> None:
        """Have one come that may not call now: for a probe, or when the circuit has closed."""
        self._held_up[key] = None
        self._expect_trial()

    def polled(
        self, permit: Permit, model_id: int, failure: CallFailure | None, now: float, jitter: float
    ) -> None:
        """Learn from the outcome of a look, as Circuit.answered; when it closes, go on."""
        key, was_closed = self._polling.pop(permit, None), self.breaker.open_circuit is None
        has_closed = self.breaker.answered(permit, model_id, failure, now, jitter)
        is_answer = failure is None or not is_unanswered(failure)
        has_opened_alone = (
            was_closed and self.breaker.open_circuit is not None and not self._held_up
        )
        if not is_answer and key is not None and not has_opened_alone:
            # Its own next poll may be due long after the API is back. One that has opened the
            # circuit alone polls at the named time; another model is the better trial.
            self._held_up[key] = None
        if has_closed:
            self.pace(now)
            # At the pace that looks are made at: all at once could only wait for their turns.
            granted_interval = 1 / self.polls.limiter.rate(now)
            self.wake_ups += [
                WakeUp(key, now + n * granted_interval) for n, key in enumerate(self._held_up)
            ]
            self.starts.renew_expectations(now)
        if is_answer and self.breaker.open_circuit is None:
            self._held_up.clear()
        self._expect_trial()

    def _expect_trial(self) -> None:
        """Have one come for the next probe: each by itself would come when its next look is due."""
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
        """Count a call that was answered; returns whether that taught something of the limits."""
        return self._kinds[call].answered(permit, now, failure, rate_info)

    def is_unspent(self, now: float) -> bool:
        """Whether a new lane would do as well, once nobody is in it."""
        return all(limiter.is_unspent(now) for limiter in self.limiters.values())

    def leave(self, key: TrainingKey, now: float) -> None:
        """Want nothing any more."""
        self.forget_trial(key)
        self.polls.leave(key, now)
        self.starts.leave(key, now)
        self.logs.leave(key)
