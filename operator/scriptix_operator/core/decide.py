"""The decision: what one reconcile records and does next, from all that is known.

The engine's loop is decide → act → observe → decide …, until the action is RequeueAfter.
All judgement is below this function; all effects are in the engine.
"""

from datetime import datetime

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason, Reason
from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.deletion import awaits_outcome, released, without_effects
from scriptix_operator.core.follow.gate_poll import judge_again, published_reason
from scriptix_operator.core.follow.log_collection import with_log_tried_again, without_log_failures
from scriptix_operator.core.follow.next_action import (
    conclude,
    is_retry_held,
    log_stored,
    log_unavailable,
    publish_failed,
)
from scriptix_operator.core.follow.outcome import (
    OBSERVATION_REFRESH,
    believe,
    ended_at,
    follow,
    is_of_end,
    judge,
    model_status,
    naming_unreadable,
    with_poll,
)
from scriptix_operator.core.follow.pending_end import is_wait_over, poll_results, with_next_poll
from scriptix_operator.core.follow.poll_failed import poll_failed
from scriptix_operator.core.follow.progressing import without_poll_facts
from scriptix_operator.core.follow.replaced import replaced_before_poll
from scriptix_operator.core.ledger.ledger import StartOutcome
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.reconcile.call_results import (
    LogStored,
    LogUnavailable,
    Posted,
    PostFailed,
)
from scriptix_operator.core.reconcile.context import RECHECK, Durations, ReconcileContext
from scriptix_operator.core.reconcile.in_process_state import InProcessState
from scriptix_operator.core.reconcile.vocabulary import (
    Blocked,
    CheckQueue,
    Decision,
    ModelPolled,
    Observation,
    Poll,
    PollDeferred,
    PollFailed,
    PublishFailed,
    QueueReached,
    RebuildPending,
    StartAborted,
    StartGranted,
    StartLedgerNotWritable,
    StartQueued,
    Triggered,
)
from scriptix_operator.core.requests.cancellation import cancel_request, is_cancelled
from scriptix_operator.core.requests.requests import (
    begin_retry,
    begin_run,
    is_run_asked_for,
    newest_request,
)
from scriptix_operator.core.scheduling.poll_interval import jittered, next_poll, shown_interval
from scriptix_operator.core.start.competing_trainings import (
    is_start_of,
    model_in_use,
    unreadable_in_use,
)
from scriptix_operator.core.start.reply import refused, started
from scriptix_operator.core.start.resolution import (
    acted_after_all,
    decision_by_kept_reply,
    newly_polled_start,
    recorded_outcome,
    resolve,
    resolve_other_start,
)
from scriptix_operator.core.start.start_decision import (
    abort_start,
    begin,
    consider,
    queue_up,
    start_nothing,
)
from scriptix_operator.core.status.conditions import (
    ConditionReason,
    awaits_retry,
    has_ended,
    is_end_pending,
    is_followed,
    is_over,
    is_starting,
    is_unpublished,
    may_be_running,
)
from scriptix_operator.core.status.failures import failure
from scriptix_operator.core.status.published import published_result
from scriptix_operator.core.status.texts import end_texts, start_texts
from scriptix_operator.core.status.unreadable import reported_unreadable

__all__ = ["decide"]

CANCELLED = ConditionReason(Reason.TRAINING_SUCCEEDED, end_texts.request_cancelled_after_success())
"""Reason of a succeeded run that is restored; a failed run shows its own failure."""

NO_LEDGER = ConditionReason(Reason.START_LEDGER_NOT_WRITABLE, start_texts.ledger_not_writable())


def decide(
    training: Training,
    observation: Observation,
    now: datetime,
    state: InProcessState | None = None,
    durations: Durations | None = None,
) -> Decision:
    """Decide what to record and do next.

    Args:
        training: The resource with the status last recorded.
        observation: The observation of this reconcile.
        now: UTC.
        state: In-process state of the resource.
        durations: Durations of the start protocol.
    """
    ctx = ReconcileContext(
        training, now, state or InProcessState(), durations or Durations(), recorded=training.status
    )
    decision = _decided(ctx, observation)
    if training.is_being_deleted:
        return without_effects(ctx, decision)
    if not decision.publish:
        return decision
    # Success is recorded once the result is published, and so is what was published.
    published = published_result(decision.status, now)
    return replace(decision, status=replace(decision.status, published=published))


