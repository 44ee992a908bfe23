"""Whether a run is started: first sight of the model, reruns, the queue, and the intent.

DESIGN §2 ("What asks for a run") and §4 steps 1 and 2.
"""

from datetime import datetime, timedelta

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason, Ownership, Reason
from scriptix_operator.api.spec import ExistingTraining, WhenNotReady
from scriptix_operator.api.status import Baseline, Intent, Queue
from scriptix_operator.core.catalogue import Cause
from scriptix_operator.core.claims import was_started_by
from scriptix_operator.core.derive import Note
from scriptix_operator.core.ending import conclude, fail
from scriptix_operator.core.failures import failure
from scriptix_operator.core.follow import follow
from scriptix_operator.core.freshness import is_stale
from scriptix_operator.core.observation import (
    Decision,
    KeyUse,
    ModelSeen,
    Post,
    Reserve,
    SlotDeferred,
    SlotGranted,
)
from scriptix_operator.core.remote import TrainingState
from scriptix_operator.core.requests import next_run
from scriptix_operator.core.situation import RECHECK, Situation

__all__ = [
    "begin",
    "consider",
    "may_be_hidden_run",
    "queue_up",
    "start_nothing",
    "wait_for_hidden",
    "withdraw",
]

WORTH_TELLING = timedelta(minutes=2)
"""By which an expected start has to move, to be written anew."""
IMMINENT = timedelta(seconds=5)
"""A start that is expected within this time is waited for without a report."""


def consider(step: Situation, seen: ModelSeen, in_use: str | None) -> Decision:
    """Decide on a model that no run of this resource is at, nor any start.

    Args:
        step: The resource.
        seen: The look.
        in_use: What another resource has on the model, as claims.model_in_use.
    """
    if step.training.unreadable:
        return start_nothing(step)
    if in_use is not None:
        return _wait(step, Reason.MODEL_IN_USE, in_use)
    model, first_sight = seen.model, step.status.run is None
    if is_stale(step.training, seen):
        return _wait(
            step,
            Reason.UNEXPECTED_STATUS,
            "The API shows a training before the last one known here; waiting for it to catch up.",
        )
    if model.is_start_time_unreadable:
        return _wait(
            step,
            Reason.UNEXPECTED_STATUS,
            "The API gives a start time of the model's last training that cannot be read, so that "
            "trainings cannot be distinguished. Nothing is started or adopted until the API gives "
            "it in a documented form.",
        )
    match model.training_status:
        case TrainingState.READY:
            return _reserve(step, seen)
        case TrainingState.NOT_READY:
            if step.spec.when_not_ready is WhenNotReady.FAIL:
                text = "The model is not ready to run and spec.whenNotReady is Fail."
                return _reject(step, seen.key, text, Cause.MODEL_NOT_READY)
            return _wait(
                step,
                Reason.WAITING_FOR_MODEL,
                "The model is not ready to run; the training starts automatically once its data "
                "has been uploaded (at least 5 hours of audio).",
            )
        case TrainingState.RUNNING | TrainingState.SUCCEEDED | TrainingState.FAILED:
            if first_sight:
                return _existing(step, seen)
            return _again(step, seen)
        case other:
            return _wait(
                step,
                Reason.UNEXPECTED_STATUS,
                f"The API shows training_status {other}, which is not documented; waiting for 2 "
                "(ready to run).",
            )


def start_nothing(step: Situation) -> Decision:
    """Wait for an edit, or for another version: not all of the resource can be read."""
    note = Note(Reason.UNREADABLE, "No training is started.")
    return step.having(queue=None).rest(None, note)


def _reserve(step: Situation, seen: ModelSeen) -> Decision:
    """Ask for a start, unless this key was refused one a moment ago."""
    denial = step.memory.denial
    if denial is not None and denial.key == seen.key.fingerprint and step.now < denial.until:
        return step.having(failure=denial.failure, queue=None).rest(min(step.poll, RECHECK))
    return step.answer(Reserve(seen.model, seen.key, seen.basis))


def _existing(step: Situation, seen: ModelSeen) -> Decision:
    """First sight of a model that is being trained, or has been."""
    state = seen.model.training_status
    what = {
        TrainingState.RUNNING: "is already being trained",
        TrainingState.SUCCEEDED: "is already trained",
        TrainingState.FAILED: "has already failed a training",
    }[TrainingState(state)]
    match step.spec.existing_training:
        case ExistingTraining.ADOPT:
            return _adopt(step, seen)
        case ExistingTraining.FAIL:
            running = state == TrainingState.RUNNING
            cause = Cause.TRAINING_IN_PROGRESS if running else Cause.TRAINED_BEFORE
            text = f"The model {what} and spec.existingTraining is Fail."
            return _reject(step, seen.key, text, cause)
        case ExistingTraining.WAIT:
            return _wait(
                step,
                Reason.WAITING_FOR_MODEL,
                f"The model {what}; the training starts once it is ready to run again.",
            )


