"""When starts are made, in whole conversations."""

import asyncio

from scriptix_operator.core.looks import SHARES, LookKind
from scriptix_simulator import Limit, ModelScript, Scenario, SimulatorConfig
from tests.virtual.loop import run_virtually
from tests.virtual.world import World

HOUR = 3600
LOOKS = Limit(6, 60)


def test_whoever_is_next_is_looked_at_before_all_who_only_queue() -> None:
    starts = run_virtually(_starts_where_looks_are_scarce)
    assert len(starts) == 15
    waits = [start - before - HOUR for before, start in zip(starts, starts[5:], strict=False)]
    assert max(waits) < 2 * LOOKS.seconds / LOOKS.count / SHARES[LookKind.BASELINE], waits


async def _starts_where_looks_are_scarce() -> list[float]:
    """When starts were made where a look in ten minutes at each who waits takes all that fit."""
    models = range(1, 81)
    config = SimulatorConfig(
        speed=1,
        keys={"key": "write"},
        limit_starts=(Limit(5, HOUR),),
        limit_status=(LOOKS,),
        scenario=Scenario(models={number: ModelScript() for number in models}),
    )
    world = World({"speech": "key"}, config, limit_status="6/1m")
    for number in models:
        world.add("speech", f"model-{number}", number, pollIntervalSeconds=HOUR)
    async with world.operator():
        await asyncio.sleep(2.5 * HOUR)
    return [call.at for call in world.state.calls.select("run")]
