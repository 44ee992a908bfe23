"""Hostile replies in the middle of a whole operator's work, in virtual time.

The engine, the client and the decisions are the real ones; between them and the simulator stands a
transport that answers some calls with replies from hypothesis. Whatever it replies, the operator
continues, each status fits into the CRD, no text shows the key, and a namespace with another key is
not affected.
"""

import asyncio
import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import httpx
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from scriptix_operator.api.crd import custom_resource_definition
from scriptix_operator.core.model.training import Training
from scriptix_operator.kube.trainings import dump_status
from scriptix_simulator import ModelScript, Scenario, SimulatorConfig
from tests.fuzz.effort import LIVES
from tests.fuzz.hostile import KEY, Reply, replies
from tests.virtual.loop import run_virtually
from tests.virtual.world import World

CALM_KEY = "calm-key"
ROOT = custom_resource_definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
MAX_EVENT = 1024
"""Characters that the API server takes for an event's message."""
MAX_STATUS = 64 * 1024
"""In bytes: far below the 1.5 MB that etcd accepts in a request."""


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with unknown fields refused: the API server would drop them silently."""
    result = {**schema}
    if "properties" in schema:
        result["properties"] = {name: closed(one) for name, one in schema["properties"].items()}
        result["additionalProperties"] = False
    if "items" in schema:
        result["items"] = closed(schema["items"])
    return result


STATUS = Draft202012Validator(closed(ROOT["properties"]["status"]))


class Hostile(httpx.AsyncBaseTransport):
    """Answers calls with the hostile key as planned.

    Args:
        world: The world whose transport is replaced.
        plan: For each call in turn: a reply, or None for the API's own. The plan repeats.
    """

    def __init__(self, world: World, plan: list[Reply | None]) -> None:
        self._behind = world.wire
        self._plan: Iterator[Reply | None] = itertools.cycle(plan)
        world.wire = self

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer the call, or pass it on."""
        if KEY not in request.headers["Authorization"]:
            return await self._behind.handle_async_request(request)
        reply = next(self._plan)
        if reply is None:
            return await self._behind.handle_async_request(request)
        await asyncio.sleep(0.2)
        # A reply with another model is refused as a whole; most replies should be read further.
        number = request.url.path.split("/")[4].encode()
        body = reply.body.replace(b'"id": 7,', b'"id": ' + number + b",")
        return replace(reply, body=body).answer(request)


def check(training: Training) -> None:
    """Assert the invariants of a written status."""
    status = dump_status(training.status)
    flaws = [f"{error.json_path}: {error.message[:200]}" for error in STATUS.iter_errors(status)]
    assert not flaws, flaws
    text = json.dumps(status)
    assert KEY not in text
    assert len(text) <= MAX_STATUS


async def live(plan: list[Reply | None]) -> None:
    """Run three trainings with a hostile API and one with a normal API, for two hours."""
    models = {number: ModelScript() for number in (7, 8, 9, 10)}
    config = SimulatorConfig(
        speed=24,
        keys={KEY: "write", CALM_KEY: "write"},
        scenario=Scenario(models=models),
    )
    world = World({"mad": KEY, "calm": CALM_KEY}, config)
    Hostile(world, plan)
    failures: list[AssertionError] = []

    def written(training: Training) -> None:
        try:
            check(training)
        except (
            AssertionError
        ) as error:  # the engine would treat the error as a problem of one resource
            failures.append(error)

    world.trainings.on_status = written
    world.add("mad", "first", 7, backoffLimit=2, pollIntervalSeconds=120)
    world.add("mad", "gated", 8, qualityGate={"maxWordErrorRate": "15"}, pollIntervalSeconds=120)
    world.add("mad", "waits", 9, existingTraining="Wait", pollIntervalSeconds=120)
    calm = world.add("calm", "calm", 10, pollIntervalSeconds=120)
    async with world.operator() as engine:
        for _ in range(120):  # by minutes: a failed reconcile is retried all the time
            await asyncio.sleep(60)
            errors = engine.metrics.registry.get_sample_value(
                "scriptix_reconcile_total", {"result": "error"}
            )
            assert errors == 0, "a reconcile raised; its traceback is in the log"
    assert not failures, failures[0]
    assert world.status(calm).phase == "Succeeded"
    for _, _, item in world.events.all:
        assert KEY not in item.message
        assert len(item.message) <= MAX_EVENT
        assert item.message.isprintable()
    for data in world.results.published.values():
        assert KEY not in json.dumps(data)


@LIVES
@given(st.lists(st.none() | replies(), min_size=1, max_size=12))
def test_operator_keeps_its_bounds_under_hostile_replies(
    plan: list[Reply | None],
) -> None:
    run_virtually(partial(live, plan))
