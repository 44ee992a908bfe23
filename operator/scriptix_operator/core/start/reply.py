"""The reply to a start: started, refused or ambiguous (docs/start-protocol.md, step 4)."""

from datetime import datetime, timedelta

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import Ownership, Reason
from scriptix_operator.api.spec import WhenNotReady
from scriptix_operator.api.status import TEXT, StartReply
from scriptix_operator.core.follow.next_action import fail
from scriptix_operator.core.follow.outcome import follow
from scriptix_operator.core.follow.poll_failed import rate_limited
from scriptix_operator.core.ledger.ledger import InFlightStart, StartOutcome
from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.model.remote import (
    CODE_KINDS,
    CallFailure,
    FailureKind,
    RemoteModel,
    TrainingState,
)
from scriptix_operator.core.model.text import one_line
from scriptix_operator.core.reconcile.call_results import Posted, PostFailed
from scriptix_operator.core.reconcile.context import RECHECK, RESOLVE, ReconcileContext
from scriptix_operator.core.reconcile.in_process_state import StartCooldown
from scriptix_operator.core.reconcile.vocabulary import Decision, Poll
from scriptix_operator.core.start.start_decision import abort_start
from scriptix_operator.core.status.conditions import ConditionReason
from scriptix_operator.core.status.failures import (
    blocked_call,
    refused_for_now,
    rejected_start,
    with_details,
)
from scriptix_operator.core.status.texts import start_texts

__all__ = ["not_started", "refused", "started"]

MAX_BACKOFF = 3600.0
"""Longest delay between starts, in seconds, while the API refuses them."""


def started(ctx: ReconcileContext, posted: Posted) -> Decision:
    """Record that the API accepted the start: the run is ours, whatever the next polls show.

    Status shows the run start time of the reply until a poll shows the run. That run start time is
    not compared: another replica may have written the one that polls read.
    """
    in_flight, shown = ctx.state.start.in_flight, _shown_start(ctx, posted.model)
    ctx = ctx.with_run(ownership=Ownership.OWNED.value, intent=None).without_in_flight_start()
    ctx = ctx.with_start(cooldown=None, refusals=0).with_log_fetches(is_wanted=True)
    model = posted.model
    ctx = ctx.with_polls(unreadable=() if model is None else model.unreadable)
    condition_reason: ConditionReason | None = ConditionReason(
        Reason.TRAINING, start_texts.start_accepted()
    )
    if shown is not None:
        ctx = ctx.with_facts(started_at=shown)
    if model is not None and model.training_status == TrainingState.RUNNING:
        status, condition_reason = follow(ctx.spec, ctx.status, model, ctx.now, ())
        ctx = ctx.with_status(status).with_run(started_training_at=None)
    return _with_outcome(
        ctx.requeue(ctx.requested_interval, condition_reason), in_flight, acted=True
    )


def _shown_start(ctx: ReconcileContext, model: RemoteModel | None) -> datetime | None:
    """The run start time in the reply, unless it is still that of the previous run."""
    before = ctx.run.baseline.started_training_at if ctx.run.baseline else None
    start = None if model is None else model.started_at
    return start if start is not None and (before is None or start > before) else None


def refused(ctx: ReconcileContext, failed: PostFailed) -> Decision:
    """Record that the API refused the start, or that the outcome is unknown."""
    in_flight, decision = ctx.state.start.in_flight, _refused(ctx, failed)
    if decision.status.run is not None and decision.status.run.intent is not None:
        return decision
    sent = failed.failure.kind is not FailureKind.NOT_SENT
    return _with_outcome(decision, in_flight, acted=False, sent=sent)


def _with_outcome(
    decision: Decision, in_flight: InFlightStart | None, *, acted: bool, sent: bool = True
) -> Decision:
    if in_flight is None:
        return decision
    return replace(decision, start_outcome=StartOutcome(in_flight, acted=acted, sent=sent))


def _refused(ctx: ReconcileContext, failed: PostFailed) -> Decision:
    call, kind = failed.failure, failed.failure.kind
    if kind is FailureKind.AMBIGUOUS:
        return _outcome_unknown(_with_reply_kept(ctx, call), call)
    tried_before = ctx.run.attempt > 1
    key = ctx.run.key_fingerprint or "", ctx.run.key_source
    if kind is FailureKind.CONFLICT and tried_before:
        # An earlier POST of ours may have acted. Otherwise the API refuses the unchanged model.
        return _outcome_unknown(ctx.with_run(refused=ctx.run.baseline), call)
    if kind is FailureKind.REJECTED:
        ctx = ctx.with_run(intent=None, claimed_at=None).without_in_flight_start()
        return fail(ctx, rejected_start(call))
    if kind is FailureKind.CONFLICT:
        ctx = ctx.with_run(refused=ctx.run.baseline)
    return _wait_until_retry(abort_start(ctx), failed, key)


