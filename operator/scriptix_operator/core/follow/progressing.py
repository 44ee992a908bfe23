"""What a poll says of a running training: progress, estimated completion, stalled or not."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import Ownership, Reason
from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.eta.estimate import Running, estimate, longest_stage
from scriptix_operator.core.eta.timeline import PastRun, with_milestones
from scriptix_operator.core.model.progress import DONE, stage_of
from scriptix_operator.core.model.remote import RemoteModel
from scriptix_operator.core.status.conditions import ConditionReason
from scriptix_operator.core.status.texts import run_texts

__all__ = [
    "is_another_start",
    "running",
    "training_reason",
    "with_milestones_of",
    "without_poll_facts",
]

ANOTHER_START = timedelta(seconds=60)
"""From this difference on, a later run start time is another start; below it, the two may be one
time that two replicas round differently."""
STALLED_AFTER = 1.5
"""Factor on the longest known duration of a stage: without progress for longer than that, a run is
stalled. An API may report progress only once per stage."""
LEAST_STALL = 600.0
"""Seconds without progress below which no run is stalled."""


def without_poll_facts(status: TrainingStatus) -> TrainingStatus:
    """Without the facts that hold only while the run is polled."""
    return replace(
        status,
        estimated_completion_at=None,
        estimated_completion_p90_at=None,
        progress_stalled_at=None,
        forecast=None,
        poll_interval_seconds=None,
    )


def running(
    status: TrainingStatus,
    model: RemoteModel,
    now: datetime,
    model_id: int,
    past: Sequence[PastRun],
) -> tuple[TrainingStatus, ConditionReason]:
    """The facts and their reason after a poll of a running training.

    Args:
        status: The facts so far.
        model: The poll.
        now: UTC.
        model_id: spec.modelId.
        past: Completed runs with the same API key.
    """
    before = status.progress
    progress = before if model.progress is None else model.progress
    moved = progress != before
    status = replace(
        status,
        progress=progress,
        stage=None if progress is None else stage_of(progress).value,
        started_at=status.started_at or model.started_at,
        last_progress_at=now.replace(microsecond=0) if moved else status.last_progress_at,
    )
    status = _expected(status, now, model_id, past, moved=moved)
    status = _stalled(status, now, model_id, past)
    condition_reason = training_reason(status)
    has_gone_back = progress is not None and before is not None and progress < before
    if not _is_started_again(status, model, has_gone_back=has_gone_back):
        return status, condition_reason
    text = f"{condition_reason.message} {run_texts.started_by_other_client()}"
    return status, ConditionReason(condition_reason.reason, text)


def _is_started_again(status: TrainingStatus, model: RemoteModel, *, has_gone_back: bool) -> bool:
    """Whether polls show that the model was started again since this run began."""
    began = status.run.started_training_at if status.run else None
    if began is None or model.started_at is None:
        return False
    is_later = model.started_at > began
    return is_later and (has_gone_back or is_another_start(began, model.started_at))


def is_another_start(one: datetime, other: datetime) -> bool:
    """Whether two polled run start times are too far apart to be one time, rounded."""
    return abs(other - one) >= ANOTHER_START


def _expected(
    status: TrainingStatus,
    now: datetime,
    model_id: int,
    past: Sequence[PastRun],
    *,
    moved: bool,
) -> TrainingStatus:
    """With the progress milestones and the estimated completion.

    The completion is estimated again only when progress has changed, so that a poll without changes
    writes nothing; and once the estimate has passed, except at 100 %, where no time is left.
    """
    began, progress = _began_at(status) or status.started_at, status.progress
    if began is None or progress is None:
        return status
    seconds = (now - began).total_seconds()
    if moved:
        status = with_milestones_of(status, progress, now)
    eta = status.estimated_completion_at
    is_overdue = eta is not None and eta < now and progress < DONE
    if not (moved or eta is None or is_overdue):
        return status
    seen_at = status.last_progress_at or now
    known = (seen_at - began).total_seconds()
    expected = estimate(Running(model_id, progress, known, seconds, status.timeline), past)
    if expected is None:
        return replace(status, estimated_completion_at=None, estimated_completion_p90_at=None)

    def at(after: float) -> datetime:
        return (began + timedelta(seconds=after)).replace(microsecond=0)

    return replace(
        status,
        estimated_completion_at=at(expected.likely),
        estimated_completion_p90_at=at(expected.late),
    )


def with_milestones_of(status: TrainingStatus, progress: int, now: datetime) -> TrainingStatus:
    """With the time of each progress milestone that the run has passed."""
    began = _began_at(status) or status.started_at
    if began is None:
        return status
    timeline = with_milestones(status.timeline, progress, (now - began).total_seconds())
    return replace(status, timeline=timeline)


def _began_at(status: TrainingStatus) -> datetime | None:
    """When an owned run began, by the operator's clock; the API's may differ by minutes."""
    run = status.run
    return None if run is None or run.ownership == Ownership.ADOPTED else run.claimed_at


def _stalled(
    status: TrainingStatus, now: datetime, model_id: int, past: Sequence[PastRun]
) -> TrainingStatus:
    """With the time since when progress is overdue, if any."""
    stalled_at, since, progress = None, status.last_progress_at, status.progress
    if since is not None and progress is not None:
        began = _began_at(status) or status.started_at or since
        known = (since - began).total_seconds()
        # The estimate as of then: the delay itself must not extend the allowed time.
        expected = estimate(Running(model_id, progress, known, known, status.timeline), past)
        whole = None if expected is None else expected.likely
        longest = longest_stage(stage_of(progress), whole, past)
        overdue = since + timedelta(seconds=max(STALLED_AFTER * longest, LEAST_STALL))
        # Recorded once, the time stays until there is progress: later runs may have taken longer.
        stalled_at = status.progress_stalled_at or overdue.replace(microsecond=0)
        stalled_at = stalled_at if since <= stalled_at <= now else None
    return replace(status, progress_stalled_at=stalled_at)


def training_reason(status: TrainingStatus) -> ConditionReason:
    """The reason and message of a running training, by its progress and its log."""
    reason, texts = Reason.TRAINING, [run_texts.run_progress(status.stage, status.progress)]
    if status.progress is not None and status.progress >= DONE:
        texts.append(run_texts.final_status_awaited())
    if status.progress_stalled_at is not None:
        reason = Reason.PROGRESS_STALLED
        texts.append(run_texts.progress_stalled(status.stage, status.last_progress_at))
    if status.learning_curve:
        last = status.learning_curve[-1]
        texts.append(run_texts.epoch_logged(last.epoch, last.of, last.word_error_rate))
    if status.poll_interval_seconds is not None:
        texts.append(run_texts.polled_less_often(status.poll_interval_seconds))
    return ConditionReason(reason, " ".join(texts))
