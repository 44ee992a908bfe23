"""Times of starts and reports of the start queue, with a whole operator."""

import asyncio
from functools import partial

from scriptix_operator.api.reasons import EventReason
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.scheduling.poll_scheduler import SHARES, PollPriority
from scriptix_operator.core.scheduling.queue_positions import FIRST
from scriptix_simulator import Limit, ModelScript, Scenario, SimulatorConfig
from scriptix_simulator.faults import Fault
from tests.virtual.loop import run_virtually
from tests.virtual.world import World

HOUR = 3600
POLLS = Limit(6, 60)
ROOMY = Limit(6000, 60)


def test_next_in_queue_is_polled_before_the_others_in_the_queue() -> None:
    starts = run_virtually(_starts_where_polls_are_scarce)
    assert len(starts) == 15
    waits = [start - before - HOUR for before, start in zip(starts, starts[5:], strict=False)]
    assert max(waits) < 2 * POLLS.seconds / POLLS.count / SHARES[PollPriority.BASELINE], waits


async def _starts_where_polls_are_scarce() -> list[float]:
    """Times of starts, where one poll per queued resource in ten minutes uses the whole quota."""
    models = range(1, 81)
    config = SimulatorConfig(
        speed=1,
        keys={"key": "write"},
        limit_starts=(Limit(5, HOUR),),
        limit_status=(POLLS,),
        scenario=Scenario(models={number: ModelScript() for number in models}),
    )
    world = World({"speech": "key"}, config, limit_status="6/1m")
    for number in models:
        world.add("speech", f"model-{number}", number, pollIntervalSeconds=HOUR)
    async with world.operator():
        await asyncio.sleep(2.5 * HOUR)
    return [call.at for call in world.state.calls.select("run")]


def test_wait_for_the_previous_start_is_not_reported() -> None:
    """Until the API has accepted a full window, starts are made one at a time."""
    phases, events, polls = run_virtually(_starts_one_by_one)
    assert "Queued" not in phases
    assert EventReason.TRAINING_QUEUED not in events
    assert events.count(EventReason.TRAINING_STARTED) == 5
    # The first poll and the baseline: the wait in the queue costs none.
    assert sorted(polls) == [1, 2, 2, 2, 2]


async def _starts_one_by_one() -> tuple[set[str | None], list[EventReason], list[int]]:
    """Phases that were written, events, and the polls of each model before its start."""
    world = _world(5, ROOMY)
    world.state.faults.add(Fault(fault="delay", call="run", delay=8, times="forever"))
    phases: set[str | None] = set()
    world.trainings.on_status = lambda written: phases.add(written.status.phase)
    async with world.operator():
        await asyncio.sleep(2 * 60)
    starts = {call.model: call.at for call in world.state.calls.select("run")}
    calls = world.state.calls.select("model")
    polls = [
        sum(call.model == model and call.at < at for call in calls) for model, at in starts.items()
    ]
    return phases, [item.reason for _, _, item in world.events.all], polls


def test_first_queue_positions_are_unique() -> None:
    """Queue positions are unique while the queue fills, and when a window is free again."""
    found = run_virtually(_first_positions)
    for moment, first in enumerate(found):
        assert len(first) == len(set(first)), (moment, first)
    assert set(found[-1]) == set(range(1, FIRST + 1))


async def _first_positions() -> list[list[int]]:
    """The queue positions up to 50 in statuses, every five seconds."""
    world = _world(80, Limit(100, 60))
    found = []

    async def watch(seconds: int) -> None:
        for _ in range(0, seconds, 5):
            await asyncio.sleep(5)
            queues = [training.status.queue for training in world.trainings.by_key.values()]
            positions = [queue.position for queue in queues if queue is not None]
            found.append([position for position in positions if position <= FIRST])

    async with world.operator():
        await watch(5 * 60)
        await asyncio.sleep(HOUR - 6 * 60)
        await watch(5 * 60)
    return found


def test_a_start_updates_only_the_first_fifty_positions() -> None:
    writes, starts = run_virtually(partial(_writes_for_positions, 150))
    assert starts == 5
    assert writes <= 2 * FIRST  # two snapshots hold five starts


async def _writes_for_positions(count: int) -> tuple[int, int]:
    """Writes of a position alone, and starts, when a window is free again."""
    world = _world(count, ROOMY)
    async with world.operator():
        await asyncio.sleep(HOUR - 30)
        known = {key: training.status for key, training in world.trainings.by_key.items()}
        writes = 0

        def count_position(written: Training) -> None:
            nonlocal writes
            before, after = known[written.key], written.status
            known[written.key] = after
            # Later positions are written together with the occasional poll.
            is_polled = after.last_observed_at != before.last_observed_at
            has_moved = before.queue and after.queue and before.queue != after.queue
            writes += bool(has_moved and not is_polled)

        world.trainings.on_status = count_position
        starts = len(world.state.calls.select("run"))
        await asyncio.sleep(2 * 60)
        return writes, len(world.state.calls.select("run")) - starts


def _world(count: int, limit_status: Limit) -> World:
    """A world with `count` ready models, each with a resource; no run ends."""
    models = range(1, count + 1)
    config = SimulatorConfig(
        speed=1,
        keys={"key": "write"},
        limit_starts=(Limit(5, HOUR),),
        limit_status=(limit_status,),
        scenario=Scenario(models={number: ModelScript(duration=1000) for number in models}),
    )
    world = World({"speech": "key"}, config, limit_status=f"{limit_status.count}/1m")
    for number in models:
        world.add("speech", f"model-{number}", number, pollIntervalSeconds=HOUR)
    return world