def not_started(ctx: ReconcileContext, reply: StartReply) -> Decision | None:
    """Decide on a start that had no effect as if the API had refused it with the code in its reply.

    Args:
        ctx: The resource, not starting any more.
        reply: The reply to the start.

    Returns:
        The decision; None where the reply does not say that another attempt would fail.
    """
    kind = CODE_KINDS.get(reply.code or "")
    if kind is None:
        return None
    call = CallFailure(kind, reply.message, code=reply.code)
    if kind is FailureKind.REJECTED:
        return fail(ctx, rejected_start(call))
    if kind is FailureKind.CONFLICT:
        ctx = ctx.with_run(refused=ctx.run.baseline)
    key = ctx.run.key_fingerprint or "", ctx.run.key_source
    return _wait_until_retry(abort_start(ctx), PostFailed(call), key)


def _with_reply_kept(ctx: ReconcileContext, call: CallFailure) -> ReconcileContext:
    """With the reply in the intent, for when the outcome is known, perhaps in another process."""
    intent = ctx.run.intent
    if intent is None or not (call.is_error_in_success or call.is_from_gateway):
        return ctx
    code = call.code if call.is_error_in_success else None
    reply = StartReply(code=code, message=one_line(with_details(call), TEXT))
    return ctx.with_run(intent=replace(intent, reply=reply))


def _wait_until_retry(
    ctx: ReconcileContext, failed: PostFailed, key: tuple[str, str | None]
) -> Decision:
    """Wait after a start that has started nothing, until it is retried."""
    call = failed.failure
    match call.kind:
        case FailureKind.NOT_SENT:
            ctx = ctx.with_start(refusals=ctx.state.start.refusals + 1)
            return _not_sent(ctx, call)
        case FailureKind.RATE_LIMITED:
            return rate_limited(ctx, call, failed.again_in, start_texts.start_rate_limited)
        case FailureKind.CONFLICT:
            ctx = ctx.with_start(refusals=ctx.state.start.refusals + 1)
            return _conflict(ctx, call)
        case _:
            return _denied(ctx, call, *key)


def _denied(ctx: ReconcileContext, call: CallFailure, key: str, key_source: str | None) -> Decision:
    """Block the resource: a new key is noticed within a minute; with this key the delays grow."""
    why, refusals = blocked_call(call, key_source), ctx.state.start.refusals + 1
    if why is not None:
        until = ctx.now + timedelta(seconds=backoff(RECHECK, refusals, MAX_BACKOFF))
        ctx = ctx.with_start(cooldown=StartCooldown(key, why, until), refusals=refusals)
    return ctx.with_facts(failure=why).requeue(min(ctx.requested_interval, RECHECK))


def _conflict(ctx: ReconcileContext, call: CallFailure) -> Decision:
    """Decide on a 409 to attempt 1.

    No earlier POST can have acted, so the run at the model is not ours.
    """
    if call.code == "TRAINING_IN_PROGRESS" and ctx.state.start.refusals == 1:
        return ctx.decision_on(Poll())
    not_ready = call.code == "MODEL_NOT_READY"
    if not_ready and ctx.spec.when_not_ready is WhenNotReady.FAIL:
        return fail(ctx, rejected_start(call))
    wait = backoff(
        ctx.requested_interval, ctx.state.start.refusals, max(ctx.requested_interval, MAX_BACKOFF)
    )
    return ctx.requeue(wait, ConditionReason(Reason.WAITING_FOR_MODEL, refused_for_now(call)))


def _outcome_unknown(ctx: ReconcileContext, call: CallFailure) -> Decision:
    if call.reset_seen:
        # The POST has left this machine by now, whenever the intent was written.
        ctx = ctx.with_start(reset_seen=True, intent_seen_at=ctx.now)
    condition_reason = ConditionReason(
        Reason.START_OUTCOME_UNKNOWN,
        start_texts.outcome_to_be_polled(call.message),
    )
    # A poll before the time that the reply names would fail. The wait is no longer than a start may
    # take to act: the model may be trained meanwhile.
    named = min(call.retry_after or 0.0, ctx.durations.longest_in_flight)
    return ctx.requeue(max(min(ctx.requested_interval, RESOLVE), named), condition_reason)


def _not_sent(ctx: ReconcileContext, call: CallFailure) -> Decision:
    why = call.message.rstrip(".")
    condition_reason = ConditionReason(Reason.API_UNAVAILABLE, start_texts.start_not_sent(why))
    return ctx.requeue(
        backoff(
            ctx.requested_interval, ctx.state.start.refusals - 1, max(ctx.requested_interval, 300.0)
        ),
        condition_reason,
    )
