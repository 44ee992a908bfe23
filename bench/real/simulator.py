"""The simulator as a process, and the record of its calls."""

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import aiohttp

from bench.real.clock import now
from tests.operator.process import REPOSITORY
from tests.tether import tethered

__all__ = ["Arrived", "Shares", "SimulatorProcess", "drawn_faults", "simulate"]

CHUNK = 100
"""Faults in one request; the simulator takes 64 KiB."""
OPEN_SECONDS = 60.0
"""An older call without a reply has none any more: its client was killed."""

Shares = Mapping[str, tuple[float, Mapping[str, Any]]]
"""By fault, its share of the calls, and more fields of the rule."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A call that the simulator has received.

    Attributes:
        at: When, in unix seconds.
        kind: `run` (a start), `model` (a poll) or `log`.
        model: The id of the model.
        status: The status of the reply; None: no reply.
        has_started: Whether the call has started a run.
    """

    at: float
    kind: str
    model: int
    status: int | None
    has_started: bool


class SimulatorProcess:
    """A running simulator."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session
        self._calls: dict[int, Arrived] = {}
        self._read = 0
        """Number of the newest call before which all calls have ended."""

    async def calls(self) -> list[Arrived]:
        """Return all calls so far, oldest first; reads those that were not known yet."""
        found = await self._get(f"/calls?after={self._read}")
        is_whole = True
        for call in found:
            self._calls[call["seq"]] = Arrived(
                call["unix"],
                call["kind"],
                call["model"] or 0,
                call["status"],
                call["started_run"] is not None,
            )
            is_whole = is_whole and not _is_open(call)  # an open call is read again
            if is_whole:
                self._read = call["seq"]
        return list(self._calls.values())

    async def has_open_start(self) -> bool:
        """Return whether a start is under way."""
        return any(map(_is_open, await self._get(f"/calls?kind=run&after={self._read}")))

    async def ends(self) -> dict[int, float]:
        """Return when the first run of each model ends, in unix seconds."""
        return {
            model["id"]: model["runs"][0]["ends_unix"]
            for model in await self._get("/models")
            if model["runs"]
        }

    async def add_faults(self, faults: Sequence[Mapping[str, Any]]) -> None:
        """Ask for faults, in this order."""
        for begin in range(0, len(faults), CHUNK):
            chunk = list(faults[begin : begin + CHUNK])
            async with self._session.post(f"{self.url}/admin/faults", json=chunk) as reply:
                reply.raise_for_status()

    async def _get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        async with self._session.get(f"{self.url}/admin{path}") as reply:
            reply.raise_for_status()
            return json.loads(await reply.read())


def _is_open(call: Mapping[str, Any]) -> bool:
    """Return whether a recorded call may still be under way."""
    is_unanswered = call["status"] is None and call["fault"] in {None, "delay"}
    return is_unanswered and call["unix"] > now() - OPEN_SECONDS


def drawn_faults(shares: Shares, count: int, seed: int, call: str = "any") -> list[dict[str, Any]]:
    """Return rules that draw the fault of each of `count` calls by chance.

    Args:
        shares: The faults; all other calls have none.
        count: The number of calls; later ones have no fault.
        seed: The same seed draws the same.
        call: The kind of call.
    """
    rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
    names = [*shares, "delay"]
    weights = [share for share, _ in shares.values()]
    drawn = rng.choices(names, [*weights, 1 - sum(weights)], k=count)
    rules = []
    for name, same in groupby(drawn):
        fields = {"delay": 0} if name == "delay" else shares[name][1]  # no delay: no fault
        rules.append({"fault": name, "call": call, "times": len(list(same)), **fields})
    return rules


@asynccontextmanager
async def simulate(
    directory: Path, script: Mapping[str, Any], keys: Sequence[str], *options: str
) -> AsyncIterator[SimulatorProcess]:
    """Run a simulator in which each id is a model of this script, at the speed of real time."""
    scenario = directory / "scenario.json"
    scenario.write_text(json.dumps({"default": script}))
    arguments = ["--port=0", "--speed=1", "--any-model", f"--models={scenario}"]
    process = await asyncio.create_subprocess_exec(
        *tethered([sys.executable, "-m", "scriptix_simulator", *arguments]),
        *(f"--api-key={key}" for key in keys),
        *options,
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        if process.stdout is None:
            raise RuntimeError("the simulator has no output")
        line = (await process.stdout.readline()).decode()
        if not line.startswith("listening on "):
            raise RuntimeError("the simulator did not start")
        async with aiohttp.ClientSession() as session:
            yield SimulatorProcess(line.split()[-1], session)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
