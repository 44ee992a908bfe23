"""How many reconciles, polls, writes and events a result takes, with a whole operator."""

import asyncio
from functools import partial

import pytest

from scriptix_operator.api.reasons import EventReason
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.engine.controller import Controller
from scriptix_simulator import Limit, ModelScript, Scenario, SimulatorConfig
from tests.virtual.loop import run_virtually
from tests.virtual.world import World

HOUR = 3600
RUNNING = ModelScript(duration=1000, status=3, progress=40)
MOST_RECONCILES = 1.2
"""Reconciles for each poll, at most."""
MOST_EVENTS = 10
"""Events of a run of eight hours, at most: `kubectl describe` shows them on one page."""


@pytest.mark.parametrize(
    ("keys", "resources", "limit"),
    [
        pytest.param(1, 40, Limit(20, 60), id="one key"),
        pytest.param(4, 10, Limit(5, 60), id="four keys"),
    ],
)
def test_resource_that_waits_for_a_permit_is_reconciled_once(
    keys: int, resources: int, limit: Limit
) -> None:
    reconciles, polls = run_virtually(partial(_reconciles, keys, resources, limit))
    assert polls > 0.9 * 20 * 20  # the quota is used
    assert reconciles <= MOST_RECONCILES * polls


async def _reconciles(keys: int, resources: int, limit: Limit) -> tuple[int, int]:
    """Reconciles and polls in 20 minutes, while the quota allows a poll of each in 2 minutes."""
    models = range(1, keys * resources + 1)
    world = _world(keys, dict.fromkeys(models, RUNNING), limit)
    for number in models:
        world.add(f"team-{number % keys}", f"model-{number}", number, pollIntervalSeconds=5)
    async with world.operator() as engine:
        reconciled = _counted(engine)
        await asyncio.sleep(300)
        before = len(reconciled), _polls(world)
        await asyncio.sleep(20 * 60)
        return len(reconciled) - before[0], _polls(world) - before[1]


def test_edit_does_not_wait_for_the_permit_of_a_poll() -> None:
    phases = run_virtually(_phases_after_an_edit)
    assert phases == ["Suspended"] * 40


async def _phases_after_an_edit() -> list[str | None]:
    """The phases of 40 running resources just after their edit, with a poll each two minutes."""
    models = range(1, 41)
    world = _world(1, dict.fromkeys(models, RUNNING), Limit(20, 60))
    keys = [
        world.add("team-0", f"model-{number}", number, pollIntervalSeconds=5) for number in models
    ]
    async with world.operator():
        await asyncio.sleep(300)
        for key in keys:
            world.edit(key, suspend=True)
        await asyncio.sleep(1)
        return [world.status(key).phase for key in keys]


def test_first_polls_take_as_long_as_the_quota_asks() -> None:
    """No reconcile is spent on asking again: two for each resource, the list's and the poll's."""
    reconciles = run_virtually(_first_polls)
    assert reconciles == 2 * 40


async def _first_polls() -> int:
    """Reconciles until each of 40 running resources was polled, at 20 polls a minute."""
    models = range(1, 41)
    world = _world(1, dict.fromkeys(models, RUNNING), Limit(20, 60))
    for number in models:
        world.add("team-0", f"model-{number}", number, pollIntervalSeconds=HOUR)
    async with world.operator() as engine:
        reconciled = _counted(engine)
        await asyncio.sleep(2 * 60 + 5)
        assert _polls(world) == len(models)
        return len(reconciled) + 1  # the first poll has its permit at once


def test_run_of_eight_hours_publishes_a_handful_of_events() -> None:
    reasons = run_virtually(_events_of_a_day_of_work)
    assert reasons.count(EventReason.TRAINING_STARTED) == 1
    assert reasons.count(EventReason.TRAINING_SUCCEEDED) == 1
    assert len(reasons) <= MOST_EVENTS


async def _events_of_a_day_of_work() -> list[EventReason]:
    world = _world(1, {1: ModelScript(duration=8)}, Limit(100, 60))
    world.add("team-0", "model", 1)
    async with world.operator():
        await asyncio.sleep(9 * HOUR)
    return [item.reason for _, _, item in world.events.all]


def test_log_that_waits_for_its_quota_causes_no_poll() -> None:
    polls = run_virtually(_polls_beside_scarce_logs)
    assert max(polls) <= 1 + 2


async def _polls_beside_scarce_logs() -> list[int]:
    """Polls of each of ten running resources in an hour: two intervals, and six log calls."""
    models = range(1, 11)
    world = _world(1, dict.fromkeys(models, RUNNING), Limit(100, 60), limit_logs="6/1h")
    for number in models:
        world.add("team-0", f"model-{number}", number, pollIntervalSeconds=HOUR // 2)
    async with world.operator():
        await asyncio.sleep(HOUR)
    calls = world.state.calls.select("model")
    return [sum(call.model == number for call in calls) for number in models]


def test_poll_and_log_of_a_running_training_take_one_write() -> None:
    writes, saves = run_virtually(_writes_of_a_run)
    assert saves
    assert all(versions == 1 for versions in writes.values()), writes


async def _writes_of_a_run() -> tuple[dict[str, int], int]:
    """Writes of status by the progress that they show, in the middle of a run; and saved logs."""
    world = _world(1, {1: ModelScript(duration=8, status=3, progress=60)}, Limit(100, 60))
    world.add("team-0", "model", 1)
    writes: dict[str, int] = {}

    def count(written: Training) -> None:
        shown = f"{written.status.stage} {written.status.progress}"
        writes[shown] = writes.get(shown, 0) + 1

    async with world.operator():
        await asyncio.sleep(60)
        world.trainings.on_status = count
        saves = world.logs.saves
        await asyncio.sleep(1.5 * HOUR)
        return writes, world.logs.saves - saves


def _world(keys: int, models: dict[int, ModelScript], limit: Limit, **settings: str) -> World:
    config = SimulatorConfig(
        speed=1,
        keys={f"key-{number}": "write" for number in range(keys)},
        limit_status=(limit,),
        scenario=Scenario(models=models),
    )
    by_namespace = {f"team-{number}": f"key-{number}" for number in range(keys)}
    status = f"{limit.count}/1m"
    return World(by_namespace, config, 0, limit_status=status, **settings)


def _counted(engine: Controller) -> list[TrainingKey]:
    """The resources that the operator reconciles from now on."""
    reconciled, reconcile = list[TrainingKey](), engine.reconcile

    async def counting(key: TrainingKey) -> float | None:
        reconciled.append(key)
        return await reconcile(key)

    engine.reconcile = counting
    return reconciled


def _polls(world: World) -> int:
    return len(world.state.calls.select("model"))
