"""The plan of `kubectl scriptix plan`, against what a whole operator does with it for a day."""

import asyncio
import random
from collections.abc import Sequence
from datetime import datetime, timedelta

from kubectl_scriptix.live import Live
from kubectl_scriptix.plan import Plan, PlannedRun, make_plan
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.scheduling.quota_document import parse
from scriptix_operator.kube.parsing import parse_training
from scriptix_simulator import Limit, ModelScript, Scenario, SimulatorConfig
from tests.virtual.loop import run_virtually, wall
from tests.virtual.world import World, as_raw

HOUR = 3600
WINDOW = timedelta(hours=1)
BEFORE, QUEUED, PLANNED = range(1, 11), range(11, 16), range(16, 28)
"""Models that are trained before the plan, that are queued then, and of the plan."""
SPEC = {"pollIntervalSeconds": 300, "log": {"collect": "Never"}}
"""Few calls, which make the test short."""


def test_planned_starts_and_ends_hold_in_a_virtual_day() -> None:
    plan, trainings = run_virtually(_day)
    assert len(plan.runs) == len(PLANNED)
    wrong = [run for run in plan.runs if abs(_started(run, trainings) - run.start.likely) > WINDOW]
    assert not wrong
    late = [run for run in plan.runs if _ended(run, trainings) > run.end.late]
    assert len(late) <= len(plan.runs) / 10, late


def _started(run: PlannedRun, trainings: dict[TrainingKey, Training]) -> datetime:
    started_at = trainings[run.key].status.started_at
    assert started_at is not None, run
    return started_at


def _ended(run: PlannedRun, trainings: dict[TrainingKey, Training]) -> datetime:
    finished_at = trainings[run.key].status.finished_at
    assert finished_at is not None, run
    return finished_at


async def _day() -> tuple[Plan, dict[TrainingKey, Training]]:
    """A plan of twelve trainings while others of the key are queued, and what became of it."""
    rng = random.Random(7)  # noqa: S311 - repeatable on purpose
    scripts = {
        number: ModelScript(duration=hours)
        for group in (BEFORE, QUEUED, PLANNED)
        for number, hours in zip(group, _durations(rng, len(group)), strict=True)
    }
    config = SimulatorConfig(
        speed=1,
        keys={"key": "write"},
        limit_starts=(Limit(5, HOUR),),
        limit_status=(Limit(100, 60),),
        scenario=Scenario(models=scripts),
    )
    world = World({"speech": "key", "legal": "key"}, config)
    async with world.operator():
        for number in BEFORE:
            world.add("legal", f"model-{number}", number, **SPEC)
        await asyncio.sleep(4 * HOUR)
        for number in QUEUED:
            world.add("legal", f"model-{number}", number, **SPEC)
        await asyncio.sleep(HOUR / 4)
        plan = make_plan(_new(world), _live(world))
        for number in PLANNED:
            world.add("speech", f"model-{number}", number, **SPEC)
        await asyncio.sleep(6 * HOUR)
    return plan, world.trainings.by_key


def _durations(rng: random.Random, count: int) -> Sequence[float]:
    """Hours of runs, from 1 to 1.6: evenly spread, so that ten past runs are a fair sample.

    tests/plugin/test_plan.py judges p90 by random samples, of which a day has too few.
    """
    hours = [1 + 0.6 * (number + 0.5) / count for number in range(count)]
    rng.shuffle(hours)
    return hours


def _new(world: World) -> Sequence[Training]:
    """The planned resources, as `plan` reads them from manifests."""
    other = World(world.keys.by_namespace, world.state.config)
    keys = [other.add("speech", f"model-{number}", number, **SPEC) for number in PLANNED]
    return [parse_training(as_raw(other.trainings.by_key[key])) for key in keys]


def _live(world: World) -> Live:
    """What an administrator reads."""
    trainings = [parse_training(as_raw(one)) for one in world.trainings.by_key.values()]
    return Live(trainings, parse(world.quota.texts[-1]), wall(), is_whole=True)
