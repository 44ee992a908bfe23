"""A pending end: the API shows that the run has ended, but not its results yet.

A pending end is recorded at once, polled a few times for its results, and then believed without
them. The recorded time determines when the polls are due, so a restart adds no poll.
"""

from datetime import timedelta

from scriptix_operator.api.reasons import Phase, Reason
from scriptix_operator.core.model.remote import TrainingState
from scriptix_operator.core.reconcile.context import ReconcileContext
from scriptix_operator.core.reconcile.vocabulary import Decision, Poll
from scriptix_operator.core.status.conditions import ConditionReason
from scriptix_operator.core.status.quality_gate import lacks_metric

__all__ = ["POLLS", "await_results", "is_wait_over", "poll_results", "with_next_poll"]

POLLS = (2 / 120, 7 / 120, 17 / 120, 47 / 120, 110 / 120)
"""Times of the polls for results, as parts of the wait: most results arrive within seconds."""


def await_results(ctx: ReconcileContext) -> Decision:
    """Report that results are awaited, and requeue until the next poll for them."""
    ctx, until, run = with_next_poll(ctx), ctx.results_until, ctx.run
    if ctx.is_judgement_held:
        text = (
            "The API shows that the training has succeeded. The run is neither judged nor "
            "published before its quality gate can be read."
        )
        return ctx.requeue(None, ConditionReason(Reason.TRAINING, text))
    shown = run.pending_end.training_status if run.pending_end else ""
    text = (
        f"The API shows that the training has ended (training_status {shown}); its results are "
        f"awaited until {until:%H:%M:%SZ}."
    )
    return ctx.requeue(None, ConditionReason(Reason.TRAINING, text))


def poll_results(ctx: ReconcileContext) -> Decision:
    """Poll for the results when due; a new process skips polls that are past."""
    due = ctx.state.polls.results_due_at
    return await_results(ctx) if due is None or ctx.now < due else ctx.decision_on(Poll())


def with_next_poll(ctx: ReconcileContext) -> ReconcileContext:
    """With the time of the next poll for the results of a pending end, if there is one."""
    until = ctx.results_until
    if until is None:
        return ctx
    whole = ctx.durations.results
    times = (until - timedelta(seconds=whole * (1 - part)) for part in POLLS)
    return ctx.with_polls(results_due_at=next((at for at in times if at > ctx.now), until))


def is_wait_over(ctx: ReconcileContext) -> bool:
    """Whether a pending end is to be believed without further results."""
    until, run = ctx.results_until, ctx.status.run
    if until is None or run is None or run.pending_end is None or ctx.is_judgement_held:
        return False
    if ctx.now >= until or (ctx.deadline is not None and ctx.now >= ctx.deadline):
        return True
    if ctx.status.phase == Phase.SUSPENDED and not ctx.spec.suspend:
        return True  # resumed: the end was seen before the suspension
    # The gate was edited, or the results were polled and could not be published.
    is_success = run.pending_end.training_status == TrainingState.SUCCEEDED
    return is_success and not lacks_metric(ctx.spec.quality_gate, ctx.status.metrics)
