"""When a run is expected to end, and when its progress is overdue.

Each past run of the same API key makes a prediction: had this one its shape, it would take so
long. What half of them foretell is the estimate. As long as they are few, the document's timeline
counts beside them, if what it foretells lies among theirs. Without any, it is taken alone; where
the run has shown that this is not its shape, its pace since then.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from scriptix_operator.api.reasons import Stage
from scriptix_operator.core.eta.timeline import LONGEST, MILESTONES, REFERENCE, PastRun

__all__ = ["Estimate", "Running", "estimate", "longest_stage"]

TELLING = 10
"""Percent below which the time that has passed says too little: preprocessing does not scale with
the epochs."""
MISFIT = 1.5
"""Factor by which two predictions from one run may differ, if it has the shape of the timeline."""
FEW = 10
"""Past runs below which they are not trusted alone."""
SPREAD = 0.25
"""Of the time left, that it may take longer when little is known."""
LATE = 0.9
"""So many runs in one have ended by the later time."""
LEAST_LEFT = 60.0
"""Seconds that a run has left at least, as long as it goes on."""
OVERDUE = 0.5
"""Of the time that it is overdue, the time that a run is given again."""


@dataclass(frozen=True, slots=True)
class Running:
    """What is known of a run that goes on."""

    model_id: int
    progress: int
    """Percent."""
    seconds: float
    """Into the run, when this progress was first seen."""
    now: float
    """Seconds into the run."""
    timeline: tuple[int, ...]
    """As timeline.with_marks."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long a run is expected to take, in seconds from its beginning."""

    likely: float
    """Half of the runs like this take less (p50)."""
    late: float
    """Nine of ten take less (p90)."""


def estimate(running: Running, past: Sequence[PastRun]) -> Estimate | None:
    """How long a run is expected to take; None where that cannot be told yet.

    Args:
        running: The run.
        past: Runs of the same API key that went to their end.
    """
    predicted = sorted(min(seconds, LONGEST) for seconds in _predictions(running, past))
    if not predicted:
        return None
    likely = median(predicted)
    late = predicted[math.ceil(LATE * len(predicted)) - 1]
    if min(len(past), len(predicted)) < FEW:
        late = max(late, likely + SPREAD * (likely - running.seconds))
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
    """The first percent of which it is known when it was reached, and the seconds then."""
    milestones = zip(MILESTONES, running.timeline, strict=False)
    return next(((milestone, at) for milestone, at in milestones if at > 0), None)


def _is_misfit(running: Running, whole: float) -> bool:
    """Whether the document's shape foretells another end now than it did at the first mark."""
    first = _first_milestone(running)
    if first is None or first[0] >= running.progress:
        return False
    before = first[1] / REFERENCE.share(first[0])
    return not 1 / MISFIT <= before / whole <= MISFIT


def _by_rate(running: Running) -> float:
    """Linear, at the pace since the first mark."""
    milestone, at = _first_milestone(running) or (0, 0)
    granted_interval = (running.seconds - at) / (running.progress - milestone)
    return running.seconds + granted_interval * (100 - running.progress)


def longest_stage(stage: Stage, expected: float | None, past: Sequence[PastRun]) -> float:
    """The longest that a stage has ever taken, in seconds.

    Args:
        stage: The stage.
        expected: Seconds that this run is expected to take.
        past: Runs of the same API key; without any, the document's, at this run's pace if it is
            slower.
    """
    if past:
        return max(run.seconds_in(stage) for run in past)
    slower = max((expected or 0.0) / REFERENCE.seconds, 1.0)
    return REFERENCE.seconds_in(stage) * slower
