"""Lets the operator of this version continue a recorded run from any line of the recording.

The API is brought to the same state by the recorded calls, at their times. Then the recorded
resource and start ledger are put into the cluster, and an operator starts as after an upgrade.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from scriptix_operator.kube.trainings import dump_status, parse_training
from tests.recorded.recorder import KEY, LENGTH, MODEL, act, prepared
from tests.virtual.loop import boottime, run_virtually
from tests.virtual.world import World

__all__ = ["Cut", "Stale", "continued", "cuts", "read_recording", "recordings"]

Line = dict[str, Any]
FOLDER = Path(__file__).parent
UPGRADE = 5.0
"""Seconds between the end of the recorded process and the begin of the next."""
REST = LENGTH + 600.0
"""Seconds until the judgement: a start whose outcome is unknown takes minutes more."""


@dataclass(frozen=True)
class Cut:
    """The line after which the recorded process ends, and what kind of line it is."""

    line: int
    kind: str

    def __str__(self) -> str:
        return f"{self.kind}-{self.line}"


@dataclass(frozen=True)
class Stale:
    """How an API server with an old cache answers the operator that continues.

    Args:
        writes: The resource is listed as it was this number of status writes before.
        seconds: How long the cache is old.
        is_read_stale: Whether reads of the resource alone are old, too.
    """

    writes: int
    seconds: float
    is_read_stale: bool


def recordings() -> list[Path]:
    """The recordings of all versions."""
    return sorted(FOLDER.glob("*/*.jsonl"))


def read_recording(path: Path) -> list[Line]:
    """The lines of a recording; the first has the story and its end."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def cuts(lines: Sequence[Line]) -> list[Cut]:
    """After each write of the cluster, and with each start on its way."""
    found = []
    for number, line in enumerate(lines):
        if "resource" in line:
            found.append(Cut(number, "status"))
        elif "ledger" in line:
            found.append(Cut(number, "ledger"))
        elif line.get("sent", "").endswith("/run"):
            found.append(Cut(number, "start"))
    return found


def continued(lines: Sequence[Line], cut: Cut, stale: Stale | None = None) -> Line:
    """The end of a story whose rest is lived by this version: as the recording has it."""
    return run_virtually(partial(_continue, lines, cut, stale))


async def _continue(lines: Sequence[Line], cut: Cut, stale: Stale | None) -> Line:
    story, until = lines[0]["story"], lines[cut.line]["at"]
    world = prepared(story)
    changes = [(at, change) for at, change in story["actions"] if "model" in change]
    edits = [(at, change) for at, change in story["actions"] if "model" not in change]
    async with (
        httpx.AsyncClient(transport=world.api, base_url="https://simulator") as client,
        asyncio.TaskGroup() as tasks,
    ):
        for at, change in changes:
            tasks.create_task(_at(at, lambda change=change: act(world, change)))
        calls = [(line["at"], line["sent"]) for line in lines[1 : cut.line + 1] if "sent" in line]
        sent = [tasks.create_task(_send(client, at, call)) for at, call in calls]
        await asyncio.sleep(until - boottime() + UPGRADE)
        for task in sent:
            task.cancel()  # with the process that sent it; the API continues with the call
        _restore(world, lines, cut, stale)
        for at, change in edits:
            if at > until:
                tasks.create_task(_at(at, lambda change=change: act(world, change)))
        async with world.operator():
            await asyncio.sleep(REST - boottime())
    [key] = world.trainings.by_key
    starts = sum(call.started is not None for call in world.state.calls)
    return {"starts": starts, "phase": dump_status(world.status(key))["phase"]}


async def _at(at: float, do: Any) -> None:  # noqa: ANN401 - a callable without arguments
    await asyncio.sleep(at - boottime())
    do()


async def _send(client: httpx.AsyncClient, at: float, call: str) -> None:
    method, path = call.split()
    await asyncio.sleep(at - boottime())
    body: Line | None = {} if method == "POST" else None
    try:
        await client.request(method, path, headers={"Authorization": "Bearer key"}, json=body)
    except httpx.TransportError:
        return  # the recorded process has received no reply, either


def _restore(world: World, lines: Sequence[Line], cut: Cut, stale: Stale | None) -> None:
    """Put the recorded resource and ledger into the cluster."""
    before = lines[: cut.line + 1]
    ledgers = [line["ledger"] for line in before if "ledger" in line]
    if ledgers:
        world.ledger.put(json.dumps(ledgers[-1]))
    resources = [line["resource"] for line in before if "resource" in line]
    if not resources:
        world.add(*KEY, MODEL, **lines[0]["story"]["spec"])
        return
    if stale is not None:
        older = world.trainings.put(parse_training(resources[-1 - stale.writes]))
        until = boottime() + stale.seconds
        world.trainings.serve_stale(older, until, is_read_stale=stale.is_read_stale)
    world.trainings.put(parse_training(resources[-1]))
