"""An API server that is unreachable for a while, with a whole operator."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from functools import partial

from scriptix_operator.api.reasons import Phase
from scriptix_operator.core.model.training import Training
from scriptix_operator.engine.cluster_breaker import LONGEST_WAIT, RESUME_RATE
from scriptix_simulator import Limit, ModelScript, Scenario, SimulatorConfig
from tests.virtual.loop import EPOCH, boottime, run_virtually
from tests.virtual.world import World

HOUR = 3600
BEGIN, LENGTH = 30.0, 75.0
END = BEGIN + LENGTH
ROOMY = Limit(60_000, 60)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Requests to both APIs, and when ends were shown."""

    shown: list[float]
    """Seconds from the end of the outage until each status showed its end."""
    meanwhile: list[float]
    """When requests were made to the API server while it was away."""
    polls_meanwhile: int
    """Polls of the Scriptix API while no status could be written."""
    busiest: int
    """Polls in the busiest second after the outage."""


async def _live(count: int, interval: int) -> Outcome:
    """Let `count` runs end while the API server is away."""
    models = range(1, count + 1)
    runs = ModelScript(status=3, progress=0, duration=(BEGIN + LENGTH / 2) / HOUR)
    config = SimulatorConfig(
        speed=1,
        keys={"key": "write"},
        limit_status=(ROOMY,),
        scenario=Scenario(models=dict.fromkeys(models, runs)),
    )
    world = World({"speech": "key"}, config, limit_status=f"{ROOMY.count}/1m")
    shown: dict[str, float] = {}

    def note(training: Training) -> None:
        if training.status.phase == Phase.SUCCEEDED:
            shown.setdefault(training.key.name, boottime() - END)

    world.trainings.on_status = note
    for model in models:
        spec = {"pollIntervalSeconds": interval, "log": {"collect": "Never"}}
        world.add("speech", f"model-{model}", model, **spec)
    async with world.operator():
        await asyncio.sleep(BEGIN)
        world.trainings.is_away = True
        await asyncio.sleep(LENGTH)
        world.trainings.is_away = False
        await asyncio.sleep(LONGEST_WAIT + 2 * count / RESUME_RATE + 10)
    polls = [call.at - EPOCH for call in world.state.calls.select("model")]
    meanwhile = [at for at in world.trainings.requests if BEGIN <= at < END]
    busiest = Counter(int(at) for at in polls if at >= END)
    polls_meanwhile = sum(meanwhile[0] + 1 < at < END for at in polls)  # but those in flight
    return Outcome([*shown.values()], meanwhile, polls_meanwhile, max(busiest.values()))


def test_ends_are_shown_within_seconds_after_an_outage() -> None:
    found = run_virtually(partial(_live, 30, 2))
    assert len(found.shown) == 30
    assert max(found.shown) < LONGEST_WAIT + 30 / RESUME_RATE + 1
    # One trial request at a time, and no poll whose result could not be recorded.
    assert len(found.meanwhile) < 30 + LENGTH / LONGEST_WAIT + 4
    assert found.polls_meanwhile == 0


def test_recovery_with_many_resources_is_paced() -> None:
    count = 300
    found = run_virtually(partial(_live, count, 60))
    assert len(found.shown) == count
    assert found.busiest <= 1.2 * RESUME_RATE  # replies take 0.1 to 0.4 s
    assert max(found.shown) < LONGEST_WAIT + 1.2 * count / RESUME_RATE
