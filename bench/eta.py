"""Errors of the ETA of a run at a quarter, half and three quarters of its progress.

Most runs drive the operator's functions directly with a poll a minute, because a run yields only
three figures. Some runs go through the whole operator, to verify that it gives the same.
"""

import asyncio
import math
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from statistics import fmean

from bench.report import Report, Table, at_most, shown
from bench.scene import HOUR, OURS, Scene, model_id
from bench.shapes import DOCUMENT, FAST_START, LONG_PREPROCESSING, LONGEST, script
from scriptix_operator.api.spec import TrainingSpec
from scriptix_operator.api.status import Run, TrainingStatus
from scriptix_operator.core.eta.estimate import Running, estimate
from scriptix_operator.core.eta.timeline import PastRun, PastRuns, with_milestones
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_simulator.scripts import ModelScript
from scriptix_simulator.timeline import Timeline
from tests.virtual.loop import EPOCH, boottime, run_virtually

__all__ = ["eta"]

SHAPES = {
    "the document's shape": DOCUMENT,
    "long preprocessing": LONG_PREPROCESSING,
    "fast start": FAST_START,
}
POINTS = (25, 50, 75)
"""Percent."""
RUNS, PAST = 200, 5
POLL_SECONDS = 60
"""Poll interval."""
WHOLE = 12
"""Runs through the whole operator, after `PAST` past ones."""


@dataclass(frozen=True, slots=True)
class Errors:
    """By percent, the mean of |ETA - true end| / duration."""

    ours: Mapping[int, float]
    linear: Mapping[int, float]

    @property
    def ratio(self) -> float:
        """The operator's error over that of the linear formula, for all points."""
        return fmean(self.ours.values()) / fmean(self.linear.values())


def eta(seed: int) -> Report:
    """Compare ETAs with the ends of runs."""
    rng = random.Random(f"eta {seed}")  # noqa: S311 - repeatable on purpose
    found = {
        (f"{name}, {'with' if past else 'no'} history"): _errors(rng, shape, past)
        for name, shape in SHAPES.items()
        for past in (0, PAST)
    }
    whole = run_virtually(partial(_through_the_operator, seed, FAST_START))
    found |= {f"fast start, {history}, whole operator": errors for history, errors in whole.items()}
    return Report(
        "ETA",
        f"Error: |ETA - true end| / duration in percent, the mean over {RUNS} runs of "
        f"6 to 12 h (whole operator: {PAST} without history, then {WHOLE} with theirs); each part "
        f"of a run is randomly longer or shorter. History: {PAST} past runs with the same key. "
        "Linear: elapsed time / progress. The operator was built for the document's shape only.",
        Table(
            (
                "shape",
                *(f"at {point} %" for point in POINTS),
                *(f"linear {point} %" for point in POINTS),
                "ratio",
            ),
            [
                (
                    name,
                    *(shown(100 * errors.ours[point]) for point in POINTS),
                    *(shown(100 * errors.linear[point]) for point in POINTS),
                    shown(errors.ratio, ".2f"),
                )
                for name, errors in found.items()
            ],
        ),
        tuple(
            at_most(f"ETA error ÷ linear's: {name}", errors.ratio, 0.5)
            for name, errors in found.items()
            if "no history" not in name or name.startswith("the document")
        ),
    )


def _errors(rng: random.Random, shape: Timeline, past: int) -> Errors:
    """Errors over many runs, each with its own past runs."""
    ours, linear = defaultdict[int, list[float]](list), defaultdict[int, list[float]](list)
    for _ in range(RUNS):
        known = _history([script(rng, shape) for _ in range(past)])
        model = script(rng, shape)
        duration = model.duration * HOUR
        for point, seen in _seen(model):
            expected = estimate(seen, known)
            likely = math.nan if expected is None else expected.likely
            ours[point].append(abs(likely - duration) / duration)
            guess = seen.seconds / seen.progress * 100
            linear[point].append(abs(guess - duration) / duration)
    return Errors(_means(ours), _means(linear))


