"""Whether a run is started: first observation of the model, reruns, the queue, and the intent.

docs/start-protocol.md has the steps 1 and 2.
"""

from datetime import datetime, timedelta

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason, Ownership, Reason
from scriptix_operator.api.spec import ExistingTraining, WhenNotReady
from scriptix_operator.api.status import Baseline, Intent, Queue
from scriptix_operator.core.follow.next_action import conclude, fail
from scriptix_operator.core.follow.outcome import follow
from scriptix_operator.core.model.remote import TrainingState
from scriptix_operator.core.reconcile.context import RECHECK, ReconcileContext
from scriptix_operator.core.reconcile.vocabulary import (
    AcquireStart,
    Decision,
    KeyUse,
    ModelPolled,
    Post,
    StartGranted,
    StartQueued,
)
from scriptix_operator.core.requests.requests import next_run
from scriptix_operator.core.start.competing_trainings import was_started_by
from scriptix_operator.core.start.staleness import is_stale
from scriptix_operator.core.status.conditions import ConditionReason
from scriptix_operator.core.status.failure_catalog import Cause
from scriptix_operator.core.status.failures import failure
from scriptix_operator.core.status.texts import resource_texts, start_texts, waiting_texts

__all__ = [
    "abort_start",
    "begin",
    "consider",
    "may_be_hidden_run",
    "queue_up",
    "start_nothing",
    "wait_for_hidden",
]

REPORTED_CHANGE = timedelta(minutes=2)
"""An estimated start time that moves by less is not written again."""
IMMINENT = timedelta(seconds=5)
"""A start that is expected within this time is not reported as waiting."""


def consider(ctx: ReconcileContext, seen: ModelPolled, in_use: str | None) -> Decision:
    """Decide on a model without a run or an in-flight start of this resource.

    Args:
        ctx: The resource.
        seen: The poll.
        in_use: Why another resource comes first, as competing_trainings.model_in_use.
    """
    if ctx.training.unreadable:
        return start_nothing(ctx)
    if in_use is not None:
        return _wait(ctx, Reason.MODEL_IN_USE, in_use)
    model, is_first_observation = seen.model, ctx.status.run is None
    if is_stale(ctx.training, seen):
        return _wait(
            ctx,
            Reason.UNEXPECTED_STATUS,
            waiting_texts.stale_poll(),
        )
    if model.is_start_time_unreadable:
        return _wait(
            ctx,
            Reason.UNEXPECTED_STATUS,
            waiting_texts.start_time_unreadable(),
        )
    match model.training_status:
        case TrainingState.READY:
            return _acquire_start(ctx, seen)
        case TrainingState.NOT_READY:
            if ctx.spec.when_not_ready is WhenNotReady.FAIL:
                text = waiting_texts.model_not_ready_refused()
                return _reject(ctx, seen.key, text, Cause.MODEL_NOT_READY)
            return _wait(
                ctx,
                Reason.WAITING_FOR_MODEL,
                waiting_texts.model_not_ready(),
            )
        case TrainingState.RUNNING | TrainingState.SUCCEEDED | TrainingState.FAILED:
            if is_first_observation:
                return _existing(ctx, seen)
            return _again(ctx, seen)
        case other:
            return _wait(
                ctx,
                Reason.UNEXPECTED_STATUS,
                waiting_texts.undocumented_status(other, "training_status 2 (ready to run)"),
            )


def start_nothing(ctx: ReconcileContext) -> Decision:
    """Wait for an edit, or for another version: not all of the resource can be read."""
    condition_reason = ConditionReason(Reason.UNREADABLE, resource_texts.nothing_started())
    return ctx.with_facts(queue=None).requeue(None, condition_reason)


def _acquire_start(ctx: ReconcileContext, seen: ModelPolled) -> Decision:
    """Ask for a start, unless it is delayed, or the API has just refused one for this key."""
    next_attempt_at = None if ctx.status.run is None else ctx.run.next_attempt_at
    if next_attempt_at is not None and ctx.now < next_attempt_at:
        text = start_texts.start_had_no_effect(ctx.run.attempt, "", next_attempt_at)
        return ctx.with_facts(queue=None, failure=None).requeue(
            (next_attempt_at - ctx.now).total_seconds(),
            ConditionReason(Reason.START_OUTCOME_UNKNOWN, text),
        )
    cooldown = ctx.state.start.cooldown
    if cooldown is not None and cooldown.key == seen.key.fingerprint and ctx.now < cooldown.until:
        return ctx.with_facts(failure=cooldown.failure, queue=None).requeue(
            min(ctx.requested_interval, RECHECK)
        )
    return ctx.decision_on(AcquireStart(seen.model, seen.key, seen.revision))


def _existing(ctx: ReconcileContext, seen: ModelPolled) -> Decision:
    """Decide at the first observation of a model that is being trained, or was trained."""
    state = seen.model.training_status
    match ctx.spec.existing_training:
        case ExistingTraining.ADOPT:
            return _adopt(ctx, seen)
        case ExistingTraining.FAIL:
            running = state == TrainingState.RUNNING
            cause = Cause.TRAINING_IN_PROGRESS if running else Cause.TRAINED_BEFORE
            text = waiting_texts.previous_training_refused(state)
            return _reject(ctx, seen.key, text, cause)
        case ExistingTraining.WAIT:
            return _wait(
                ctx,
                Reason.WAITING_FOR_MODEL,
                waiting_texts.previous_training_waited_for(state),
            )


