"""What follows a poll of a followed run: its log, its end, or the next poll."""

from datetime import timedelta

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.api.status import Failure
from scriptix_operator.core.follow.log_collection import (
    is_first_fetch_due,
    log_due_in,
    with_log_stored,
    with_log_unavailable,
    with_log_wanted_after_end,
)
from scriptix_operator.core.follow.pending_end import await_results
from scriptix_operator.core.follow.progressing import training_reason, without_poll_facts
from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.reconcile.call_results import LogStored, LogUnavailable
from scriptix_operator.core.reconcile.context import RECHECK, ReconcileContext, soonest
from scriptix_operator.core.reconcile.vocabulary import (
    Decision,
    FetchLog,
    PublishFailed,
    RequeueAfter,
)
from scriptix_operator.core.requests.cancellation import cancel_request, is_cancelled
from scriptix_operator.core.requests.requests import is_run_asked_for, next_run
from scriptix_operator.core.status.conditions import (
    ConditionReason,
    awaits_retry,
    has_ended,
    is_end_pending,
    is_finished,
    is_over,
)
from scriptix_operator.core.status.failures import failure
from scriptix_operator.core.status.gate_condition import gate_condition, without_judgement
from scriptix_operator.core.status.texts import end_texts

__all__ = [
    "conclude",
    "fail",
    "is_retry_held",
    "log_stored",
    "log_unavailable",
    "publish_failed",
]

LOG_PATIENCE = timedelta(hours=1)
"""A retry waits so long for the log of the failed run: the window of the log quota. The API may
keep only the log of the newest run."""
FIRST_PUBLISH_RETRY = 5.0
"""Seconds before a result that could not be published is tried again; doubles up to RECHECK."""
UNREPORTED = 4
"""Attempts to publish before a failure is reported that is no refusal. A short failure of the
cluster is over by then, after delays of 75 s."""


def conclude(ctx: ReconcileContext, condition_reason: ConditionReason | None = None) -> Decision:
    """Fetch the log where it is due. Otherwise requeue.

    During a run, the requeue is for the next poll; after its end for a retry, a new request or a
    later fetch, if there is one.

    A run that has just succeeded is published. A pending end is polled for its results only.
    """
    if is_end_pending(ctx.status):
        return await_results(ctx)
    if awaits_retry(ctx.status) and (is_run_asked_for(ctx.training) or is_cancelled(ctx.training)):
        # The request changed during the run: a request that is gone is not retried.
        ctx = ctx.with_status(cancel_request(ctx.status))
    ctx = with_log_wanted_after_end(ctx)
    due_in, fetch_in = _due_in(ctx), log_due_in(ctx)
    if fetch_in == 0:
        action: FetchLog | RequeueAfter = FetchLog(due_in)
    elif is_over(ctx.status):
        action = RequeueAfter(soonest(due_in, fetch_in))
    else:
        return ctx.requeue_for_poll(ctx.next_poll_in, condition_reason)
    has_succeeded = is_finished(ctx.status) and ctx.status.failure is None
    return ctx.decision_on(action, condition_reason, publish=has_succeeded)


def is_retry_held(ctx: ReconcileContext) -> bool:
    """Whether a retry whose time has come waits for the log of the run that failed.

    The retry waits for the first fetch after the end only; later fetches are skipped. The log is
    fetched at least once, however late: the resource may have been suspended until then.
    """
    retry_at = ctx.run.retry_at
    if retry_at is None or not is_first_fetch_due(ctx):
        return False
    return ctx.state.log_fetches.failed == 0 or ctx.now < retry_at + LOG_PATIENCE


def _due_in(ctx: ReconcileContext) -> float | None:
    """Seconds until the next action other than the log; None: until the resource changes."""
    if not is_over(ctx.status):
        return ctx.next_poll_in
    if is_run_asked_for(ctx.training):
        return 0.0  # requested during the run, so no watch event will trigger it
    retry_at = ctx.run.retry_at if ctx.status.run else None
    if retry_at is None:
        return None
    if ctx.now >= retry_at and is_retry_held(ctx):
        retry_at += LOG_PATIENCE
    return max((retry_at - ctx.now).total_seconds(), 0.0)


def fail(ctx: ReconcileContext, why: Failure) -> Decision:
    """End the requested run, which never became a run at the API."""
    run = ctx.status.run or next_run(ctx.training)
    ended = ctx.with_status(without_poll_facts(ctx.status)).with_facts(
        run=run,
        failure=why,
        queue=None,
        finished_at=ctx.now.replace(microsecond=0),
    )
    return conclude(ended)


def publish_failed(ctx: ReconcileContext, failed: PublishFailed) -> Decision:
    """Report that the result of a succeeded run could not be published, and try again.

    Success is reported only once the result exists, so that clients that wait for success find the
    result. The facts that the API gave are kept: the model may change before the result is
    published.
    """
    tries = ctx.state.failed_publishes + 1
    ctx = ctx.with_state(failed_publishes=tries)
    wait = backoff(FIRST_PUBLISH_RETRY, tries - 1, RECHECK)
    if not (failed.refused or ctx.training.is_being_deleted) and tries <= UNREPORTED:
        # The recorded status: an edit of the gate must not count as observed before the run is
        # judged again, and an in-flight start stays open until its outcome is recorded.
        status = ctx.status
        if is_end_pending(status):
            # The results that have ended the wait are kept: later polls may not show them.
            status = replace(status, metrics=failed.success.status.metrics)
        return Decision(status, RequeueAfter(wait), ctx.state)
    message = end_texts.result_not_published(failed.message)
    why = failure(FailureReason.RESULT_NOT_PUBLISHED, message)
    # The decided conditions report a success that was never recorded; the judgement was made.
    success = failed.success.status
    judged = gate_condition(success.conditions)
    conditions = without_judgement(ctx.status.conditions)
    status = replace(
        success,
        failure=why,
        published=ctx.status.published,
        conditions=conditions if judged is None else (*conditions, judged),
    )
    ctx = with_log_wanted_after_end(ctx.with_status(status))
    fetch_in = log_due_in(ctx)
    decision = ctx.decision_on(
        FetchLog(wait) if fetch_in == 0 else RequeueAfter(soonest(wait, fetch_in))
    )
    return replace(decision, start_outcome=failed.success.start_outcome)


def log_stored(ctx: ReconcileContext, stored: LogStored) -> Decision:
    """Record a stored log, and requeue until the next fetch or poll."""
    ctx = with_log_stored(ctx, stored)
    condition_reason = None if has_ended(ctx.status) else training_reason(ctx.status)
    return _after_log(ctx, stored.due_in, condition_reason)


def log_unavailable(ctx: ReconcileContext, failed: LogUnavailable) -> Decision:
    """Record that the log could not be fetched or stored: retry later, or report that."""
    return _after_log(with_log_unavailable(ctx, failed), failed.due_in)


def _after_log(
    ctx: ReconcileContext, due_in: float | None, condition_reason: ConditionReason | None = None
) -> Decision:
    if is_over(ctx.status):
        return ctx.requeue(soonest(_due_in(ctx), log_due_in(ctx)), condition_reason)
    # During the run, a log that is due is fetched with the next poll: no poll is made for the log.
    return ctx.requeue_for_poll(due_in, condition_reason)
