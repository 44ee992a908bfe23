"""Why a training is in its current state: since when, the person who must act, and what follows."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from kubectl_scriptix.times import at_and_in, short_duration
from scriptix_operator.api.reasons import ConditionType, FailureReason, Phase, Reason
from scriptix_operator.api.status import Condition
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.conditions import is_blocked, phase_of, reason_of
from scriptix_operator.core.status.failure_catalog import FAILURE_CATALOG

__all__ = ["ACTORS", "EXCEPTIONS", "Actor", "explain", "needs_action"]

OPERATOR = "Nobody has to act: the operator continues automatically."
ADMINISTRATOR = "The administrator of the operator must act."
OWNER = "The owner of this training must act."
UPLOADER = "The uploader of the training data must act."


@dataclass(frozen=True, slots=True)
class Actor:
    """The person who must act on a reason, and what happens without a further command.

    Attributes:
        who: A sentence.
        continuation: What the operator does automatically, as a sentence; empty: the message of the
            reason says so.
    """

    who: str
    continuation: str = ""


POLLED = "The operator polls the model every {interval}."
FIXED = "The operator retries automatically and continues once the problem is fixed."
FINAL = "Nothing more happens until another run is requested."

ACTORS: dict[str, Actor] = {
    Reason.OBSERVED: Actor(OPERATOR, "The next step follows within seconds."),
    Reason.WAITING_FOR_MODEL: Actor(UPLOADER, POLLED),
    Reason.MODEL_IN_USE: Actor(OPERATOR, POLLED),
    Reason.WAITING_FOR_START_QUOTA: Actor(OPERATOR),
    Reason.STARTING: Actor(OPERATOR, "The outcome of the start is known within a minute."),
    Reason.START_OUTCOME_UNKNOWN: Actor(OPERATOR),
    Reason.TRAINING: Actor(OPERATOR, POLLED),
    Reason.PROGRESS_STALLED: Actor(
        "Nobody has to act yet. If progress does not resume, ask Scriptix support about the model."
    ),
    Reason.API_UNAVAILABLE: Actor(
        "Nobody has to act, unless this lasts: then check the network to the Scriptix API.",
        "The operator retries automatically.",
    ),
    Reason.RATE_LIMITED: Actor(OPERATOR),
    Reason.START_LEDGER_NOT_WRITABLE: Actor(ADMINISTRATOR),
    Reason.WAITING_FOR_NAMESPACES: Actor(ADMINISTRATOR),
    Reason.WAITING_FOR_RETRY: Actor(OPERATOR),
    Reason.UNEXPECTED_STATUS: Actor(
        "Nobody has to act, unless this lasts: then ask Scriptix support about the model.", POLLED
    ),
    Reason.TRAINING_SUCCEEDED: Actor("Nobody has to act.", FINAL),
    Reason.SUSPENDED: Actor(OWNER, "`kubectl scriptix resume {name}` does so."),
    Reason.UNREADABLE: Actor(OWNER),
    Reason.BEING_DELETED: Actor(
        "If the training stays, its finalizers must be removed by the tool that has set them."
    ),
    FailureReason.UNAUTHORIZED: Actor("The owner of the API key must act."),
    FailureReason.SECRET_NOT_FOUND: Actor(OWNER),
    FailureReason.KEY_NOT_FOUND: Actor(OWNER),
    FailureReason.MODEL_NOT_FOUND: Actor(OWNER, FIXED),
    FailureReason.GATEWAY_REFUSED: Actor(
        "The administrator of the network, or of the operator, must act."
    ),
    FailureReason.RESULT_NOT_PUBLISHED: Actor("The administrator of the namespace must act."),
}
"""By reason. A reason that ends the run needs its owner, as `_actor` says."""

EXCEPTIONS: tuple[tuple[str, str, Actor], ...] = (
    (Reason.WAITING_FOR_MODEL, "training has ended", Actor(OPERATOR, POLLED)),
    (Reason.WAITING_FOR_MODEL, "present one has ended", Actor(OPERATOR, POLLED)),
    (Reason.MODEL_IN_USE, "the operator cannot read", Actor(ADMINISTRATOR, POLLED)),
    (Reason.MODEL_IN_USE, "waits for new data", Actor(UPLOADER, POLLED)),
    (Reason.TRAINING, "can read spec.qualityGate", Actor(OWNER)),
    (Reason.TRAINING, "The operator polls about every", Actor(OPERATOR)),
    (FailureReason.SECRET_NOT_FOUND, "may not read Secret", Actor(ADMINISTRATOR)),
    (FailureReason.RESULT_NOT_PUBLISHED, "is being deleted", Actor(OPERATOR)),
    (FailureReason.RESULT_NOT_PUBLISHED, "is controlled by", Actor(OWNER)),
)
"""A reason, words of its message, and what they change. A test finds the words in the texts of the
operator."""


def explain(training: Training, now: datetime) -> str:
    """One paragraph: the state, its cause, since when, who must act, and what follows."""
    return " ".join(sentence for sentence in _sentences(training, now) if sentence)


def needs_action(training: Training) -> bool:
    """Whether a person must act before the present run continues or another one begins."""
    if phase_of(training.spec, training.status) is Phase.FAILED:
        return True
    stalled = _condition(training, ConditionType.STALLED)
    return is_blocked(training.status) or stalled is not None


def _sentences(training: Training, now: datetime) -> Iterator[str]:
    status = training.status
    if not status.conditions:
        yield (
            f"{training.key} has no status yet: no operator has reconciled it since it was created "
            f"{short_duration(now - training.created_at)} ago. If this lasts, "
            "`kubectl scriptix doctor` checks the operator."
        )
        return
    phase, reason = phase_of(training.spec, status), reason_of(status) or ""
    since = _since(training)
    lasting = "" if since is None else f" since {at_and_in(since, now)}"
    yield f"{training.key} is {phase} ({reason}){lasting}."
    yield status.message or ""
    if training.generation != status.observed_generation:
        yield (
            f"This is the state of generation {status.observed_generation}; the operator has not "
            f"seen generation {training.generation} yet."
        )
    message = status.message or ""
    actor = _actor(reason, message, is_over=phase in {Phase.SUCCEEDED, Phase.FAILED})
    if not (actor.who == OPERATOR and "automatically" in message):
        yield actor.who
    interval = status.poll_interval_seconds or training.spec.poll_interval_seconds
    if actor.continuation not in message:
        yield actor.continuation.format(
            interval=short_duration(timedelta(seconds=interval)), name=training.key.name
        )
    yield from _times(training, phase, now)


def _actor(reason: str, message: str, *, is_over: bool) -> Actor:
    """The person who must act: for a failed run its owner, who requests the next one."""
    if is_over and reason in FAILURE_CATALOG:
        return Actor(OWNER, FINAL)
    for of, words, actor in EXCEPTIONS:
        if of == reason and words in message:
            return actor
    # The reason may be one of a newer operator.
    return ACTORS.get(reason, Actor("The message says what must be done."))


def _since(training: Training) -> datetime | None:
    """When the present state began, as far as status says so."""
    status = training.status
    if status.finished_at is not None:
        return status.finished_at
    if status.run is not None and status.run.queued_at is not None and status.queue is not None:
        return status.run.queued_at
    if status.progress_stalled_at is not None:
        return status.progress_stalled_at
    kinds = (ConditionType.STALLED, ConditionType.SUSPENDED, ConditionType.RECONCILING)
    found = next((one for kind in kinds if (one := _condition(training, kind)) is not None), None)
    return None if found is None else found.last_transition_time


def _condition(training: Training, kind: ConditionType) -> Condition | None:
    """The condition of a type, if it is True."""
    return next(
        (one for one in training.status.conditions if one.type == kind and one.status == "True"),
        None,
    )


def _times(training: Training, phase: Phase, now: datetime) -> Iterator[str]:
    """When something happens next, as far as status knows."""
    status, run = training.status, training.status.run
    if status.queue is not None and status.queue.estimated_start_at is not None:
        yield f"Expected start: {at_and_in(status.queue.estimated_start_at, now)}."
    if run is not None and run.retry_at is not None:
        yield f"Next run: {at_and_in(run.retry_at, now)}."
    if run is not None and run.next_attempt_at is not None and phase is not Phase.RUNNING:
        yield f"Next attempt: {at_and_in(run.next_attempt_at, now)} at the earliest."
    is_running = phase is Phase.RUNNING and status.finished_at is None
    if is_running and status.estimated_completion_at is not None:
        latest = status.estimated_completion_p90_at
        bound = "" if latest is None else f", by {at_and_in(latest, now)} with 90 % confidence"
        yield f"Expected end: {at_and_in(status.estimated_completion_at, now)}{bound}."
    if status.pending_request is not None:
        yield status.pending_request
