"""Shapes of runs: the document's and others, each run with some noise of its own."""

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
"""Half of the time is over at 10 %."""
FAST_START = Timeline(((0, 0), (0.2, 10), (0.8, 30), (2, 60), (3, 75), (5, 90), (8, 100)))
"""Fast at first, with a long tail. The operator's code was made for neither of these two."""
SIGMA = 0.1
"""Of the logarithm of how long each part of a run takes, beside what its shape says."""
SHORTEST, LONGEST = 6.0, 12.0
"""Hours that a run takes."""
EARLY = 0.17
"""Part of the runs that fails on the way."""
FAILS_AT = 1.0, 90.0
"""Percent."""
CAUSES = ("insufficient_data", "mismatch", "poor_transcripts", "system_error")


def noisy(shape: Timeline, jitter: random.Random) -> Timeline:
    """Return a shape each part of which takes a little more or less time."""
    hour, points = 0.0, [(0.0, 0.0)]
    for (begin, _), (end, percent) in pairwise(shape.points):
        hour += (end - begin) * jitter.lognormvariate(0, SIGMA)
        points.append((hour, percent))
    return Timeline(tuple(points))


def scripts(jitter: random.Random, count: int, shape: Timeline = DOCUMENT) -> list[ModelScript]:
    """Return models whose runs take 6 to 12 hours; some fail, at any point."""
    failing = set(jitter.sample(range(count), round(count * EARLY)))
    return [script(jitter, shape, fails=number in failing) for number in range(count)]


def script(
    jitter: random.Random, shape: Timeline = DOCUMENT, *, fails: bool = False
) -> ModelScript:
    """Return a model whose run takes 6 to 12 hours, or fails on the way."""
    fields: dict[str, object] = {
        "duration": jitter.uniform(SHORTEST, LONGEST),
        "timeline": noisy(shape, jitter).points,
    }
    if fails:
        fields |= {"outcome": jitter.choice(CAUSES), "fail_at": jitter.uniform(*FAILS_AT)}
    return ModelScript.model_validate(fields)


def under_way(model: ModelScript, part: float) -> ModelScript:
    """Return the same model in the midst of its run: so much (0 to 1) of that is over."""
    whole = 1.0 if model.fail_at is None else model.shape.share_at(model.fail_at)
    progress = model.shape.progress_at(part * whole)
    return model.model_copy(update={"status": 3, "progress": progress})
