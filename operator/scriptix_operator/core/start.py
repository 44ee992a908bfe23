"""Whether and how a run is started: first sight, reruns, and the answers to a start.

DESIGN §2 ("What asks for a run") and §4 steps 1 to 4.
"""

from datetime import timedelta

from scriptix_operator.api.reasons import FailureReason, Ownership, Reason
from scriptix_operator.api.spec import ExistingTraining, WhenNotReady
from scriptix_operator.api.status import Baseline, Failure, Intent
from scriptix_operator.core.derive import Note
from scriptix_operator.core.ending import conclude
from scriptix_operator.core.failures import blocked_call, failure, rejected_start
from scriptix_operator.core.follow import follow
from scriptix_operator.core.observation import (
    Decision,
    Denial,
    KeyUse,
    Look,
    ModelSeen,
    Post,
    Posted,
    PostFailed,
    Reserve,
    SlotDeferred,
    SlotGranted,
)
from scriptix_operator.core.remote import CallFailure, FailureKind, RemoteModel, TrainingState
from scriptix_operator.core.requests import next_run
from scriptix_operator.core.situation import RECHECK, RESOLVE, Situation

__all__ = ["begin", "consider", "queue_up", "refused", "started"]

MAX_BACKOFF = 3600.0
RATE_LIMIT_WAIT = 60.0
"""Seconds to wait after a 429 that says nothing itself; the API's document retries after 60."""


def consider(step: Situation, seen: ModelSeen) -> Decision:
    """Decide on a model that no run of this resource is at."""
    if seen.in_use is not None:
        return _wait(step, Reason.MODEL_IN_USE, seen.in_use)
    model, first_sight = seen.model, step.status.run is None
    if _is_stale(step, model):
        return _wait(
            step,
            Reason.UNEXPECTED_STATUS,
            "The API shows a training before the last one known here; waiting for it to catch up.",
        )
    match model.training_status:
        case TrainingState.READY:
            return _reserve(step, model, seen.key)
        case TrainingState.NOT_READY:
            if step.spec.when_not_ready is WhenNotReady.FAIL:
                return _reject(
                    step, seen.key, "The model is not ready to run and spec.whenNotReady is Fail."
                )
            return _wait(
                step,
                Reason.WAITING_FOR_MODEL,
                "The model is not ready to run; the training starts by itself once its data has "
                "been uploaded (at least 5 hours of audio).",
            )
        case TrainingState.RUNNING | TrainingState.SUCCEEDED | TrainingState.FAILED:
            if first_sight:
                return _existing(step, seen)
            return _again(step, model, seen.key)
        case other:
            return _wait(
                step,
                Reason.UNEXPECTED_STATUS,
                f"The API shows training_status {other}, which is not documented; waiting for 2 "
                "(ready to run).",
            )


def _is_stale(step: Situation, model: RemoteModel) -> bool:
    """Whether the look shows a marker older than one that status knows: it decides nothing."""
    run = step.status.run
    markers = [entry.started_at for entry in step.status.history]
    if run is not None and run.baseline is not None:
        markers.append(run.baseline.started_training_at)
    known = max((marker for marker in markers if marker is not None), default=None)
    return known is not None and model.started_at is not None and model.started_at < known


def _reserve(step: Situation, model: RemoteModel, key: KeyUse) -> Decision:
    """Ask for a start, unless this key was refused one a moment ago."""
    denial = step.memory.denial
    if denial is not None and denial.key == key.fingerprint and step.now < denial.until:
        return step.having(failure=denial.failure, queue=None).rest(min(step.poll, RECHECK))
    return step.answer(Reserve(model, key))


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
            return _adopt(step, seen.model, seen.key)
        case ExistingTraining.FAIL:
            return _reject(step, seen.key, f"The model {what} and spec.existingTraining is Fail.")
        case ExistingTraining.WAIT:
            return _wait(
                step,
                Reason.WAITING_FOR_MODEL,
                f"The model {what}; the training starts once it is ready to run again.",
            )


