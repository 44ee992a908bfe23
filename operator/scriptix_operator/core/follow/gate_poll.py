"""A quality gate that was edited after the end of the run.

A run that missed the gate is judged again, with metrics that have arrived since. A published result
stays published.
"""

from scriptix_operator.api.spec import TrainingSpec
from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.follow.next_action import conclude
from scriptix_operator.core.follow.outcome import (
    is_of_run,
    judge,
    naming_unreadable,
    trained_reason,
    with_metrics,
)
from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.model.remote import RemoteModel, TrainingState
from scriptix_operator.core.reconcile.context import RECHECK, ReconcileContext
from scriptix_operator.core.reconcile.vocabulary import (
    Decision,
    ModelPolled,
    Observation,
    Poll,
    PollDeferred,
    PollFailed,
    RequeueAfter,
    Triggered,
)
from scriptix_operator.core.status.conditions import ConditionReason
from scriptix_operator.core.status.quality_gate import changed_gate, lacks_metric

__all__ = ["judge_again", "published_reason"]

TRIES = 5
"""Polls that may fail before the run is judged by the known metrics."""
FIRST_WAIT = 2.0
"""Seconds after the first failed poll; doubles up to RECHECK."""


def judge_again(ctx: ReconcileContext, observation: Observation) -> Decision:
    """Judge a run that missed its gate after an edit; a missing metric is polled for first."""
    unreadable: tuple[str, ...] = ()
    if _may_poll(ctx):
        match observation:
            case Triggered():
                return _unjudged(ctx, Poll())
            case PollDeferred(seconds):
                return _unjudged(ctx, RequeueAfter(seconds))
            case PollFailed():
                failed = ctx.state.polls.failed + 1
                if failed < TRIES:
                    ctx = ctx.with_polls(failed=failed)
                    return _unjudged(ctx, RequeueAfter(backoff(FIRST_WAIT, failed - 1, RECHECK)))
            case ModelPolled(model=model) if _is_of_run(ctx, model):
                known = with_metrics(ctx.status.metrics, model.metrics)
                ctx, unreadable = ctx.with_facts(metrics=known), model.unreadable
            case _:
                pass
    status, condition_reason = judge(ctx.spec, ctx.status)
    status = naming_unreadable(status, ctx.status.failure, unreadable)
    return conclude(ctx.with_status(status).with_polls(failed=0), condition_reason)


def published_reason(
    spec: TrainingSpec, status: TrainingStatus, condition_reason: ConditionReason | None
) -> ConditionReason:
    """The reason of a published result after an edit, which does not change the result.

    Args:
        spec: As edited.
        status: With the result.
        condition_reason: The reason decided so far; None: the one from the publication.
    """
    condition_reason, changed = (
        condition_reason or trained_reason(status),
        changed_gate(spec.quality_gate, status.metrics),
    )
    return (
        condition_reason
        if changed is None
        else ConditionReason(condition_reason.reason, f"{condition_reason.message} {changed}")
    )


def _may_poll(ctx: ReconcileContext) -> bool:
    """Whether a poll may bring the missing metric, and be known to show this run."""
    is_lacking = lacks_metric(ctx.spec.quality_gate, ctx.status.metrics)
    is_known = ctx.status.run is not None and ctx.status.run.started_training_at is not None
    return is_lacking and is_known and not ctx.spec.suspend


def _is_of_run(ctx: ReconcileContext, model: RemoteModel) -> bool:
    return model.training_status == TrainingState.SUCCEEDED and is_of_run(ctx.status, model)


def _unjudged(ctx: ReconcileContext, action: Poll | RequeueAfter) -> Decision:
    """Continue with the recorded status, which must not show the edit as observed."""
    return Decision(ctx.recorded or ctx.status, action, ctx.state)