def _adopt(ctx: ReconcileContext, seen: ModelPolled) -> Decision:
    run = replace(
        next_run(ctx.training),
        ownership=Ownership.ADOPTED.value,
        key_source=seen.key.source,
        key_fingerprint=seen.key.fingerprint,
        claimed_at=ctx.now.replace(microsecond=0),
    )
    adopted = replace(ctx.status, run=run, queue=None)
    status, condition_reason = follow(ctx.spec, adopted, seen.model, ctx.now, seen.past)
    return conclude(ctx.with_status(status).with_log_fetches(is_wanted=True), condition_reason)


def _again(ctx: ReconcileContext, seen: ModelPolled) -> Decision:
    """Decide on a rerun of a model that is running or done: not adopted, tried once when done."""
    model = seen.model
    if model.training_status == TrainingState.RUNNING:
        return _wait(
            ctx,
            Reason.WAITING_FOR_MODEL,
            waiting_texts.model_in_training(),
        )
    if may_be_hidden_run(ctx, seen):
        return wait_for_hidden(ctx)
    present = Baseline(training_status=model.training_status, started_training_at=model.started_at)
    if model.started_at is not None and ctx.run.refused != present:
        return _acquire_start(ctx, seen)
    return _wait(
        ctx,
        Reason.WAITING_FOR_MODEL,
        waiting_texts.api_refuses_rerun(),
    )


def may_be_hidden_run(ctx: ReconcileContext, seen: ModelPolled) -> bool:
    """Whether the training that the model shows may belong to a resource that cannot be read."""
    known = (ctx.training, *seen.competitors)
    is_hidden = seen.has_hidden_competitor or any(
        one.cannot_read("status.history") for one in known
    )
    return is_hidden and not any(was_started_by(one, seen.model) for one in known)


def wait_for_hidden(ctx: ReconcileContext) -> Decision:
    """Wait until the operator can read all resources with this model."""
    return _wait(
        ctx,
        Reason.MODEL_IN_USE,
        waiting_texts.run_hidden(),
    )


def begin(ctx: ReconcileContext, granted: StartGranted) -> Decision:
    """Write the intent; the POST is sent only after the intent is recorded."""
    run = ctx.status.run or next_run(ctx.training)
    model = granted.model
    baseline = run.baseline or Baseline(
        training_status=model.training_status, started_training_at=model.started_at
    )
    at = ctx.now.replace(microsecond=0)
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
        next_attempt_at=None,
        baseline=baseline,
        intent=intent,
    )
    ctx = ctx.with_facts(run=run, queue=None, failure=None).without_in_flight_start()
    return ctx.decision_on(Post(), ConditionReason(Reason.STARTING, start_texts.start_begins()))


def abort_start(ctx: ReconcileContext) -> ReconcileContext:
    """Remove the intent of a start that has definitely started nothing.

    After attempt 1 of the first run, the next poll is the first observation again. The request of a
    rerun stays in status.
    """
    ctx = ctx.without_in_flight_start()
    if ctx.run.attempt == 1 and not ctx.status.history:
        return ctx.with_facts(run=None)
    keep = ctx.run.baseline if ctx.run.attempt > 1 else None
    return ctx.with_run(intent=None, claimed_at=None, baseline=keep)


def queue_up(ctx: ReconcileContext, queued: StartQueued) -> Decision:
    """Wait for the key's start quota; a wait that ends within seconds is not reported."""
    if ctx.status.run is not None and ctx.run.queued_at is None:
        ctx = ctx.with_run(queued_at=ctx.now.replace(microsecond=0))
    queue = _queue_position(ctx.status.queue, queued.queue)
    if queue is None or (ctx.status.queue is None and _is_imminent(queue, ctx.now)):
        condition_reason = ConditionReason(Reason.OBSERVED, waiting_texts.model_can_be_trained())
        return ctx.with_facts(failure=None).requeue(queued.wait, condition_reason)
    condition_reason = ConditionReason(
        Reason.WAITING_FOR_START_QUOTA,
        waiting_texts.start_quota_used_up(queue.position, queue.of, queue.estimated_start_at),
    )
    return ctx.with_facts(queue=queue, failure=None).requeue(queued.wait, condition_reason)


def _is_imminent(queue: Queue, now: datetime) -> bool:
    """Whether the start is expected within seconds."""
    return queue.estimated_start_at is not None and queue.estimated_start_at <= now + IMMINENT


def _queue_position(old: Queue | None, new: Queue | None) -> Queue | None:
    """The position to report; an estimated start time that has hardly moved stays."""
    if new is None:
        return old
    if old is None or (old.position, old.of) != (new.position, new.of):
        return new
    if old.estimated_start_at is None or new.estimated_start_at is None:
        return new
    moved = abs(new.estimated_start_at - old.estimated_start_at)
    return old if moved < REPORTED_CHANGE else new


def _wait(ctx: ReconcileContext, reason: Reason, message: str) -> Decision:
    condition_reason = ConditionReason(reason, message)
    return ctx.with_facts(queue=None).requeue_for_poll(ctx.next_poll_in, condition_reason)


def _reject(ctx: ReconcileContext, key: KeyUse, message: str, cause: Cause) -> Decision:
    ctx = ctx.with_facts(
        run=ctx.status.run
        or replace(next_run(ctx.training), key_source=key.source, key_fingerprint=key.fingerprint)
    )
    return fail(ctx, failure(FailureReason.START_REJECTED, message, cause=cause))
