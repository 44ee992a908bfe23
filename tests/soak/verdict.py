"""The judgement of a soak: what grows, and which model was not started once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["TOLERANCE", "Sample", "growths", "table"]

TOLERANCE: Mapping[str, tuple[float, float]] = {
    "memory MiB": (1.10, 8.0),
    "descriptors": (1.10, 6.0),
    "config maps": (1.25, 10.0),
}
"""By figure: the last third may be this factor of the first third, plus this much."""


@dataclass(frozen=True)
class Sample:
    """The figures at one time."""

    second: float
    figures: Mapping[str, float]


def growths(samples: Sequence[Sample]) -> list[str]:
    """The figures whose median in the last third is above that of the first, with tolerance."""
    found = []
    for name, (factor, more) in TOLERANCE.items():
        first, last = thirds(samples, name)
        if last > factor * first + more:
            found.append(f"{name} grew from {first:.1f} to {last:.1f}")
    return found


def thirds(samples: Sequence[Sample], name: str) -> tuple[float, float]:
    """The medians of a figure in the first and the last third of the samples."""
    count = max(len(samples) // 3, 1)
    figures = [sample.figures[name] for sample in samples]
    return median(figures[:count]), median(figures[-count:])


def table(samples: Sequence[Sample], wrong: Iterable[str]) -> list[str]:
    """The figures of both thirds, and the verdict."""
    lines = [f"{'figure':<14}{'first third':>12}{'last third':>12}  tolerance"]
    for name, (factor, more) in TOLERANCE.items():
        first, last = thirds(samples, name)
        lines.append(f"{name:<14}{first:>12.1f}{last:>12.1f}  first * {factor} + {more:g}")
    problems = [*growths(samples), *wrong]
    return [*lines, *problems, f"verdict: {'FAILED' if problems else 'passed'}"]
