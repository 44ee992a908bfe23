"""A run that has ended and was replaced before a poll could show its outcome."""

from collections.abc import Sequence
from datetime import datetime

from scriptix_operator.api.reasons import FailureReason, Ownership
from scriptix_operator.core.follow.next_action import conclude
from scriptix_operator.core.follow.outcome import ended_at
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.reconcile.context import ReconcileContext
from scriptix_operator.core.reconcile.vocabulary import Decision
from scriptix_operator.core.status.failures import failure

__all__ = ["consumed", "replaced_before_poll"]


def consumed(ctx: ReconcileContext, started_at: datetime | None) -> Decision:
    """End the run with an unknown outcome.

    Args:
        ctx: The resource.
        started_at: Run start time of the run.
    """
    text = (
        "The run started and ended, but the model was changed before the outcome could be read; "
        "the outcome is unknown."
    )
    run = ctx.run
    ctx = ctx.with_run(
        ownership=run.ownership or Ownership.UNCONFIRMED.value,
        intent=None,
        started_training_at=started_at,
    ).without_in_flight_start()
    return conclude(
        ctx.with_facts(
            failure=failure(FailureReason.UNKNOWN, text),
            started_at=started_at,
            finished_at=ended_at(started_at, ctx.now),
            queue=None,
        )
    )


def replaced_before_poll(ctx: ReconcileContext, competitors: Sequence[Training]) -> Decision | None:
    """End a run that no poll has shown, and that a competing training's run has replaced.

    The competing training was started while the namespace of this resource was not listed. The run
    start time in the competitor's baseline is newer than in this run's baseline, so it is the start
    time of this run. The model now shows the competitor's run.
    """
    run = ctx.status.run
    if run is None or run.baseline is None or run.started_training_at is not None:
        return None
    own = run.baseline.started_training_at
    for competitor in competitors:
        other = competitor.status.run
        if other is None or other.baseline is None:
            continue
        is_sent = other.ownership is not None or other.intent is not None
        start = other.baseline.started_training_at
        if is_sent and start is not None and (own is None or start > own):
            return consumed(ctx, start)
    return None
