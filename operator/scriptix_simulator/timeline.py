"""The document's training timeline: how far a run is at which share of its duration.

Hours are those of the document's eight-hour run; a run of another duration is stretched, so the
functions here speak of a share of the run, from 0 to 1.
"""

from itertools import pairwise

__all__ = ["HOURS", "progress_at", "share_at", "stage"]

HOURS = 8.0
"""Length of the document's run, in hours."""

_POINTS: tuple[tuple[float, float], ...] = (
    (0.0, 0.0),
    (0.25, 5.0),
    (0.5, 10.0),
    (2.0, 30.0),
    (4.0, 50.0),
    (6.0, 75.0),
    (7.5, 95.0),
    (8.0, 100.0),
)
"""Hour and percent, as the document lists them."""

_STAGES: tuple[tuple[float, str], ...] = (
    (90.0, "Final evaluation"),
    (70.0, "Fine-tuning"),
    (30.0, "Main training"),
    (10.0, "Initial training epochs"),
    (0.0, "Data preprocessing"),
)
"""Lower bound in percent and name; a bound belongs to the later stage."""


def progress_at(share: float) -> float:
    """Return the percent done (0 to 100) at a share of the run; outside 0 to 1 it stays put."""
    hour = share * HOURS
    for (hour0, percent0), (hour1, percent1) in pairwise(_POINTS):
        if hour < hour1:
            return percent0 + max(hour - hour0, 0.0) / (hour1 - hour0) * (percent1 - percent0)
    return 100.0


def share_at(progress: float) -> float:
    """Return the share of the run (0 to 1) at which it is `progress` percent done."""
    for (hour0, percent0), (hour1, percent1) in pairwise(_POINTS):
        if progress < percent1:
            hour = hour0 + max(progress - percent0, 0.0) / (percent1 - percent0) * (hour1 - hour0)
            return hour / HOURS
    return 1.0


def stage(progress: float) -> str:
    """Return the document's name for what a run does at `progress` percent."""
    return next((name for bound, name in _STAGES if progress >= bound), _STAGES[-1][1])
