"""Records the stories with the code as it is: statuses, ledgers, and the calls with their replies.

Uses only what the tests of older versions have, too: a recording of an older version is made in a
worktree of that version.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from scriptix_operator.kube.trainings import dump_status
from scriptix_simulator import Fault, Limit, ModelChange, ModelScript, Scenario, SimulatorConfig
from scriptix_simulator.inprocess import InProcess
from tests.recorded.stories import STORIES, Story
from tests.virtual.loop import boottime, run_virtually
from tests.virtual.world import World, as_raw

__all__ = ["KEY", "LENGTH", "MODEL", "act", "prepared", "record"]

MODEL = 101
KEY = "speech", "cardiology-en"
LENGTH = 2700.0
"""Seconds of a story."""
LATENCY = 0.2
Line = dict[str, Any]


def record(folder: Path) -> None:
    """Record all stories into a new folder.

    Raises:
        FileExistsError: The folder has a recording.
    """
    folder.mkdir()
    for name, story in STORIES.items():
        lines = run_virtually(partial(_recorded, story))
        text = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


def prepared(story: Mapping[str, Any]) -> World:
    """A world with the model of a story, and no resource yet."""
    scenario = Scenario(models={MODEL: ModelScript.model_validate(story["model"])})
    config = SimulatorConfig(
        speed=1,
        keys={"key": "write"},
        lenient=story["lenient"],
        limit_starts=(Limit(5, 3600),),
        scenario=scenario,
    )
    world = World({KEY[0]: "key"}, config)
    world.api = InProcess(world.state, world.clock, lambda: LATENCY)
    world.wire = world.api
    if story["fault"] is not None:
        world.state.faults.add(Fault.model_validate(story["fault"]))
    return world


def act(world: World, change: Mapping[str, Any]) -> None:
    """Do what a story says: change the model, or edit the resource."""
    if "model" in change:
        wanted = ModelChange.model_validate(change["model"])
        world.state.patch(MODEL, wanted, world.clock.now())
    else:
        [key] = world.trainings.by_key
        world.edit(key, **change)


class _Recorder(httpx.AsyncBaseTransport):
    """Records each call when it is sent, and its reply."""

    def __init__(self, inner: httpx.AsyncBaseTransport, lines: list[Line]) -> None:
        self._inner, self._lines = inner, lines

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = f"{request.method} {request.url.path}"
        self._lines.append({"at": boottime(), "sent": call})
        try:
            response = await self._inner.handle_async_request(request)
        except httpx.TransportError as error:
            self._lines.append({"at": boottime(), "lost": call, "error": type(error).__name__})
            raise
        body = await response.aread()
        read: object = None
        if "/log" not in call and body:
            read = json.loads(body)
        self._lines.append(
            {"at": boottime(), "reply": call, "status": response.status_code, "body": read}
        )
        headers = {k: v for k, v in response.headers.items() if k != "content-encoding"}
        return httpx.Response(response.status_code, headers=headers, content=body)


async def _recorded(story: Story) -> list[Line]:
    document = json.loads(json.dumps(asdict(story)))
    world, lines = prepared(document), list[Line]()
    world.wire = _Recorder(world.api, lines)
    put = world.ledger.put

    def put_ledger(ledger: Any) -> None:  # noqa: ANN401 - its type differs between versions
        put(ledger)
        lines.append({"at": boottime(), "ledger": json.loads(world.ledger.text or "null")})

    world.ledger.put = put_ledger  # type: ignore[method-assign]
    world.trainings.on_status = lambda written: lines.append(
        {"at": boottime(), "resource": as_raw(written)}
    )
    key = world.add(*KEY, MODEL, **story.spec)
    async with world.operator():
        for at, change in story.actions:
            await asyncio.sleep(at - boottime())
            act(world, change)
        await asyncio.sleep(LENGTH - boottime())
    starts = sum(call.started is not None for call in world.state.calls)
    end = {"starts": starts, "phase": dump_status(world.status(key))["phase"]}
    return [{"story": document, "end": end}, *lines]