def _decided(ctx: ReconcileContext, observation: Observation) -> Decision:
    match observation:
        # The result of a call in flight is recorded, whatever was edited meanwhile.
        case Posted():
            return started(ctx, observation)
        case PostFailed():
            return refused(ctx.with_start(reply=None), observation)
        case StartAborted():
            return abort_start(ctx).decision_on(Poll())
        case LogStored():
            return log_stored(ctx, observation)
        case LogUnavailable():
            return log_unavailable(ctx, observation)
        case PublishFailed():
            return publish_failed(ctx, observation)
        case _:
            return _decide_on_resource(ctx, observation)


def _decide_on_resource(ctx: ReconcileContext, observation: Observation) -> Decision:
    """Follow deletion, edits, requests and time-outs first; only then what was observed."""
    if ctx.training.is_being_deleted:
        is_polled = awaits_outcome(ctx.training, observation)
        return _decide_on_observation(ctx, observation) if is_polled else released(ctx)
    edited = _is_edited(ctx)
    condition_reason = None
    if edited:
        ctx = with_log_tried_again(ctx)
    if is_run_asked_for(ctx.training):
        ctx = _with_request_accepted(ctx)
    elif is_cancelled(ctx.training):
        ctx, condition_reason = ctx.with_status(cancel_request(ctx.status)), CANCELLED
    else:
        ctx = _with_newest_request(ctx)
    if awaits_retry(ctx.status):
        return _retry_when_due(ctx)
    if has_ended(ctx.status):
        return _ended(ctx, condition_reason, observation, edited=edited)
    if is_wait_over(ctx) and not isinstance(observation, ModelPolled):
        return conclude(*_with_end_believed(ctx))
    is_late = ctx.deadline is not None and ctx.now >= ctx.deadline
    if is_late and not is_end_pending(ctx.status):
        return _timed_out(ctx)
    if ctx.spec.suspend:
        ctx = ctx.without_refused_polls().with_status(without_poll_facts(ctx.status))
        return ctx.with_facts(queue=None, failure=None).requeue(None)
    return _decide_on_observation(ctx, observation)


def _is_edited(ctx: ReconcileContext) -> bool:
    """Whether the spec may differ from the one that status describes."""
    is_readable_again = reported_unreadable(ctx.status) is not None and not ctx.training.unreadable
    return is_readable_again or ctx.training.generation != ctx.status.observed_generation


def _with_request_accepted(ctx: ReconcileContext) -> ReconcileContext:
    """Accept a request: in place of an unsent one, or once the run has ended."""
    if is_over(ctx.status):
        return _with_new_run(ctx, begin_run(ctx.training))
    return _with_newest_request(ctx)


def _with_newest_request(ctx: ReconcileContext) -> ReconcileContext:
    """Let a run that nothing was sent for answer the newest request."""
    newest = newest_request(ctx.training)
    return ctx if newest == ctx.status.run else ctx.with_facts(run=newest)


def _retry_when_due(ctx: ReconcileContext) -> Decision:
    """Wait for the time of the retry, and for the log of the run that failed; then begin it."""
    retry_at = ctx.run.retry_at
    if ctx.spec.suspend or ctx.training.unreadable:
        return ctx.requeue(None)
    if (retry_at is not None and ctx.now < retry_at) or is_retry_held(ctx):
        return conclude(ctx)
    ctx = _with_new_run(ctx, begin_retry(ctx.training))
    text = end_texts.retry_begins(ctx.run.retries, ctx.spec.backoff_limit)
    return ctx.decision_on(Poll(), ConditionReason(Reason.OBSERVED, text))


def _with_new_run(ctx: ReconcileContext, status: TrainingStatus) -> ReconcileContext:
    """Begin another run: the in-process state of the previous run does not count."""
    fresh = without_log_failures(ctx.with_status(status), is_wanted=False)
    return (
        fresh.without_refused_polls()
        .with_start(refusals=0)
        .with_polls(interval=None, credits=None)
        .with_state(failed_publishes=0)
    )


