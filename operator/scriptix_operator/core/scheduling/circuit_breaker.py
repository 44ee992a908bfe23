"""The circuit breaker of an API key: while its calls fail, only periodic trial calls are made.

The circuit opens for two reasons. The API rejects the key, which a human must fix. Or the API is
unreachable: nearly all polls of the latest seconds, of several models, have no answer
(failure_window.py). An API that answers most polls is used, with the backoff of each resource.

A reply without an answer that names a time (503 with Retry-After) is about the service: the first
such reply opens the circuit, and the trial call is due at the named time, at most MAX_NAMED later.
One model may be broken, so replies to one model open the circuit at most once in REPEAT, and not
again before that model had an answer.

A rejection of a key that has worked opens the circuit once a second rejection confirms the first:
one replica that is behind, or restarts, must not stop all calls with the key.
"""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from http import HTTPStatus

from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.model.remote import CallFailure, FailureKind
from scriptix_operator.core.ratelimit.window import Permit
from scriptix_operator.core.scheduling.failure_window import FailureWindow

__all__ = [
    "CONFIRM",
    "FIRST_TRIAL",
    "MAX_NAMED",
    "TRIAL_INTERVAL",
    "CircuitBreaker",
    "OpenCause",
    "OpenCircuit",
    "is_unanswered",
    "rejects_key",
]

TRIAL_INTERVAL = 60.0
"""Seconds between trial calls with a key that the API rejects."""
FIRST_TRIAL, MAX_TRIAL = 5.0, 120.0
"""Seconds between trial calls while the API is unreachable: the first delay, and the longest."""
MAX_NAMED = 300.0
"""Longest delay of a trial call, in seconds, where a reply names a time."""
REPEAT = 3600.0
"""Seconds after a named time before a reply to one model opens the circuit again."""
CONFIRM = 5.0
"""Seconds after a refusal that contradicts what was known until a second one confirms it."""
PATIENCE = 180.0
"""Seconds after which a trial call without a reply is not waited for any more."""


class OpenCause(StrEnum):
    """Why a circuit is open."""

    KEY_REJECTED = "key_rejected"
    """The API rejects the key."""
    API_UNREACHABLE = "api_unreachable"
    """The API is unreachable."""


@dataclass(frozen=True, slots=True)
class OpenCircuit:
    """Why no call is made."""

    failure: CallFailure
    """The failure that opened the circuit, or the failure of the last trial call."""
    since: float
    """When the circuit opened, in monotonic seconds."""
    named: float | None = None
    """The time of the trial call that the API has named; None: the API has named none."""