def _adopt(step: Situation, model: RemoteModel, key: KeyUse) -> Decision:
    run = next_run(step.training).model_copy(
        update={
            "ownership": Ownership.ADOPTED.value,
            "key_source": key.source,
            "key_fingerprint": key.fingerprint,
            "claimed_at": step.now.replace(microsecond=0),
        }
    )
    status, note = follow(
        step.spec, step.status.model_copy(update={"run": run, "queue": None}), model, step.now
    )
    return conclude(step.having_status(status).remembering(log_wanted=True), note)


def _again(step: Situation, model: RemoteModel, key: KeyUse) -> Decision:
    """A rerun at a model that is running or done: never adopted, tried once when done."""
    if model.training_status == TrainingState.RUNNING:
        return _wait(
            step,
            Reason.WAITING_FOR_MODEL,
            "The model is being trained; the requested run starts after it.",
        )
    seen = Baseline(training_status=model.training_status, started_training_at=model.started_at)
    if model.started_at is not None and step.run.refused != seen:
        return _reserve(step, model, key)
    return _wait(
        step,
        Reason.WAITING_FOR_MODEL,
        "The API does not start this model again as it is; upload new data, and the requested "
        "run starts by itself.",
    )


def begin(step: Situation, granted: SlotGranted) -> Decision:
    """Write the intent: after it is recorded, and only then, the POST is sent."""
    run = step.status.run or next_run(step.training)
    model = granted.model
    baseline = run.baseline or Baseline(
        training_status=model.training_status, started_training_at=model.started_at
    )
    at = step.now.replace(microsecond=0)
    intent = Intent(attempt=run.attempt, at=at, key_fingerprint=granted.key.fingerprint)
    run = run.model_copy(
        update={
            "key_source": granted.key.source,
            "key_fingerprint": granted.key.fingerprint,
            "claimed_at": at,
            "baseline": baseline,
            "intent": intent,
        }
    )
    step = step.having(run=run, queue=None, failure=None)
    step = step.remembering(intent_seen_at=step.now, reset_seen=False, agreed_at=None)
    return step.answer(Post(), Note(Reason.STARTING, "The training is being started."))


def queue_up(step: Situation, deferred: SlotDeferred) -> Decision:
    """Wait for the key's start allowance."""
    queue = deferred.queue
    at = queue.estimated_start_at
    when = "" if at is None else f", expected {at:%Y-%m-%d %H:%MZ}"
    note = Note(
        Reason.WAITING_FOR_START_ALLOWANCE,
        f"Waiting for the API key's start allowance: {queue.position} of {queue.of} in the "
        f"queue{when}.",
    )
    return step.having(queue=queue, failure=None).rest(deferred.wait, note)


def started(step: Situation, posted: Posted) -> Decision:
    """The API accepted the start: this run is ours, whatever the next looks show."""
    step = step.having_run(ownership=Ownership.OWNED.value, intent=None)
    step = step.remembering(intent_seen_at=None, denial=None, refusals=0, log_wanted=True)
    model = posted.model
    note: Note | None = Note(Reason.TRAINING, "The training was started.")
    if model is not None:
        before = step.run.baseline.started_training_at if step.run.baseline else None
        # A reply may show the model as it was before; its marker is not this run's then.
        if model.started_at is not None and (before is None or model.started_at > before):
            step = step.having(started_at=model.started_at)
        if model.training_status == TrainingState.RUNNING:
            status, note = follow(step.spec, step.status, model, step.now)
            step = step.having_status(status)
    return step.rest(step.poll, note)


def refused(step: Situation, failed: PostFailed) -> Decision:
    """The API refused the start, or its answer is not known."""
    call, kind = failed.failure, failed.failure.kind
    if kind is FailureKind.AMBIGUOUS:
        return _outcome_unknown(step, call)
    tried_before = step.run.attempt > 1
    key = step.run.key_fingerprint or "", step.run.key_source
    if kind is FailureKind.CONFLICT and tried_before:
        # An earlier POST of ours may be what is in the way. If not, the model as it is is refused.
        return _outcome_unknown(step.having_run(refused=step.run.baseline), call)
    if kind is FailureKind.REJECTED:
        return _fail(step.having_run(intent=None, claimed_at=None), rejected_start(call))
    step = _withdraw(step, call)
    match kind:
        case FailureKind.NOT_SENT:
            step = step.remembering(refusals=step.memory.refusals + 1)
            return _unreachable(step, call)
        case FailureKind.RATE_LIMITED:
            wait = call.retry_after or RATE_LIMIT_WAIT
            until = step.now + timedelta(seconds=wait)
            text = f"The API refused the start because of its rate limit; next try {until:%H:%MZ}."
            return step.rest(wait, Note(Reason.RATE_LIMITED, text))
        case FailureKind.CONFLICT:
            step = step.remembering(refusals=step.memory.refusals + 1)
            return _conflict(step, call)
        case _:
            return _denied(step, call, *key)