def _decide_on_observation(ctx: ReconcileContext, observation: Observation) -> Decision:
    match observation:
        case Triggered(is_queued):
            return _triggered(ctx, is_queued=is_queued)
        case QueueReached():
            return ctx.decision_on(Poll())
        case Blocked(why):
            ctx = with_next_poll(ctx.without_refused_polls())
            return ctx.with_facts(failure=why, queue=None).requeue(
                min(ctx.requested_interval, RECHECK)
            )
        case StartLedgerNotWritable() | RebuildPending():
            # The ledger is read before the key: an earlier block may be fixed meanwhile.
            return ctx.with_facts(queue=None, failure=None).requeue(
                min(ctx.requested_interval, RECHECK), _no_ledger(observation)
            )
        case PollDeferred(seconds):
            # Without a wait the key was replaced, and the queue of another key is to be joined.
            return ctx.requeue_for_poll(seconds) if seconds else ctx.requeue(seconds)
        case PollFailed():
            return poll_failed(with_next_poll(ctx), observation)
        case ModelPolled():
            return _decide_on_poll(ctx, observation)
        case StartGranted():
            return begin(ctx, observation)
        case StartQueued():
            return queue_up(ctx, observation)
        case _:
            raise TypeError(f"no decision for {type(observation).__name__}")


def _no_ledger(why: StartLedgerNotWritable | RebuildPending) -> ConditionReason:
    if isinstance(why, StartLedgerNotWritable):
        return NO_LEDGER
    text = start_texts.ledger_missing(why.gap)
    return ConditionReason(Reason.WAITING_FOR_NAMESPACES, text)


def _triggered(ctx: ReconcileContext, *, is_queued: bool) -> Decision:
    """Poll the model; seldom, while the resource only waits in the start queue."""
    if ctx.training.unreadable and not may_be_running(ctx.status):
        return start_nothing(ctx)
    if is_end_pending(ctx.status):
        return poll_results(ctx)
    is_queued = is_queued or ctx.status.queue is not None
    seen_at = ctx.status.last_observed_at
    is_fresh = seen_at is not None and ctx.now < seen_at + OBSERVATION_REFRESH
    return ctx.decision_on(CheckQueue() if is_queued and is_fresh else Poll())


def _ended(
    ctx: ReconcileContext,
    condition_reason: ConditionReason | None,
    observation: Observation,
    *,
    edited: bool,
) -> Decision:
    """Judge the run again after an edit, publish what is unpublished, or requeue."""
    why = ctx.status.failure
    missed_gate = why is not None and why.reason == FailureReason.QUALITY_GATE_FAILED
    is_gate_known = not ctx.training.cannot_read("spec.qualityGate")
    if edited and missed_gate and is_gate_known:
        return judge_again(ctx, observation)
    if is_unpublished(ctx.status) and is_gate_known:
        status, condition_reason = judge(ctx.spec, ctx.status)
        return conclude(ctx.with_status(status), condition_reason)
    if why is None and (edited or condition_reason is not None):
        condition_reason = published_reason(ctx.spec, ctx.status, condition_reason)
    # Published when the run succeeded; another reconcile publishes nothing.
    return replace(conclude(ctx, condition_reason), publish=False)


def _with_end_believed(ctx: ReconcileContext) -> tuple[ReconcileContext, ConditionReason | None]:
    status, condition_reason = believe(ctx.spec, ctx.status, ctx.now)
    status = naming_unreadable(status, ctx.status.failure, ctx.state.polls.unreadable)
    # The poll for a metric after an edit of the gate counts its own failures.
    return ctx.with_status(status).with_polls(failed=0), condition_reason


def _timed_out(ctx: ReconcileContext) -> Decision:
    text = end_texts.timed_out(ctx.spec.timeout_seconds)
    # The intent stays: the next resource that needs the model resolves its outcome.
    ctx = ctx.without_refused_polls().with_status(without_poll_facts(ctx.status))
    ended = ctx.with_facts(
        failure=failure(FailureReason.TIMED_OUT, text),
        finished_at=ended_at(ctx.status.started_at, ctx.now),
    )
    return conclude(ended)


