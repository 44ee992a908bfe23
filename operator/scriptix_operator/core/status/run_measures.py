"""What the metrics count of a run, from each change of its status.

Status keeps neither when a first run joined the start queue nor earlier estimates. Both are
remembered in process: after a restart, the runs that have lost them are not counted there.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from scriptix_operator.api.reasons import Outcome, Ownership, Stage
from scriptix_operator.api.status import Run, TrainingStatus
from scriptix_operator.core.status.conditions import has_ended, is_followed, is_over, is_starting
from scriptix_operator.core.status.events import run_outcome

__all__ = ["JUDGED_STAGE", "NOTHING_SEEN", "RunMeasures", "SeenRun", "run_measures"]

JUDGED_STAGE = Stage.MAIN_TRAINING
"""The stage whose first estimate is compared with the end of the run (decisions/0049)."""


@dataclass(frozen=True, slots=True)
class _Estimate:
    """The estimate that is compared with the end of a run."""

    run_id: str
    p50: datetime
    p90: datetime


@dataclass(frozen=True, slots=True)
class SeenRun:
    """What is remembered of a resource's run."""

    queued_at: datetime | None = None
    """When status first showed the resource in the start queue."""
    queue_seconds: float | None = None
    """The wait of the run whose start is under way; None: unknown."""
    estimate: _Estimate | None = None


NOTHING_SEEN = SeenRun()


@dataclass(frozen=True, slots=True)
class RunMeasures:
    """What a change of status adds to the metrics."""

    is_started: bool = False
    """The operator has begun to follow a run."""
    queue_seconds: float | None = None
    """Seconds from the start queue to the start of the run; None: not known, or no start."""
    outcome: Outcome | None = None
    """The outcome of a run that has ended; None: no run has ended."""
    run_seconds: float | None = None
    """Duration of the run that has ended; None: its beginning is not known."""
    detection_seconds: float | None = None
    """Seconds from the end of the run, by the API, to the poll that showed it; None: not known."""
    is_p50_held: bool | None = None
    """Whether the run has succeeded by its p50 estimate; None: there is no estimate to judge."""
    is_p90_held: bool | None = None
    """The same for its p90 estimate."""


def run_measures(
    seen: SeenRun, old: TrainingStatus, new: TrainingStatus, now: datetime
) -> tuple[SeenRun, RunMeasures]:
    """What the metrics count of a change of status.

    Args:
        seen: What is remembered of the resource.
        old: The status before.
        new: The status as written.
        now: UTC.

    Returns:
        What is to be remembered, and what is to be counted.
    """
    seen = _with_queue(seen, old, new, now)
    seen = _with_estimate(seen, old, new)
    measures = RunMeasures()
    if is_followed(new) and not is_followed(old):
        is_adopted = new.run is not None and new.run.ownership == Ownership.ADOPTED
        wait = None if is_adopted else seen.queue_seconds
        measures = RunMeasures(is_started=True, queue_seconds=wait)
        seen = replace(seen, queued_at=None, queue_seconds=None)
    if has_ended(new) and is_followed(old):
        measures = replace(measures, detection_seconds=_detection_seconds(old, new))
    outcome = run_outcome(old, new)
    if outcome is not None:
        measures = _with_end(measures, seen, new, outcome)
    return NOTHING_SEEN if is_over(new) and new.queue is None else seen, measures


def _with_queue(seen: SeenRun, old: TrainingStatus, new: TrainingStatus, now: datetime) -> SeenRun:
    """With the time in the start queue."""
    if new.queue is not None and old.queue is None and seen.queued_at is None:
        return replace(seen, queued_at=now)
    run = new.run
    if run is None or run.claimed_at is None or not is_starting(new) or is_starting(old):
        return seen
    since = _joined_at(run, seen, was_queued=old.queue is not None)
    if since is None:
        return replace(seen, queue_seconds=None)
    return replace(seen, queue_seconds=max((run.claimed_at - since).total_seconds(), 0.0))


def _joined_at(run: Run, seen: SeenRun, *, was_queued: bool) -> datetime | None:
    """When a run that is being started joined the start queue; None: another process saw it."""
    if run.queued_at != run.claimed_at:
        return run.queued_at  # status keeps that of a rerun
    if seen.queued_at is not None:
        return seen.queued_at
    return None if was_queued else run.claimed_at


def _with_estimate(seen: SeenRun, old: TrainingStatus, new: TrainingStatus) -> SeenRun:
    """With the first estimate of the run in the judged stage; an earlier process may have seen it.

    Without the comparison with `old`, a later and better estimate would be judged after a restart.
    """
    estimate = _estimate_in_stage(new)
    if estimate is None or _estimate_in_stage(old) is not None:
        return seen
    if seen.estimate is not None and seen.estimate.run_id == estimate.run_id:
        return seen
    return replace(seen, estimate=estimate)


def _estimate_in_stage(status: TrainingStatus) -> _Estimate | None:
    """The estimate of a status in the judged stage."""
    p50, p90 = status.estimated_completion_at, status.estimated_completion_p90_at
    is_judged = status.stage == JUDGED_STAGE and is_followed(status)
    if status.run is None or p50 is None or p90 is None or not is_judged:
        return None
    return _Estimate(status.run.id, p50, p90)


def _detection_seconds(old: TrainingStatus, new: TrainingStatus) -> float | None:
    """How long after the end of a run a poll showed the end.

    Where the API reports no end, status has the time of the poll, and the difference is 0; where
    the operator ends the run, as by a time-out, no poll follows the end. Neither is a detection.
    """
    pending = old.run.pending_end if old.run else None
    seen_at = pending.seen_at.replace(microsecond=0) if pending else new.last_observed_at
    if seen_at is None or new.finished_at is None or new.finished_at >= seen_at:
        return None
    return (seen_at - new.finished_at).total_seconds()


def _with_end(
    measures: RunMeasures, seen: SeenRun, new: TrainingStatus, outcome: Outcome
) -> RunMeasures:
    """With the end of a run."""
    began, ended, estimate = new.started_at, new.finished_at, seen.estimate
    seconds = None if began is None or ended is None else (ended - began).total_seconds()
    if seconds is not None and seconds < 0:
        seconds = None  # one of the two times is from another clock
    measures = replace(measures, outcome=outcome, run_seconds=seconds)
    is_same = estimate is not None and new.run is not None and estimate.run_id == new.run.id
    if outcome is not Outcome.SUCCEEDED or ended is None or estimate is None or not is_same:
        return measures
    return replace(measures, is_p50_held=ended <= estimate.p50, is_p90_held=ended <= estimate.p90)
