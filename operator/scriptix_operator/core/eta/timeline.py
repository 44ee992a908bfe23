"""Progress over time: the milestones of a run, those of past runs, and the document's timeline.

Source of the reference: the remote API's document ("Training Timeline", a 20-hour dataset).
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest
from itertools import chain
from typing import NamedTuple

from scriptix_operator.api.reasons import FailureReason, Stage
from scriptix_operator.core.model.progress import STAGES
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.status.conditions import last_key

__all__ = [
    "LONGEST",
    "MILESTONES",
    "REFERENCE",
    "PastRun",
    "PastRuns",
    "is_whole",
    "with_milestones",
]

MILESTONES = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95)
"""Progress milestones in percent, whose times are recorded."""
NOT_REACHED = -1
"""In a timeline: the milestone was passed between two distant polls, or before the first poll."""
SLACK = 5
"""Percent by which progress may have passed a milestone at the first poll for its time to count."""
LONGEST = 31 * 86_400.0
"""Longest believed duration of a run, in seconds: beyond it a clock is wrong."""
MAX_PAST = 20
"""Most past runs of a key that are used, the newest."""


def with_milestones(timeline: tuple[int, ...], progress: int, seconds: float) -> tuple[int, ...]:
    """The timeline of a run after a poll.

    Args:
        timeline: Seconds into the run at which each of the first MILESTONES was first polled.
        progress: Percent at this poll.
        seconds: Seconds into the run.
    """
    new = [milestone for milestone in MILESTONES[len(timeline) :] if milestone <= progress]
    seen = (round(seconds) if progress - milestone <= SLACK else NOT_REACHED for milestone in new)
    return (*timeline, *seen)


def is_whole(timeline: tuple[int, ...]) -> bool:
    """Whether the run has passed all milestones."""
    return len(timeline) == len(MILESTONES)


@dataclass(frozen=True, slots=True)
class PastRun:
    """A completed run, to estimate others by."""

    model_id: int
    seconds: float
    """The duration of the run."""
    points: tuple[tuple[int, float], ...]
    """Percent against the share (0 to 1) of its time that had passed; both ascend, from the
    beginning to the end."""

    @classmethod
    def of(cls, model_id: int, seconds: float, timeline: tuple[int, ...]) -> "PastRun":
        """The run of a timeline, as `with_milestones`; implausible milestones are skipped."""
        points = [(0, 0.0)]
        for milestone, at in zip(MILESTONES, timeline, strict=False):
            if points[-1][1] * seconds < at < seconds:
                points.append((milestone, at / seconds))
        return cls(model_id, seconds, (*points, (100, 1.0)))

    def share(self, progress: float) -> float:
        """The share (0 to 1) of the run's time that had passed at `progress` percent."""
        progress = min(max(progress, 0.0), 100.0)
        index = bisect_right(self.points, progress, key=lambda point: point[0])
        if index == len(self.points):
            return 1.0
        (low, since), (high, until) = self.points[index - 1], self.points[index]
        return since + (until - since) * (progress - low) / (high - low)

    def seconds_in(self, stage: Stage) -> float:
        """How long the run was in a stage."""
        ends = [*(begin for begin, _ in STAGES[1:]), 100]
        begin, end = next((b, e) for (b, s), e in zip(STAGES, ends, strict=True) if s is stage)
        return (self.share(end) - self.share(begin)) * self.seconds


HOURS = ((0, 0.0), (5, 0.25), (10, 0.5), (30, 2.0), (50, 4.0), (75, 6.0), (95, 7.5), (100, 8.0))
"""Percent and hours of the document's timeline: progress is not linear in time."""
REFERENCE = PastRun(0, 8 * 3600.0, tuple((percent, hours / 8) for percent, hours in HOURS))
"""The document's run."""


class EndedRun(NamedTuple):
    """A completed run as a status records it; the newest is the largest."""

    ended_at: datetime
    model_id: int
    seconds: float
    timeline: tuple[int, ...]


def ended_runs(training: Training) -> Mapping[str, tuple[EndedRun, ...]]:
    """The completed runs of a resource, by the fingerprint of the API key of each."""
    status, last = training.status, last_key(training.status)
    reason = None if status.failure is None else status.failure.reason
    present = (last, reason, status.started_at, status.finished_at, status.timeline)
    earlier = (
        (e.key_fingerprint or last, e.reason, e.started_at, e.finished_at, e.timeline)
        for e in status.history
    )
    found: defaultdict[str, list[EndedRun]] = defaultdict(list)
    for fingerprint, why, began, ended, timeline in (present, *earlier):
        if fingerprint is None or began is None or ended is None or not is_whole(timeline):
            continue
        seconds = (ended - began).total_seconds()
        # A failed run does not show how long it would have taken.
        if why in {None, FailureReason.QUALITY_GATE_FAILED} and 0 < seconds <= LONGEST:
            found[fingerprint].append(EndedRun(ended, training.spec.model_id, seconds, timeline))
    return {fingerprint: tuple(runs) for fingerprint, runs in found.items()}


class PastRuns:
    """Completed runs by API key, as long as resources record them."""

    def __init__(self) -> None:
        self._recorded: dict[TrainingKey, Mapping[str, tuple[EndedRun, ...]]] = {}
        self._by_key: defaultdict[str, dict[TrainingKey, tuple[EndedRun, ...]]] = defaultdict(dict)
        self._newest: dict[str, tuple[EndedRun, ...]] = {}
        """The newest MAX_PAST runs of each key, the oldest first, where they were gathered."""
        self._made: dict[str, tuple[PastRun, ...]] = {}

    def put(self, training: Training) -> None:
        """Replace the runs of a resource by those that it records now."""
        recorded = ended_runs(training)
        if recorded == self._recorded.get(training.key, {}):
            return
        self.remove(training.key)
        if not recorded:
            return
        self._recorded[training.key] = recorded
        for fingerprint, runs in recorded.items():
            self._by_key[fingerprint][training.key] = runs
            newest = self._newest.get(fingerprint)
            if newest is not None:
                self._keep(fingerprint, [*newest, *runs])

    def remove(self, key: TrainingKey) -> None:
        """Remove the runs of a resource."""
        for fingerprint, runs in self._recorded.pop(key, {}).items():
            lines = self._by_key[fingerprint]
            del lines[key]
            if not lines:
                del self._by_key[fingerprint]
            newest = self._newest.get(fingerprint)
            if newest is not None and max(runs) >= newest[0]:
                # Older runs take their places: they are gathered when the key is asked for.
                del self._newest[fingerprint]
                self._made.pop(fingerprint, None)

    def of(self, fingerprint: str) -> tuple[PastRun, ...]:
        """The newest MAX_PAST runs with the key of this fingerprint, the oldest first."""
        if fingerprint not in self._by_key:
            return ()
        if fingerprint not in self._newest:
            self._keep(fingerprint, chain.from_iterable(self._by_key[fingerprint].values()))
        if fingerprint not in self._made:
            self._made[fingerprint] = tuple(
                PastRun.of(run.model_id, run.seconds, run.timeline)
                for run in self._newest[fingerprint]
            )
        return self._made[fingerprint]

    def _keep(self, fingerprint: str, runs: Iterable[EndedRun]) -> None:
        newest = tuple(reversed(nlargest(MAX_PAST, runs)))
        if newest != self._newest.get(fingerprint):
            self._newest[fingerprint] = newest
            self._made.pop(fingerprint, None)
