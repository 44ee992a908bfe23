"""When starts are made, and what the start queue reports, in whole conversations."""

import asyncio
from functools import partial

from scriptix_operator.api.reasons import EventReason
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.scheduling.polls import SHARES, PollPriority
from scriptix_operator.core.scheduling.queue_positions import FIRST
from scriptix_simulator import Limit, ModelScript, Scenario, SimulatorConfig
from scriptix_simulator.faults import Fault
from tests.virtual.loop import run_virtually
from tests.virtual.world import World

HOUR = 3600
POLLS = Limit(6, 60)
ROOMY = Limit(6000, 60)


def test_whoever_is_next_is_looked_at_before_all_who_only_queue() -> None:
    starts = run_virtually(_starts_where_polls_are_scarce)
    assert len(starts) == 15
    waits = [start - before - HOUR for before, start in zip(starts, starts[5:], strict=False)]
    assert max(waits) < 2 * POLLS.seconds / POLLS.count / SHARES[PollPriority.BASELINE], waits


async def _starts_where_polls_are_scarce() -> list[float]:
    """When starts were made where a look in ten minutes at each who waits takes all that fit."""
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


def test_a_wait_for_the_start_before_it_is_not_reported() -> None:
    """Until a window is known to be accepted, starts are made one at a time."""
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


def test_the_first_positions_never_contradict_each_other() -> None:
    """While the queue fills up, and when the starts of a window are free again."""
    found = run_virtually(_first_positions)
    for moment, first in enumerate(found):
        assert len(first) == len(set(first)), (moment, first)
    assert set(found[-1]) == set(range(1, FIRST + 1))


async def _first_positions() -> list[list[int]]:
    """The positions up to 50 that statuses have, every five seconds."""
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


def test_a_start_is_reported_to_the_first_fifty_only() -> None:
    writes, starts = run_virtually(partial(_writes_for_positions, 150))
    assert starts == 5
    assert writes <= 2 * FIRST  # two snapshots hold five starts


async def _writes_for_positions(count: int) -> tuple[int, int]:
    """Writes of a position alone, and starts, when the starts of a window are free again."""
    world = _world(count, ROOMY)
    async with world.operator():
        await asyncio.sleep(HOUR - 30)
        known = {key: training.status for key, training in world.trainings.by_key.items()}
        writes = 0

        def count_position(written: Training) -> None:
            nonlocal writes
            before, after = known[written.key], written.status
            known[written.key] = after
            # Those behind report theirs with the poll that they make now and then.
            is_polled = after.last_observed_at != before.last_observed_at
            has_moved = before.queue and after.queue and before.queue != after.queue
            writes += bool(has_moved and not is_polled)

        world.trainings.on_status = count_position
        starts = len(world.state.calls.select("run"))
        await asyncio.sleep(2 * 60)
        return writes, len(world.state.calls.select("run")) - starts


def _world(count: int, limit_status: Limit) -> World:
    """So many models that are ready, each with a resource, and none that ends."""
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
