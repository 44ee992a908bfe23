"""Observed limits that are lower than configured, with a whole operator."""

import asyncio
from functools import partial
from http import HTTPStatus

import pytest

from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.scheduling.calls import Call
from scriptix_simulator import Limit as ServerLimit
from scriptix_simulator import ModelScript, Scenario, SimulatorConfig
from scriptix_simulator.replies import RetryHint
from tests.virtual.loop import boottime, run_virtually
from tests.virtual.world import World

HOUR = 3600


@pytest.mark.parametrize("hint", ["seconds", "date", "body"])
def test_observed_limit_is_exact_at_any_fraction_of_a_second(
    hint: RetryHint,
) -> None:
    limits = [
        run_virtually(partial(_observed_limit, hint, begin)) for begin in (0.0, 0.2, 0.4, 0.6, 0.8)
    ]
    assert limits == [(Limit(3, HOUR),)] * 5


async def _observed_limit(hint: RetryHint, begin: float) -> tuple[Limit, ...]:
    config = SimulatorConfig(
        speed=1,
        keys={"key": "write"},
        limit_starts=(ServerLimit(3, HOUR),),
        rate_headers="never",
        retry_hint=hint,
        scenario=Scenario(models={number: ModelScript() for number in range(1, 5)}),
    )
    await asyncio.sleep(begin)
    world = World({"speech": "key"}, config)
    for number in range(1, 5):
        world.add("speech", f"model-{number}", number)
    async with world.operator() as engine:
        await asyncio.sleep(60)
        scheduler = engine.schedulers.of(ApiKey("key", "").fingerprint)
        return scheduler.limiters[Call.START].limits(boottime())


def test_next_process_keeps_to_the_observed_daily_limit() -> None:
    assert run_virtually(_answers_to_the_next_process) == []


async def _answers_to_the_next_process() -> list[int | None]:
    """The replies to the starts of a process after another one has used up the daily quota."""
    models = range(1, 11)
    config = SimulatorConfig(
        speed=1,
        keys={"key": "write"},
        limit_starts=(ServerLimit(5, HOUR), ServerLimit(8, 24 * HOUR)),
        rate_headers="always",
        retry_hint="seconds",
        scenario=Scenario(models={number: ModelScript() for number in models}),
    )
    world = World({"speech": "key"}, config)
    for number in models:
        world.add("speech", f"model-{number}", number, pollIntervalSeconds=HOUR)
    async with world.operator():
        await asyncio.sleep(3 * HOUR)
    statuses = [call.status for call in world.state.calls.select("run")]
    assert statuses.count(HTTPStatus.OK) == 8
    assert statuses[8:]  # the daily limit is observed
    world.state.calls.clear()
    async with world.operator():
        await asyncio.sleep(2 * HOUR)
    return [call.status for call in world.state.calls.select("run")]
