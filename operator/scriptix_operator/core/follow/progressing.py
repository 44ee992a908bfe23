"""What a look says of a run that goes on: progress, expected end, and whether it stands still."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import Ownership, Reason
from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.eta.estimate import Running, estimate, longest_stage
from scriptix_operator.core.eta.timeline import PastRun, with_milestones
from scriptix_operator.core.model.progress import DONE, stage_of
from scriptix_operator.core.model.remote import RemoteModel
from scriptix_operator.core.scheduling.poll_interval import reported_interval
from scriptix_operator.core.status.conditions import ConditionReason

__all__ = [
    "is_another_start",
    "running",
    "training_reason",
    "with_milestones_of",
    "without_poll_facts",
]

ANOTHER_START = timedelta(seconds=60)
"""From this difference on a later run start time is another start; below, it may be the same time
as two servers round it."""
STALLED_AFTER = 1.5
"""Of the longest that a stage has ever taken: without progress for longer than that, a run is said
to stand still. An API that tells of whole stages only has to be borne with for one."""
LEAST_STALL = 600.0
"""Seconds."""


def without_poll_facts(status: TrainingStatus) -> TrainingStatus:
    """Without the facts that hold only while the run is polled."""
    return replace(
        status,
        estimated_completion_at=None,
        estimated_completion_p90_at=None,
        progress_stalled_at=None,
        poll_interval_seconds=None,
    )


def running(
    status: TrainingStatus,
    model: RemoteModel,
    now: datetime,
    model_id: int,
    past: Sequence[PastRun],
) -> tuple[TrainingStatus, ConditionReason]:
    """The facts and the note after a look at a run that goes on.

    Args:
        status: The facts so far.
        model: The look.
        now: UTC.
        model_id: spec.modelId.
        past: Runs with the same API key that went to their end.
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
    later = (
        " The API shows a later start than the one followed: somebody else may have started the "
        "model again."
    )
    return status, ConditionReason(condition_reason.reason, condition_reason.message + later)


def _is_started_again(status: TrainingStatus, model: RemoteModel, *, has_gone_back: bool) -> bool:
    """Whether polls show that the model was started once more since this run began."""
    began = status.run.started_training_at if status.run else None
    if began is None or model.started_at is None:
        return False
    is_later = model.started_at > began
    return is_later and (has_gone_back or is_another_start(began, model.started_at))


def is_another_start(one: datetime, other: datetime) -> bool:
    """Whether two start times that polls have shown are too far apart to be one, rounded."""
    return abs(other - one) >= ANOTHER_START


def _expected(
    status: TrainingStatus,
    now: datetime,
    model_id: int,
    past: Sequence[PastRun],
    *,
    moved: bool,
) -> TrainingStatus:
    """With its marks and its expected end.

    The end is estimated anew only on news, so that a look without news writes nothing; also where
    it has passed, but not at 100 %, where the time left is always none.
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
    """With the time of each mark that the run has passed."""
    began = _began_at(status) or status.started_at
    if began is None:
        return status
    timeline = with_milestones(status.timeline, progress, (now - began).total_seconds())
    return replace(status, timeline=timeline)


def _began_at(status: TrainingStatus) -> datetime | None:
    """When a run of ours began by our own clock; the API's may differ from it by minutes."""
    run = status.run
    return None if run is None or run.ownership == Ownership.ADOPTED else run.claimed_at


def _stalled(
    status: TrainingStatus, now: datetime, model_id: int, past: Sequence[PastRun]
) -> TrainingStatus:
    """With the time since when progress is overdue, if it is."""
    stalled_at, since, progress = None, status.last_progress_at, status.progress
    if since is not None and progress is not None:
        began = _began_at(status) or status.started_at or since
        known = (since - began).total_seconds()
        # As it was expected then: the delay itself must not give it more time.
        expected = estimate(Running(model_id, progress, known, known, status.timeline), past)
        whole = None if expected is None else expected.likely
        longest = longest_stage(stage_of(progress), whole, past)
        overdue = since + timedelta(seconds=max(STALLED_AFTER * longest, LEAST_STALL))
        # Found once, it stays until there is progress: another run may have taken longer since.
        stalled_at = status.progress_stalled_at or overdue.replace(microsecond=0)
        stalled_at = stalled_at if since <= stalled_at <= now else None
    return replace(status, progress_stalled_at=stalled_at)


def training_reason(status: TrainingStatus) -> ConditionReason:
    """How far a running training is, by its progress and its log."""
    reason, text = Reason.TRAINING, "Training."
    if status.progress is not None:
        text = f"Training: {status.stage}, {status.progress}%."
        if status.progress >= DONE:
            text += " The API has yet to say how it ended."
    if status.progress_stalled_at is not None:
        reason = Reason.PROGRESS_STALLED
        text += (
            f" No progress since {status.last_progress_at:%m-%d %H:%MZ}: {status.stage} has never "
            "taken so long. The run is followed on; spec.timeoutSeconds ends that."
        )
    if status.learning_curve:
        last = status.learning_curve[-1]
        text += f" Last logged: epoch {last.epoch}/{last.of}, WER {last.word_error_rate}%."
    if status.poll_interval_seconds is not None:
        interval = reported_interval(status.poll_interval_seconds)
        text += f" Polling about every {interval}: the status-call quota of the API key is shared."
    return ConditionReason(reason, text)