def _decide_on_poll(ctx: ReconcileContext, seen: ModelPolled) -> Decision:
    before = ctx.status
    end = before.run.pending_end if before.run else None
    is_shown = end is None or is_of_end(before, end, seen.model)
    ctx = ctx.with_facts(
        model=model_status(seen.model) if is_shown else before.model,
        failure=None,
        poll_interval_seconds=shown_interval(
            ctx.requested_interval, seen.granted_interval.shortest
        ),
    )
    ctx = ctx.with_polls(
        failed=0, answered_at=ctx.now, unreadable=seen.model.unreadable
    ).without_refused_polls()
    if is_followed(ctx.status):
        decision = _decide_on_followed(ctx, seen)
    else:
        decision = _decide_on_not_followed(_with_waiting_interval(ctx, seen), seen)
    stamped = with_poll(decision.status, before, ctx.now)
    return replace(decision, status=stamped)


def _with_waiting_interval(ctx: ReconcileContext, seen: ModelPolled) -> ReconcileContext:
    """With the interval that the key's quota grants to resources that wait for their model."""
    poll_in = jittered(seen.granted_interval.queued_after(ctx.requested_interval), seen.jitter)
    return replace(ctx.with_polls(interval=None), granted_poll_in=poll_in)


def _decide_on_followed(ctx: ReconcileContext, seen: ModelPolled) -> Decision:
    if (decision := replaced_before_poll(ctx, seen.competitors)) is not None:
        return decision
    status, condition_reason = follow(ctx.spec, ctx.status, seen.model, ctx.now, seen.past)
    is_changed = status.stage != ctx.status.stage or has_ended(status)
    wanted = ctx.state.log_fetches.is_wanted or is_changed
    ctx = _with_followed_interval(ctx.with_status(status), seen).with_log_fetches(is_wanted=wanted)
    if is_wait_over(ctx):
        ctx, condition_reason = _with_end_believed(ctx)
    decision = conclude(ctx, condition_reason)
    recorded = None if seen.in_flight is None else recorded_outcome(seen.in_flight, ctx.training)
    followed = ctx.training.with_status(decision.status)
    return replace(
        decision, start_outcome=recorded or newly_polled_start(followed, seen.latest_run)
    )


def _with_followed_interval(ctx: ReconcileContext, seen: ModelPolled) -> ReconcileContext:
    """With the interval until the next poll: shorter near the estimated completion."""
    status, now = ctx.status, ctx.now
    began, eta = status.started_at, status.estimated_completion_at
    age = 0.0 if began is None else max((now - began).total_seconds(), 0.0)
    to_end = None if eta is None else (eta - now).total_seconds()
    wanted = next_poll(ctx.requested_interval, to_end, age, ctx.state.polls.credits)
    ctx = ctx.with_polls(interval=wanted.seconds, credits=wanted.credits)
    return replace(
        ctx,
        granted_poll_in=jittered(
            seen.granted_interval.queued_after(ctx.requested_interval, wanted.seconds), seen.jitter
        ),
    )


def _decide_on_not_followed(ctx: ReconcileContext, seen: ModelPolled) -> Decision:
    """Decide on a model without a known run of this resource.

    The first of these that applies decides:

    1. The in-flight start of this resource: its outcome is determined (resolution.resolve).
    2. The kept reply to a start of this resource that another resource has resolved.
    3. The in-flight start of another resource (resolution.resolve_other_start).
    4. A competing training, or a resource that cannot be read and may have a run of the model.
    5. An earlier attempt of this run that has acted after all.
    6. The status of the model (start_decision.consider).
    """
    if is_starting(ctx.status):
        if seen.in_flight is not None and is_start_of(seen.in_flight, ctx.training):
            return resolve(ctx, seen, seen.in_flight)
        if (decision := decision_by_kept_reply(ctx)) is not None:
            return decision
        # The ledger is written between the intent and the POST: this start was never sent.
        ctx = abort_start(ctx)
    start_outcome: StartOutcome | None = None
    if seen.in_flight is not None:
        ctx, outcome = resolve_other_start(ctx, seen, seen.in_flight)
        if isinstance(outcome, Decision):
            return outcome
        start_outcome = outcome
    in_use = model_in_use(ctx.training, seen.competitors, seen.model)
    if in_use is None and seen.unreadable_competitor is not None:
        in_use = unreadable_in_use(seen.unreadable_competitor, ctx.training)
    ctx, resolved = (ctx, None) if in_use else acted_after_all(ctx, seen)
    return replace(resolved or consider(ctx, seen, in_use), start_outcome=start_outcome)
