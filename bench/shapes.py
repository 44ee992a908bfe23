"""Shapes of runs: the document's and others, with noise for each run."""

import random
from itertools import pairwise

from scriptix_simulator.scripts import ModelScript
from scriptix_simulator.timeline import DOCUMENT, Timeline

__all__ = [
    "DOCUMENT",
    "FAST_START",
    "LONGEST",
    "LONG_PREPROCESSING",
    "noisy",
    "script",
    "scripts",
    "under_way",
]

LONG_PREPROCESSING = Timeline(
    ((0, 0), (4, 10), (5, 30), (6, 50), (6.5, 70), (7.5, 90), (8, 100)),
)
"""A run that has used half of its time at 10 %."""
FAST_START = Timeline(((0, 0), (0.2, 10), (0.8, 30), (2, 60), (3, 75), (5, 90), (8, 100)))
"""A fast start with a long tail. The operator was built for neither of these two shapes."""
SIGMA = 0.1
"""Of the logarithm of how long each part of a run takes, beside what its shape says."""
SHORTEST, LONGEST = 6.0, 12.0
"""Minimum and maximum hours of a run."""
EARLY = 0.17
"""Fraction of the runs that fail on the way."""
FAILS_AT = 1.0, 90.0
"""Percent."""
CAUSES = ("insufficient_data", "mismatch", "poor_transcripts", "system_error")


def noisy(shape: Timeline, rng: random.Random) -> Timeline:
    """Return a shape with randomly longer or shorter parts."""
    hour, points = 0.0, [(0.0, 0.0)]
    for (begin, _), (end, percent) in pairwise(shape.points):
        hour += (end - begin) * rng.lognormvariate(0, SIGMA)
        points.append((hour, percent))
    return Timeline(tuple(points))


def scripts(rng: random.Random, count: int, shape: Timeline = DOCUMENT) -> list[ModelScript]:
    """Return models whose runs take 6 to 12 hours; some fail, at any point."""
    failing = set(rng.sample(range(count), round(count * EARLY)))
    return [script(rng, shape, fails=number in failing) for number in range(count)]


def script(rng: random.Random, shape: Timeline = DOCUMENT, *, fails: bool = False) -> ModelScript:
    """Return a model whose run takes 6 to 12 hours, or fails on the way."""
    fields: dict[str, object] = {
        "duration": rng.uniform(SHORTEST, LONGEST),
        "timeline": noisy(shape, rng).points,
    }
    if fails:
        fields |= {"outcome": rng.choice(CAUSES), "fail_at": rng.uniform(*FAILS_AT)}
    return ModelScript.model_validate(fields)


def under_way(model: ModelScript, part: float) -> ModelScript:
    """Return the same model in the middle of its run: a part of it (0 to 1) is over."""
    whole = 1.0 if model.fail_at is None else model.shape.share_at(model.fail_at)
    progress = model.shape.progress_at(part * whole)
    return model.model_copy(update={"status": 3, "progress": progress})