def _denied(step: Situation, call: CallFailure, key: str, key_source: str | None) -> Decision:
    """Blocked: a new key is noticed within a minute; with this one the waits grow."""
    why, refusals = blocked_call(call, key_source), step.memory.refusals + 1
    if why is not None:
        until = step.now + timedelta(seconds=min(RECHECK * 2 ** min(refusals, 16), MAX_BACKOFF))
        step = step.remembering(denial=Denial(key, why, until), refusals=refusals)
    return step.having(failure=why).rest(min(step.poll, RECHECK))


def _withdraw(step: Situation, call: CallFailure) -> Situation:
    """Take the intent back: this POST definitely started nothing."""
    step = step.remembering(intent_seen_at=None)
    if step.run.attempt == 1 and not step.status.history:
        # The only POST of the first run did not count: the model is at first sight again. A
        # rerun's request keeps its place in status.
        return step.having(run=None)
    refused = step.run.baseline if call.kind is FailureKind.CONFLICT else step.run.refused
    keep = step.run.baseline if step.run.attempt > 1 else None
    return step.having_run(intent=None, claimed_at=None, baseline=keep, refused=refused)


def _conflict(step: Situation, call: CallFailure) -> Decision:
    """409 to the request's only POST: what is there is not ours."""
    if call.code == "TRAINING_IN_PROGRESS" and step.memory.refusals == 1:
        return step.answer(Look())
    not_ready = call.code == "MODEL_NOT_READY"
    if not_ready and step.spec.when_not_ready is WhenNotReady.FAIL:
        return _fail(step, rejected_start(call))
    wait = min(step.poll * 2 ** min(step.memory.refusals, 16), max(step.poll, MAX_BACKOFF))
    note = Note(Reason.WAITING_FOR_MODEL, f"The API refused the start: {call.message}")
    return step.rest(wait, note)


def _outcome_unknown(step: Situation, call: CallFailure) -> Decision:
    intent = step.run.intent
    if intent is not None:
        step = step.having_run(intent=intent.model_copy(update={"ambiguous": True}))
    if call.reset_seen:
        # What is on its way has left this machine by now, whenever the intent was written.
        step = step.remembering(reset_seen=True, intent_seen_at=step.now)
    note = Note(
        Reason.START_OUTCOME_UNKNOWN,
        f"Whether the start was accepted is not known ({call.message}). The model is being "
        "watched to find out; the start is not repeated before that is certain.",
    )
    return step.rest(min(step.poll, RESOLVE), note)


def _unreachable(step: Situation, call: CallFailure) -> Decision:
    note = Note(Reason.API_UNAVAILABLE, f"The start was not sent: {call.message} Trying again.")
    backoff = step.poll * 2 ** min(step.memory.refusals - 1, 16)
    return step.rest(min(backoff, max(step.poll, 300.0)), note)


def _wait(step: Situation, reason: Reason, message: str) -> Decision:
    return step.having(queue=None).rest(step.poll, Note(reason, message))


def _reject(step: Situation, key: KeyUse, message: str) -> Decision:
    step = step.having(
        run=step.status.run
        or next_run(step.training).model_copy(
            update={"key_source": key.source, "key_fingerprint": key.fingerprint}
        )
    )
    return _fail(step, failure(FailureReason.START_REJECTED, message))


def _fail(step: Situation, why: Failure) -> Decision:
    """End the requested run without a remote one."""
    run = step.status.run or next_run(step.training)
    ended = step.having(
        run=run, failure=why, queue=None, finished_at=step.now.replace(microsecond=0)
    )
    return conclude(ended)