def _adopt(step: Situation, seen: ModelSeen) -> Decision:
    run = replace(
        next_run(step.training),
        ownership=Ownership.ADOPTED.value,
        key_source=seen.key.source,
        key_fingerprint=seen.key.fingerprint,
        claimed_at=step.now.replace(microsecond=0),
    )
    adopted = replace(step.status, run=run, queue=None)
    status, note = follow(step.spec, adopted, seen.model, step.now, seen.past)
    return conclude(step.having_status(status).remembering(log_wanted=True), note)


def _again(step: Situation, seen: ModelSeen) -> Decision:
    """A rerun at a model that is running or done: never adopted, tried once when done."""
    model = seen.model
    if model.training_status == TrainingState.RUNNING:
        return _wait(
            step,
            Reason.WAITING_FOR_MODEL,
            "The model is being trained; the requested run starts after it.",
        )
    if may_be_hidden_run(step, seen):
        return wait_for_hidden(step)
    present = Baseline(training_status=model.training_status, started_training_at=model.started_at)
    if model.started_at is not None and step.run.refused != present:
        return _reserve(step, seen)
    return _wait(
        step,
        Reason.WAITING_FOR_MODEL,
        "The API does not start this model again as it is; upload new data, and the requested "
        "run starts by itself.",
    )


def may_be_hidden_run(step: Situation, seen: ModelSeen) -> bool:
    """Whether the training that the model shows may belong to a resource that cannot be read."""
    known = (step.training, *seen.rivals)
    is_hidden = seen.has_hidden_rival or any(one.cannot_read("status.history") for one in known)
    return is_hidden and not any(was_started_by(one, seen.model) for one in known)


def wait_for_hidden(step: Situation) -> Decision:
    """Wait until the operator can read all resources with this model."""
    return _wait(
        step,
        Reason.MODEL_IN_USE,
        "The model's last training may belong to a resource that the operator cannot read, or "
        "in a namespace that it cannot list; the requested run waits until it can. The "
        "operator's log names the cause.",
    )


def begin(step: Situation, granted: SlotGranted) -> Decision:
    """Write the intent: after it is recorded, and only then, the POST is sent."""
    run = step.status.run or next_run(step.training)
    model = granted.model
    baseline = run.baseline or Baseline(
        training_status=model.training_status, started_training_at=model.started_at
    )
    at = step.now.replace(microsecond=0)
    intent = Intent(
        attempt=run.attempt,
        at=at,
        key_fingerprint=granted.key.fingerprint,
        nonce=granted.nonce,
    )
    run = replace(
        run,
        key_source=granted.key.source,
        key_fingerprint=granted.key.fingerprint,
        claimed_at=at,
        queued_at=run.queued_at or at,
        baseline=baseline,
        intent=intent,
    )
    step = step.having(run=run, queue=None, failure=None).forgetting_start()
    return step.answer(Post(), Note(Reason.STARTING, "The training is being started."))


def withdraw(step: Situation) -> Situation:
    """Take the intent back: it has definitely started nothing.

    At the only POST of the first run the model is at first sight again. A rerun's request keeps its
    place in status.
    """
    step = step.forgetting_start()
    if step.run.attempt == 1 and not step.status.history:
        return step.having(run=None)
    keep = step.run.baseline if step.run.attempt > 1 else None
    return step.having_run(intent=None, claimed_at=None, baseline=keep)


def queue_up(step: Situation, deferred: SlotDeferred) -> Decision:
    """Wait for the key's start allowance; a wait that is over within seconds is not reported."""
    if step.status.run is not None and step.run.queued_at is None:
        step = step.having_run(queued_at=step.now.replace(microsecond=0))
    queue = _place(step.status.queue, deferred.queue)
    if queue is None or (step.status.queue is None and _is_imminent(queue, step.now)):
        note = Note(Reason.OBSERVED, "The model can be trained; its start is being scheduled.")
        return step.having(failure=None).rest(deferred.wait, note)
    at = queue.estimated_start_at
    when = "" if at is None else f", expected {at:%Y-%m-%d %H:%MZ}"
    note = Note(
        Reason.WAITING_FOR_START_ALLOWANCE,
        f"Waiting for the API key's start allowance: {queue.position} of {queue.of} in the "
        f"queue{when}.",
    )
    return step.having(queue=queue, failure=None).rest(deferred.wait, note)


def _is_imminent(queue: Queue, now: datetime) -> bool:
    """Whether the start is expected within seconds."""
    return queue.estimated_start_at is not None and queue.estimated_start_at <= now + IMMINENT


def _place(old: Queue | None, new: Queue | None) -> Queue | None:
    """The position to report; an expected time that has hardly moved is no news."""
    if new is None:
        return old
    if old is None or (old.position, old.of) != (new.position, new.of):
        return new
    if old.estimated_start_at is None or new.estimated_start_at is None:
        return new
    moved = abs(new.estimated_start_at - old.estimated_start_at)
    return old if moved < WORTH_TELLING else new


def _wait(step: Situation, reason: Reason, message: str) -> Decision:
    return step.having(queue=None).rest(step.next_look, Note(reason, message))


def _reject(step: Situation, key: KeyUse, message: str, cause: Cause) -> Decision:
    step = step.having(
        run=step.status.run
        or replace(next_run(step.training), key_source=key.source, key_fingerprint=key.fingerprint)
    )
    return fail(step, failure(FailureReason.START_REJECTED, message, cause=cause))
