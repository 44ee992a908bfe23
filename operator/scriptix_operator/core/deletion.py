"""A resource that is being deleted: only the outcome of its start is still determined.

The resource exists until its finalizers are removed, which may take days. A run at the API cannot
be cancelled; a start whose reply was lost still has to be resolved, so that the start ledger is
right for other resources with the model.
"""

from dataclasses import replace

from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.core.follow.progressing import without_poll_facts
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.reconcile.context import ReconcileContext
from scriptix_operator.core.reconcile.vocabulary import (
    Decision,
    ModelPolled,
    NoStartInFlight,
    Observation,
    Poll,
    RequeueAfter,
)
from scriptix_operator.core.start.competing_trainings import is_start_of
from scriptix_operator.core.status.conditions import (
    awaits_retry,
    has_ended,
    is_finished,
    is_starting,
    release,
)
from scriptix_operator.core.status.failures import failure
from scriptix_operator.core.status.texts import end_texts

__all__ = ["awaits_outcome", "released", "without_effects"]


def awaits_outcome(training: Training, observation: Observation) -> bool:
    """Whether the model of a resource that is being deleted is polled all the same.

    Only while the ledger has its start in flight. A suspended resource makes no calls: its start
    is resolved by the next resource that needs the model.
    """
    if training.spec.suspend or not is_starting(training.status):
        return False
    match observation:
        case NoStartInFlight():
            return False
        case ModelPolled(in_flight=entry):
            return entry is not None and is_start_of(entry, training)
        case _:
            return True


def released(ctx: ReconcileContext) -> Decision:
    """End the reconciliation of the resource; status says so, unless the run has finished."""
    if awaits_retry(ctx.status):
        ctx = ctx.with_run(retry_at=None)
    if is_finished(ctx.status):
        return ctx.decision_on(RequeueAfter(None))
    ctx = ctx.with_status(without_poll_facts(ctx.status)).with_facts(queue=None)
    if not has_ended(ctx.status):
        ctx = ctx.with_facts(failure=None)
    return ctx.decision_on(RequeueAfter(None), release(ctx.status))


def without_effects(ctx: ReconcileContext, decision: Decision) -> Decision:
    """The decision without calls, ConfigMaps or retries; only the outcome of a start is polled."""
    ctx = replace(ctx, state=decision.state).with_status(decision.status)
    if decision.publish:
        # Success is reported once the result is published, and no ConfigMap is written any more.
        why = failure(FailureReason.RESULT_NOT_PUBLISHED, end_texts.unpublished_by_deletion())
        ctx = ctx.with_facts(failure=why)
    elif is_starting(decision.status) and isinstance(decision.action, RequeueAfter | Poll):
        return decision
    return replace(released(ctx), start_outcome=decision.start_outcome)
