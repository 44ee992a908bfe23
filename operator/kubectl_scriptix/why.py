"""Why a training is in its present state: since when, who must act, and what goes on by itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from kubectl_scriptix.times import at_and_in, short_duration
from scriptix_operator.api.reasons import ConditionType, FailureReason, Phase, Reason
from scriptix_operator.api.status import Condition
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.conditions import is_blocked, phase_of, reason_of
from scriptix_operator.core.status.failure_catalog import FAILURE_CATALOG

__all__ = ["ACTORS", "Actor", "explain", "needs_action"]

OPERATOR = "Nobody has to act: the operator continues automatically."
ADMINISTRATOR = "The administrator of the operator must act."
OWNER = "The owner of this training must act."
UPLOADER = "Whoever uploads the training data must act."


@dataclass(frozen=True, slots=True)
class Actor:
    """Who must act on a reason, and what happens without a further command.

    Attributes:
        who: A sentence.
        goes_on: What the operator does by itself, as a sentence.
    """

    who: str
    goes_on: str


POLLED = "The operator polls the model every {interval} and starts the run once that is possible."
FIXED = "The operator tries again by itself and continues once the problem is fixed."
FINAL = "Nothing more happens until another run is requested."

ACTORS: dict[str, Actor] = {
    Reason.OBSERVED: Actor(OPERATOR, "The next step follows within seconds."),
    Reason.WAITING_FOR_MODEL: Actor(UPLOADER, POLLED),
    Reason.MODEL_IN_USE: Actor(OPERATOR, POLLED),
    Reason.WAITING_FOR_START_QUOTA: Actor(OPERATOR, "The run starts when its turn has come."),
    Reason.STARTING: Actor(OPERATOR, "The outcome of the start is known within a minute."),
    Reason.START_OUTCOME_UNKNOWN: Actor(
        OPERATOR, "The operator polls the model until the outcome of the start is known."
    ),
    Reason.TRAINING: Actor(OPERATOR, "The operator polls the run every {interval} to its end."),
    Reason.PROGRESS_STALLED: Actor(
        "Nobody has to act yet. If progress does not resume, ask Scriptix support about the model.",
        "The operator polls the run every {interval} to its end.",
    ),
    Reason.API_UNAVAILABLE: Actor(
        "Nobody has to act, unless this lasts: then check the network to the Scriptix API.",
        "The operator tries again by itself.",
    ),
    Reason.RATE_LIMITED: Actor(OPERATOR, "The operator calls again when the API allows it."),
    Reason.START_LEDGER_NOT_WRITABLE: Actor(ADMINISTRATOR, FIXED),
    Reason.WAITING_FOR_NAMESPACES: Actor(ADMINISTRATOR, FIXED),
    Reason.WAITING_FOR_RETRY: Actor(OPERATOR, "The next run starts by itself."),
    Reason.UNEXPECTED_STATUS: Actor(
        "Nobody has to act, unless this lasts: then ask Scriptix support about the model.", POLLED
    ),
    Reason.TRAINING_SUCCEEDED: Actor("Nobody has to act.", FINAL),
    Reason.SUSPENDED: Actor(
        OWNER, "Nothing happens until spec.suspend is false: `kubectl scriptix resume {name}`."
    ),
    Reason.UNREADABLE: Actor(OWNER, "The operator starts nothing for this training."),
    Reason.BEING_DELETED: Actor(
        "Whoever deletes the training must remove its finalizers, if it has any.",
        "The operator does not reconcile the training any more.",
    ),
    FailureReason.UNAUTHORIZED: Actor("The owner of the API key must act.", FIXED),
    FailureReason.SECRET_NOT_FOUND: Actor(OWNER, FIXED),
    FailureReason.KEY_NOT_FOUND: Actor(OWNER, FIXED),
    FailureReason.MODEL_NOT_FOUND: Actor(OWNER, FIXED),
    FailureReason.GATEWAY_REFUSED: Actor(
        "The administrator of the network, or of the operator, must act.", FIXED
    ),
    FailureReason.RESULT_NOT_PUBLISHED: Actor(
        "The administrator of the namespace must act.", FIXED
    ),
}
"""By reason. A reason that ends the run needs its owner, as `_actor` says."""


def explain(training: Training, now: datetime) -> str:
    """One paragraph: the state, its cause, since when, who must act, and what follows."""
    return " ".join(_sentences(training, now))


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
            "`kubectl scriptix doctor` looks for the operator."
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
    actor = _actor(reason, is_over=phase in {Phase.SUCCEEDED, Phase.FAILED})
    interval = f"{status.poll_interval_seconds or training.spec.poll_interval_seconds} s"
    if not (actor.who == OPERATOR and "automatically" in (status.message or "")):
        yield actor.who
    yield actor.goes_on.format(interval=interval, name=training.key.name)
    yield from _times(training, phase, now)


def _actor(reason: str, *, is_over: bool) -> Actor:
    """Who must act: for a failed run its owner, who requests the next one."""
    if is_over and reason in FAILURE_CATALOG:
        return Actor(OWNER, FINAL)
    known = ACTORS.get(reason)
    if known is None:  # a reason of a newer operator
        return Actor("The message says who must act.", "")
    return known


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
        position = f"{status.queue.position} of {status.queue.of}"
        expected = at_and_in(status.queue.estimated_start_at, now)
        yield f"Position in the queue: {position}; expected start: {expected}."
    if run is not None and run.retry_at is not None:
        yield f"Next run: {at_and_in(run.retry_at, now)}."
    if run is not None and run.next_attempt_at is not None and phase is not Phase.RUNNING:
        yield f"Next attempt: {at_and_in(run.next_attempt_at, now)} at the earliest."
    if phase is Phase.RUNNING and status.estimated_completion_at is not None:
        latest = status.estimated_completion_p90_at
        bound = "" if latest is None else f", by {at_and_in(latest, now)} with 90 % confidence"
        yield f"Expected end: {at_and_in(status.estimated_completion_at, now)}{bound}."
    if status.pending_request is not None:
        yield status.pending_request