def _means(errors: Mapping[int, Sequence[float]]) -> Mapping[int, float]:
    return {point: fmean(errors[point]) for point in POINTS}


def _polls(model: ModelScript) -> Iterator[tuple[float, int, tuple[int, ...]]]:
    """Seconds, progress and milestone times at each poll that shows new progress."""
    shape, duration = model.shape, model.duration * HOUR
    timeline: tuple[int, ...] = ()
    progress, seconds = -1, 0.0
    while seconds < duration:
        now = int(shape.progress_at(seconds / duration))
        if now != progress:
            progress, timeline = now, with_milestones(timeline, now, seconds)
            yield seconds, progress, timeline
        seconds += POLL_SECONDS


def _history(models: Sequence[ModelScript]) -> tuple[PastRun, ...]:
    """The past runs that the operator derives from statuses of ended runs."""
    key, past = "fingerprint", PastRuns()
    for number, model in enumerate(models):
        past.put(_ended(number, model, key))
    return past.of(key)


def _ended(number: int, model: ModelScript, key: str) -> Training:
    *_, (_, _, timeline) = _polls(model)
    duration = model.duration * HOUR
    end = datetime(2025, 1, 1, number, tzinfo=UTC)
    status = TrainingStatus(
        run=Run(id=str(number), key_fingerprint=key),
        started_at=end - timedelta(seconds=duration),
        finished_at=end,
        timeline=with_milestones(timeline, 100, duration),
    )
    return Training(
        key=TrainingKey(key, str(number)),
        uid=str(number),
        generation=1,
        resource_version="1",
        created_at=end,
        requested_at="",
        spec=TrainingSpec(model_id=number + 1),
        status=status,
    )


def _seen(model: ModelScript) -> Iterator[tuple[int, Running]]:
    """The known facts of a run at the first poll at or past each of the points."""
    points = list(POINTS)
    for seconds, progress, timeline in _polls(model):
        if points and progress >= points[0]:
            yield points.pop(0), Running(0, progress, seconds, seconds, timeline)


async def _through_the_operator(seed: int, shape: Timeline) -> Mapping[str, Errors]:
    scene = Scene(seed, settings={"limit_starts": "1000/1h"}, limit_starts=())
    watched = _Watched(scene)
    scene.listeners.append(watched.written)
    first, later = range(PAST), range(PAST, PAST + WHOLE)
    async with scene.world.operator():
        for numbers in (first, later):
            for number in numbers:
                scene.put(number, script(scene.rng, shape))
                scene.add(number, pollIntervalSeconds=POLL_SECONDS, log={"collect": "Never"})
            await asyncio.sleep((LONGEST + 0.5) * HOUR)
    return {"no history": watched.errors(first), "with history": watched.errors(later)}


class _Watched:
    """The ETAs in statuses, and the linear estimates at the same times."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._estimates: dict[tuple[int, int], tuple[float, float]] = {}
        """By number of the model and point: ETA and linear estimate, in the loop's time."""

    def written(self, training: Training) -> None:
        """Record the estimates of a status."""
        status, model = training.status, training.spec.model_id
        number, run = model - model_id(0, 0), self._scene.world.state.models[model].last
        if run is None or not status.progress or status.finished_at is not None:
            return
        began, eta = run.began - EPOCH, status.estimated_completion_at
        expected = math.nan if eta is None else eta.timestamp() - EPOCH
        linear = began + (boottime() - began) / status.progress * 100
        for point in POINTS:
            if status.progress >= point:
                self._estimates.setdefault((number, point), (expected, linear))

    def errors(self, numbers: Sequence[int]) -> Errors:
        """Errors of these runs, which have ended."""
        ours, linear = defaultdict[int, list[float]](list), defaultdict[int, list[float]](list)
        ends = self._scene.ends(OURS, numbers)
        for number, point in product(numbers, POINTS):
            expected, guess = self._estimates[number, point]
            duration = self._scene.world.state.models[model_id(0, number)].script.duration * HOUR
            ours[point].append(abs(expected - ends[number]) / duration)
            linear[point].append(abs(guess - ends[number]) / duration)
        return Errors(_means(ours), _means(linear))
