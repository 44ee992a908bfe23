"""The circuit of an API key: while its calls are in vain, one probe now and then and no other call.

It opens for two reasons. The API rejects the key: a human must mend that. Or the API is away: it
leaves looks at several models without an answer; at one alone, the model may be what is wrong.

A reply without an answer that names a time (503 with Retry-After) is about the service: the first
one opens it, and the trial call is due at the named time, at most MAX_NAMED later. One model may be
broken, so a reply to one model opens it at most once in REPEAT, and no second time before that
model had an answer.

A rejection of a key that has worked opens it once a second one confirms it: one replica that is
behind, or restarts, must not stop all calls with the key.
"""

from dataclasses import dataclass, field, replace
from http import HTTPStatus

from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.model.remote import CallFailure, FailureKind
from scriptix_operator.core.ratelimit.window import Permit

__all__ = [
    "CONFIRM",
    "FIRST_TRIAL",
    "MAX_NAMED",
    "TRIAL_INTERVAL",
    "CircuitBreaker",
    "OpenCircuit",
    "is_unanswered",
    "rejects_key",
]

TRIAL_INTERVAL = 60.0
"""Seconds between probes with a key that the API rejects."""
FIRST_TRIAL, MAX_TRIAL = 5.0, 120.0
"""Seconds between probes of an API that is away; doubles."""
MODELS = 3
"""So many different models without an answer in a row mean that the API is away."""
MAX_NAMED = 300.0
"""Seconds to a trial call at most, where a reply names a time."""
REPEAT = 3600.0
"""Seconds after a named time before a reply to one model opens it again."""
CONFIRM = 5.0
"""Seconds after a refusal that contradicts what was known until a second one confirms it."""
PATIENCE = 180.0
"""Seconds after which a probe that has not come back is not waited for any more."""


@dataclass(frozen=True, slots=True)
class OpenCircuit:
    """Why no call is made."""

    failure: CallFailure
    """The answer that opened the circuit, or that the last probe had."""
    since: float
    """Monotonic seconds."""
    named: float | None = None
    """When the trial call is due that the API has named; None: it has named none."""


@dataclass(slots=True)
class CircuitBreaker:
    """Open or closed. Times are monotonic seconds, given by the caller."""

    open_circuit: OpenCircuit | None = None
    """Why it is open; None: it is closed."""
    _is_rejected: bool = False
    """It is open because the API rejects the key."""
    trial_at: float = 0.0
    """When the next probe may be made."""
    _trial: Permit | None = None
    """The probe that is on its way. Looks that were made before may end after it was sent."""
    _trials: int = 0
    """In vain, in a row."""
    _models_without_reply: set[int] = field(default_factory=set)
    """Models whose looks had no answer since the last one that had."""
    _opened_alone: set[int] = field(default_factory=set)
    """Models that have opened it by one reply since they last had an answer."""
    _alone_from: float = 0.0
    """When a reply to one model may open it again."""
    has_worked: bool = False
    """The API has accepted the key before."""
    _doubted_at: float | None = None
    """When it first rejected the key after that; None: it has accepted it since."""

    def blocks(self, now: float) -> OpenCircuit | None:
        """Why no call may be made now; None: one may, if only as a probe."""
        return self.open_circuit if now < self.trial_at else None

    def sent(self, permit: Permit, now: float) -> None:
        """A look is made: if the circuit is open, it is the one probe."""
        if self.open_circuit is not None:
            self.open_circuit = replace(self.open_circuit, named=None)
            self.trial_at, self._trial = now + PATIENCE, permit

    def answered(
        self, permit: Permit, model_id: int, failure: CallFailure | None, now: float, jitter: float
    ) -> bool:
        """Learn from the outcome of a look.

        Args:
            permit: The look.
            model_id: The model that was looked at.
            failure: What went wrong; None: nothing.
            now: The time.
            jitter: 0 to 1, drawn at random: the probes of many keys must not come together.

        Returns:
            Whether it has closed just now.
        """
        was_open = self.open_circuit is not None
        if failure is not None and rejects_key(failure):
            self._rejected(failure, now)
        elif failure is not None and is_unanswered(failure):
            wait = backoff(FIRST_TRIAL, self._trials, MAX_TRIAL) * (0.5 + jitter / 2)
            self._unanswered(permit, model_id, failure, now, wait)
        else:
            self._opened_alone.discard(model_id)
            self.open_circuit, self._trials, self.trial_at = None, 0, 0.0
            self._is_rejected, self._trial = False, None
            if failure is None or _accepts_key(failure):
                self._doubted_at = None
            self.has_worked = self.has_worked or failure is None
            self._models_without_reply.clear()
        return was_open and self.open_circuit is None

    def _unanswered(
        self, permit: Permit, model_id: int, failure: CallFailure, now: float, wait: float
    ) -> None:
        """Learn from a look without an answer; `wait`: until the next probe, if none names it."""
        self._models_without_reply.add(model_id)
        named = _named(failure)
        if self.open_circuit is None:
            if len(self._models_without_reply) < self._needed(model_id, failure, now):
                return
            if len(self._models_without_reply) < MODELS:
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

    def _needed(self, model_id: int, failure: CallFailure, now: float) -> int:
        """So many different models without an answer open it."""
        if (failure.retry_after or 0.0) < FIRST_TRIAL:
            return MODELS  # it sheds load: a matter of that one call
        is_alone_enough = now >= self._alone_from and model_id not in self._opened_alone
        return 1 if is_alone_enough else MODELS

    def _rejected(self, failure: CallFailure, now: float) -> None:
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
        else:
            self.open_circuit = OpenCircuit(failure, self.open_circuit.since)
        self._is_rejected, self._trial = is_rejected, None
        self._trials += 1
        self.trial_at = now + wait


def _named(failure: CallFailure) -> float | None:
    """Seconds until the time that a reply names, within the bounds; None: it names none."""
    return min(max(failure.retry_after, FIRST_TRIAL), MAX_NAMED) if failure.retry_after else None


def rejects_key(failure: CallFailure) -> bool:
    """Whether an answer is about the key; a 403 may be about the one model."""
    is_refused = failure.kind is FailureKind.UNAUTHORIZED
    return is_refused and failure.status != HTTPStatus.FORBIDDEN


def _accepts_key(failure: CallFailure) -> bool:
    """Whether the API refuses for the model's sake, which it knows only once the key is accepted.

    A rate limit, a 403 and an unusable reply may come before the key is checked.
    """
    if failure.kind is FailureKind.REJECTED:
        return failure.status == HTTPStatus.UNPROCESSABLE_ENTITY
    return failure.kind in {FailureKind.NOT_FOUND, FailureKind.CONFLICT}


def is_unanswered(failure: CallFailure) -> bool:
    """Whether the API gave no answer: no connection, no reply in time, a 5xx, a gateway's word."""
    if failure.kind is FailureKind.NOT_SENT or failure.is_from_gateway:
        return True
    is_answer = failure.status is not None and failure.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return failure.kind is FailureKind.AMBIGUOUS and not is_answer
