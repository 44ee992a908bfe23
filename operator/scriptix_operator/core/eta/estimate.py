"""The estimated completion (ETA) of a run, and when its progress is overdue.

Each past run with the same API key gives a prediction, as if this run had the same timeline. The
estimate is the median of the predictions. While past runs are few, the document's run (the run in
the API's documentation) counts beside them, if its prediction lies among theirs. Without past runs,
the document's run counts alone; where the run does not fit that, the run's pace since the first
progress milestone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from scriptix_operator.api.reasons import Stage
from scriptix_operator.core.eta.timeline import LONGEST, MILESTONES, REFERENCE, PastRun

__all__ = ["LATE", "SPREAD", "Estimate", "Running", "estimate", "longest_stage"]

TELLING = 10
"""Percent below which the elapsed time predicts too little: preprocessing does not scale with the
epochs."""
MISFIT = 1.5
"""Largest factor between two predictions from one run that fits the document's run."""
FEW = 10
"""Number of past runs below which they do not count alone."""
SPREAD = 0.25
"""Part of the time left that is added to p90 while past runs are few."""
LATE = 0.9
"""Part of the runs that have ended by the p90 time."""
LEAST_LEFT = 60.0
"""Least seconds left of a running training."""
OVERDUE = 0.5
"""Part of the overdue time that is added to the estimate."""


@dataclass(frozen=True, slots=True)
class Running:
    """The known facts of a running training."""

    model_id: int
    progress: int
    """Progress in percent."""
    seconds: float
    """Seconds into the run when this progress was first polled."""
    now: float
    """Seconds into the run now."""
    timeline: tuple[int, ...]
    """The progress milestones, as timeline.with_milestones."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long a run is expected to take, in seconds from its beginning."""

    likely: float
    """Half of the runs like this take less (p50)."""
    late: float
    """Nine of ten take less (p90)."""


def estimate(running: Running, past: Sequence[PastRun]) -> Estimate | None:
    """How long a run is expected to take; None where that cannot be estimated yet.

    Args:
        running: The run.
        past: Completed runs with the same API key.
    """
    predicted = sorted(min(seconds, LONGEST) for seconds in _predictions(running, past))
    if not predicted:
        return None
    likely = median(predicted)
    late = predicted[math.ceil(LATE * len(predicted)) - 1]
    if min(len(past), len(predicted)) < FEW:
        late = min(max(late, likely + SPREAD * (likely - running.seconds)), LONGEST)
    if running.now >= likely:
        overdue = running.now - likely
        likely = running.now + max(OVERDUE * overdue, LEAST_LEFT)
        late = max(late, likely + overdue)
    return Estimate(likely, late)


def _predictions(running: Running, past: Sequence[PastRun]) -> list[float]:
    if running.progress < TELLING:
        same = [run.seconds for run in past if run.model_id == running.model_id]
        return same or [run.seconds for run in past]
    if running.seconds <= 0:
        return []
    whole = running.seconds / REFERENCE.share(running.progress)
    if not past:
        return [_by_rate(running) if _is_misfit(running, whole) else whole]
    predicted = [running.seconds / run.share(running.progress) for run in past]
    if min(predicted) <= whole <= max(predicted):
        predicted += [whole] * (FEW - len(past))
    return predicted


def _first_milestone(running: Running) -> tuple[int, int] | None:
    """The first progress milestone with a known time, and the seconds then."""
    milestones = zip(MILESTONES, running.timeline, strict=False)
    return next(((milestone, at) for milestone, at in milestones if at > 0), None)


def _is_misfit(running: Running, whole: float) -> bool:
    """Whether the document's run predicts another end now than at the first progress milestone."""
    first = _first_milestone(running)
    if first is None or first[0] >= running.progress:
        return False
    before = first[1] / REFERENCE.share(first[0])
    return not 1 / MISFIT <= before / whole <= MISFIT


def _by_rate(running: Running) -> float:
    """The linear prediction, at the pace since the first progress milestone."""
    milestone, at = _first_milestone(running) or (0, 0)
    seconds_per_percent = (running.seconds - at) / (running.progress - milestone)
    return running.seconds + seconds_per_percent * (100 - running.progress)


def longest_stage(stage: Stage, expected: float | None, past: Sequence[PastRun]) -> float:
    """The longest that a stage has ever taken, in seconds.

    Args:
        stage: The stage.
        expected: Seconds that this run is expected to take.
        past: Runs with the same API key; without any, the document's run counts, at the pace of
            this run if that is slower.
    """
    if past:
        return max(run.seconds_in(stage) for run in past)
    slower = max((expected or 0.0) / REFERENCE.seconds, 1.0)
    return REFERENCE.seconds_in(stage) * slower
