"""How progress goes with time: the marks of a run, those of past runs, and the document's timeline.

Source of the reference: the remote API's document ("Training Timeline", a 20-hour dataset).
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from scriptix_operator.api.reasons import FailureReason, Stage
from scriptix_operator.core.progress import STAGES
from scriptix_operator.core.training import Training

__all__ = ["LONGEST", "MARKS", "REFERENCE", "PastRun", "is_whole", "past_runs", "with_marks"]

MARKS = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95)
"""Percents of which it is noted when a run reaches them."""
UNSEEN = -1
"""In a timeline: the mark was passed between two looks far apart, or before the first."""
SLACK = 5
"""Percent by which progress may have passed a mark when it is first seen, for the time to count."""
LONGEST = 31 * 86_400.0
"""Seconds; what is said to have taken longer has not: somebody's clock is wrong."""
MAX_PAST = 20
"""Past runs of a key that are learned from, the newest."""


def with_marks(timeline: tuple[int, ...], progress: int, seconds: float) -> tuple[int, ...]:
    """The timeline of a run after a look.

    Args:
        timeline: Seconds into the run at which each of the first MARKS was first seen.
        progress: Percent at this look.
        seconds: Of the run that have passed.
    """
    new = [mark for mark in MARKS[len(timeline) :] if mark <= progress]
    seen = (round(seconds) if progress - mark <= SLACK else UNSEEN for mark in new)
    return (*timeline, *seen)


def is_whole(timeline: tuple[int, ...]) -> bool:
    """Whether the run has come past all marks."""
    return len(timeline) == len(MARKS)


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run that went to its end, to learn from."""

    model_id: int
    seconds: float
    """It took."""
    points: tuple[tuple[int, float], ...]
    """Percent against the share (0 to 1) of its time that had passed; both ascend, from the
    beginning to the end."""

    @classmethod
    def of(cls, model_id: int, seconds: float, timeline: tuple[int, ...]) -> "PastRun":
        """The run of a timeline, as `with_marks`; marks that make no sense are left out."""
        points = [(0, 0.0)]
        for mark, at in zip(MARKS, timeline, strict=False):
            if points[-1][1] * seconds < at < seconds:
                points.append((mark, at / seconds))
        return cls(model_id, seconds, (*points, (100, 1.0)))

    def share(self, progress: float) -> float:
        """Which share (0 to 1) of its time had passed at `progress` percent."""
        progress = min(max(progress, 0.0), 100.0)
        index = bisect_right(self.points, progress, key=lambda point: point[0])
        if index == len(self.points):
            return 1.0
        (low, since), (high, until) = self.points[index - 1], self.points[index]
        return since + (until - since) * (progress - low) / (high - low)

    def seconds_in(self, stage: Stage) -> float:
        """How long it was in a stage."""
        ends = [*(begin for begin, _ in STAGES[1:]), 100]
        begin, end = next((b, e) for (b, s), e in zip(STAGES, ends, strict=True) if s is stage)
        return (self.share(end) - self.share(begin)) * self.seconds


HOURS = ((0, 0.0), (5, 0.25), (10, 0.5), (30, 2.0), (50, 4.0), (75, 6.0), (95, 7.5), (100, 8.0))
"""Percent against hours of the document's timeline: progress is not linear in time."""
REFERENCE = PastRun(0, 8 * 3600.0, tuple((percent, hours / 8) for percent, hours in HOURS))
"""The document's run."""


def past_runs(trainings: Iterable[Training]) -> Mapping[str, tuple[PastRun, ...]]:
    """What the statuses of all resources tell of runs that went to their end.

    Returns:
        By fingerprint of the API key, the newest MAX_PAST, the oldest of these first.
    """
    found: defaultdict[str, list[tuple[datetime, PastRun]]] = defaultdict(list)
    for training in trainings:
        run = training.status.run
        if run is not None and run.key_fingerprint is not None:
            found[run.key_fingerprint] += _past_of(training)
    return {
        key: tuple(run for _, run in sorted(runs, key=lambda item: item[0])[-MAX_PAST:])
        for key, runs in found.items()
    }


def _past_of(training: Training) -> Iterator[tuple[datetime, PastRun]]:
    status = training.status
    reason = None if status.failure is None else status.failure.reason
    present = (reason, status.started_at, status.finished_at, status.timeline)
    earlier = ((e.reason, e.started_at, e.finished_at, e.timeline) for e in status.history)
    for why, began, ended, timeline in (present, *earlier):
        # One that failed on its way tells nothing of how long it would have taken.
        went_well = why in {None, FailureReason.QUALITY_GATE_FAILED} and is_whole(timeline)
        if went_well and began is not None and ended is not None:
            seconds = (ended - began).total_seconds()
            if 0 < seconds <= LONGEST:
                yield ended, PastRun.of(training.spec.model_id, seconds, timeline)
