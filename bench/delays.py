"""Delays between the ends of runs and the times at which they become known."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from statistics import fmean, median

from bench.report import shown
from bench.scene import Scene, model_id, refused
from scriptix_simulator.calls import Record
from tests.virtual.loop import boottime

__all__ = ["HEAD", "Delays", "late", "ratio_row", "row"]

HEAD = (
    *("", "polls", "refused", "mean delay s", "median", "worst"),
    *("mean: succeeded", "failed", "never known"),
)


@dataclass(frozen=True, slots=True)
class Delays:
    """Seconds from the end of each run until it was known."""

    seconds: Mapping[int, float]
    """By number; an end that was never known counts to the end of the scene."""
    unknown: int = 0
    """Number of ends that were never known."""

    @property
    def mean(self) -> float:
        """The mean delay."""
        return fmean(self.seconds.values())

    def mean_of(self, numbers: AbstractSet[int]) -> float:
        """Return the mean delay of some runs."""
        return fmean(late for number, late in self.seconds.items() if number in numbers)


def late(scene: Scene, side: str, known: Mapping[int, float], ends: Mapping[int, float]) -> Delays:
    """Return the delays of a side so far.

    Args:
        scene: The scene.
        side: The side.
        known: When each end was known, by the model's id.
        ends: When each run ended, by number.
    """
    index, now = scene.sides.index(side), boottime()
    at = {number: known.get(model_id(index, number), now) for number in ends}
    unknown = sum(model_id(index, number) not in known for number in ends)
    return Delays({number: at[number] - end for number, end in ends.items()}, unknown)


def row(
    name: str, calls: Sequence[Record], delays: Delays, failed: AbstractSet[int]
) -> tuple[str, ...]:
    """Return the row of a side, with the columns of `HEAD`."""
    figures = [
        *(delays.mean, median(delays.seconds.values()), max(delays.seconds.values())),
        *(delays.mean_of(delays.seconds.keys() - failed), delays.mean_of(failed)),
    ]
    return (
        *(name, str(len(calls)), str(refused(calls))),
        *map(shown, figures),
        str(delays.unknown),
    )


def ratio_row(name: str, calls: float, delay: float) -> tuple[str, ...]:
    """Return a row that compares two sides."""
    return (name, shown(calls, ".2f"), "", shown(delay, ".2f"), *[""] * (len(HEAD) - 4))
