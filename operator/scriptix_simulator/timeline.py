"""Training timelines: the progress of a run by the share of its duration.

Hours are those of the timeline itself; a run of another duration is stretched, so everything except
the points uses the share of the run, from 0 to 1.
"""

from dataclasses import dataclass
from itertools import pairwise

__all__ = ["DOCUMENT", "HOURS", "Timeline", "stage"]

HOURS = 8.0
"""Length of the documented run, in hours."""

_STAGES: tuple[tuple[float, str], ...] = (
    (90.0, "Final evaluation"),
    (70.0, "Fine-tuning"),
    (30.0, "Main training"),
    (10.0, "Initial training epochs"),
    (0.0, "Data preprocessing"),
)
"""Lower bound in percent and name; a bound belongs to the later stage."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The shape of a run.

    Args:
        points: Hour and percent, linear in between: from 0 % at hour 0 to 100 %. Hours ascend, and
            percents do not fall.

    Raises:
        ValueError: The points do not meet these conditions.
    """

    points: tuple[tuple[float, float], ...]

    def __post_init__(self) -> None:
        if len(self.points) < 2:  # noqa: PLR2004 - a beginning and an end
            raise ValueError("a timeline has two points at least: [0, 0] and [hours, 100]")
        if self.points[0] != (0.0, 0.0):
            raise ValueError("a timeline begins with [0, 0]")
        if self.points[-1][1] != 100.0:  # noqa: PLR2004 - percent
            raise ValueError("a timeline ends at 100 percent")
        for (hour0, percent0), (hour1, percent1) in pairwise(self.points):
            if hour1 <= hour0:
                raise ValueError(f"the hours of a timeline ascend, {hour0:g} does not to {hour1:g}")
            if percent1 < percent0:
                raise ValueError(f"progress does not fall, as from {percent0:g} to {percent1:g}")

    def progress_at(self, share: float) -> float:
        """Return the percent done (0 to 100) at a share of the run, which is cut to 0 to 1."""
        hour = share * self.points[-1][0]
        for (hour0, percent0), (hour1, percent1) in pairwise(self.points):
            if hour < hour1:
                return percent0 + max(hour - hour0, 0.0) / (hour1 - hour0) * (percent1 - percent0)
        return 100.0

    def share_at(self, progress: float) -> float:
        """Return the share of the run (0 to 1) at which it first is `progress` percent done."""
        if progress <= 0:
            return 0.0
        for (hour0, percent0), (hour1, percent1) in pairwise(self.points):
            if progress <= percent1:
                hour = hour0 + (progress - percent0) / (percent1 - percent0) * (hour1 - hour0)
                return hour / self.points[-1][0]
        return 1.0


DOCUMENT = Timeline(
    (
        (0.0, 0.0),
        (0.25, 5.0),
        (0.5, 10.0),
        (2.0, 30.0),
        (4.0, 50.0),
        (6.0, 75.0),
        (7.5, 95.0),
        (HOURS, 100.0),
    )
)
"""Hour and percent, as documented."""


def stage(progress: float) -> str:
    """Return the documented name of the stage at `progress` percent."""
    return next((name for bound, name in _STAGES if progress >= bound), _STAGES[-1][1])