@dataclass(slots=True)
class CircuitBreaker:
    """A circuit breaker. Times are monotonic seconds, given by the caller."""

    open_circuit: OpenCircuit | None = None
    """Why the circuit is open; None: the circuit is closed."""
    _is_rejected: bool = False
    """The circuit is open because the API rejects the key."""
    trial_at: float = 0.0
    """When the next trial call may be made."""
    _trial: Permit | None = None
    """The trial call in flight. Polls that were sent earlier may end after the trial call."""
    _trials: int = 0
    """Consecutive failed trial calls."""
    _window: FailureWindow = field(default_factory=FailureWindow)
    """The latest polls while the circuit is closed."""
    _opened_alone: set[int] = field(default_factory=set)
    """Models that have opened the circuit by one reply since they last had an answer."""
    _alone_from: float = 0.0
    """When a reply to one model may open the circuit again."""
    has_worked: bool = False
    """The API has accepted the key before."""
    _doubted_at: float | None = None
    """When the API first rejected the working key; None: the API has accepted the key since."""

    @property
    def cause(self) -> OpenCause | None:
        """Why the circuit is open; None: the circuit is closed."""
        if self.open_circuit is None:
            return None
        return OpenCause.KEY_REJECTED if self._is_rejected else OpenCause.API_UNREACHABLE

    def blocks(self, now: float) -> OpenCircuit | None:
        """Why no call may be made now; None: a call may be made, if only as a trial call."""
        return self.open_circuit if now < self.trial_at else None

    def acquire(self, permit: Permit, now: float) -> None:
        """Record a poll that is sent: while the circuit is open, the poll is the trial call."""
        if self.open_circuit is not None:
            self.open_circuit = replace(self.open_circuit, named=None)
            self.trial_at, self._trial = now + PATIENCE, permit

    def complete(
        self, permit: Permit, model_id: int, failure: CallFailure | None, now: float, jitter: float
    ) -> bool:
        """Record the result of a poll.

        Args:
            permit: The permit of the poll.
            model_id: The polled model.
            failure: What went wrong; None: nothing.
            now: The time.
            jitter: 0 to 1, drawn at random: the trial calls of many keys must not coincide.

        Returns:
            Whether the circuit has just closed.
        """
        was_open = self.open_circuit is not None
        if failure is not None and rejects_key(failure):
            self._complete_rejected(failure, now)
        elif failure is not None and is_unanswered(failure):
            wait = backoff(FIRST_TRIAL, self._trials, MAX_TRIAL) * (0.5 + jitter / 2)
            self._complete_unanswered(permit, model_id, failure, now, wait)
        else:
            self._opened_alone.discard(model_id)
            self._window.record(model_id, now, is_unanswered=False)
            self.open_circuit, self._trials, self.trial_at = None, 0, 0.0
            self._is_rejected, self._trial = False, None
            if failure is None or _accepts_key(failure):
                self._doubted_at = None
            self.has_worked = self.has_worked or failure is None
        return was_open and self.open_circuit is None

    def _complete_unanswered(
        self, permit: Permit, model_id: int, failure: CallFailure, now: float, wait: float
    ) -> None:
        """Record a poll without an answer; `wait`: delay of the trial call if no reply names it."""
        named = _named(failure)
        if self.open_circuit is None:
            self._window.record(model_id, now, is_unanswered=True)
            if not self._window.shows_outage:
                if not self._is_enough_alone(model_id, failure, now):
                    return
                self._opened_alone.add(model_id)
                self._alone_from = now + (named or 0.0) + REPEAT
        elif permit is not self._trial:
            is_pending = self._trial is None and not self._is_rejected
            if named is not None and is_pending and now + named > self.trial_at:
                self._await(now + named)
            return
        if self._is_rejected:
            self._trial, self.trial_at = None, now + TRIAL_INTERVAL
        else:
            self._open(failure, now, wait, is_rejected=False)
        if named is not None:
            self._await(now + named)

    def _await(self, named: float) -> None:
        if self.open_circuit is not None:
            self.open_circuit, self.trial_at = replace(self.open_circuit, named=named), named

    def _is_enough_alone(self, model_id: int, failure: CallFailure, now: float) -> bool:
        """Whether this reply opens the circuit without further ones: it names a time."""
        if (failure.retry_after or 0.0) < FIRST_TRIAL:
            return False  # the API sheds load: this concerns one call only
        return now >= self._alone_from and model_id not in self._opened_alone

    def _complete_rejected(self, failure: CallFailure, now: float) -> None:
        first = now if self._doubted_at is None else self._doubted_at
        is_certain = self._is_rejected or not self.has_worked or now >= first + CONFIRM
        self._doubted_at = first
        if is_certain:
            self._open(failure, now, TRIAL_INTERVAL, is_rejected=True)
            return
        if self.open_circuit is not None:
            self.trial_at, self._trial = first + CONFIRM, None

    def _open(self, failure: CallFailure, now: float, wait: float, *, is_rejected: bool) -> None:
        if self.open_circuit is None or self._is_rejected != is_rejected:
            self.open_circuit, self._trials = OpenCircuit(failure, now), 0
            self._window.clear()
        else:
            self.open_circuit = OpenCircuit(failure, self.open_circuit.since)
        self._is_rejected, self._trial = is_rejected, None
        self._trials += 1
        self.trial_at = now + wait


def _named(failure: CallFailure) -> float | None:
    """Seconds until the time that a reply names, within the bounds; None: no time is named."""
    return min(max(failure.retry_after, FIRST_TRIAL), MAX_NAMED) if failure.retry_after else None


def rejects_key(failure: CallFailure) -> bool:
    """Whether a refusal is about the key; a 403 may be about the one model."""
    is_refused = failure.kind is FailureKind.UNAUTHORIZED
    return is_refused and failure.status != HTTPStatus.FORBIDDEN


def _accepts_key(failure: CallFailure) -> bool:
    """Whether the API refuses because of the model, which it checks only after the key.

    A rate limit, a 403 and an unusable reply may come before the key is checked.
    """
    if failure.kind is FailureKind.REJECTED:
        return failure.status == HTTPStatus.UNPROCESSABLE_ENTITY
    return failure.kind in {FailureKind.NOT_FOUND, FailureKind.CONFLICT}


def is_unanswered(failure: CallFailure) -> bool:
    """Whether the API gave no answer: no connection, no reply in time, a 5xx, a gateway's reply."""
    if failure.kind is FailureKind.NOT_SENT or failure.is_from_gateway:
        return True
    is_answer = failure.status is not None and failure.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return failure.kind is FailureKind.AMBIGUOUS and not is_answer
