"""An API that loses four calls of ten, with a whole operator."""

import asyncio
import random
from dataclasses import dataclass
from functools import partial
from statistics import median

import httpx
import pytest

from scriptix_operator.api.reasons import Phase
from scriptix_operator.core.model.training import Training
from scriptix_simulator import Limit, ModelScript, Scenario, SimulatorConfig
from scriptix_simulator.state import ApiRequest, endpoint
from tests.virtual.loop import EPOCH, boottime, run_virtually
from tests.virtual.world import World

MODELS = range(1, 31)
INTERVAL, RUN = 2, 120
ERRORS, TRUNCATED = 0.3, 0.1
HOUR = 3600
STARTED_WITHIN, SEEN_WITHIN, SEEN_WITHIN_MEDIAN = 30, 15, 2.5
"""Bounds in virtual seconds."""


class Flaky(httpx.AsyncBaseTransport):
    """Answers some polls with HTTP 500, and others with half of the reply."""

    def __init__(self, behind: httpx.AsyncBaseTransport, seed: int) -> None:
        self._behind = behind
        self._rng = random.Random(f"flaky {seed}")  # noqa: S311 - repeatable on purpose

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Forward a call, or fail a poll."""
        kind, _ = endpoint(ApiRequest(request.method, request.url.path))
        drawn = self._rng.random()
        if kind == "model" and drawn < ERRORS:
            return httpx.Response(500, json={"message": "internal error"})
        reply = await self._behind.handle_async_request(request)
        if kind == "model" and drawn < ERRORS + TRUNCATED:
            body = await reply.aread()
            return httpx.Response(reply.status_code, content=body[: len(body) // 2])
        return reply


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the operator made of the API."""

    started: dict[int, float]
    """By model: when its run was started."""
    delays: list[float]
    """Seconds from the end of each run until status showed the end."""
    polls: int
    was_open: bool
    """Whether the circuit breaker was ever open."""


async def _live(seed: int) -> Outcome:
    config = SimulatorConfig(
        speed=1,
        keys={"key": "write"},
        limit_starts=(Limit(1000, HOUR),),
        limit_status=(Limit(6000, 60),),
        scenario=Scenario(models=dict.fromkeys(MODELS, ModelScript(duration=RUN / HOUR))),
    )
    world = World({"speech": "key"}, config, seed, limit_status="6000/1m", limit_starts="1000/1h")
    world.wire = Flaky(world.wire, seed)
    seen: dict[int, float] = {}

    def note(training: Training) -> None:
        if training.status.phase == Phase.SUCCEEDED:
            seen.setdefault(training.spec.model_id, boottime())

    world.trainings.on_status = note
    for model in MODELS:
        spec = {"pollIntervalSeconds": INTERVAL, "log": {"collect": "Never"}}
        world.add("speech", f"model-{model}", model, **spec)
    was_open = False
    async with world.operator() as engine:
        while boottime() < STARTED_WITHIN + RUN + 60:
            await asyncio.sleep(1)
            states = engine.schedulers.states().values()
            was_open |= any(state.open_cause is not None for state in states)
    started = {call.model or 0: call.at - EPOCH for call in world.state.calls.select("run")}
    delays = [seen[model] - at - RUN for model, at in started.items()]
    return Outcome(started, delays, len(world.state.calls.select("model")), was_open)


@pytest.mark.parametrize("seed", [0, 2])
def test_flaky_api_delays_starts_and_ends_by_seconds_only(seed: int) -> None:
    found = run_virtually(partial(_live, seed))
    assert found.started.keys() == set(MODELS)
    assert max(found.started.values()) < STARTED_WITHIN
    assert median(found.delays) < SEEN_WITHIN_MEDIAN
    assert max(found.delays) < SEEN_WITHIN
    assert not found.was_open
