"""Helpers of the tests over HTTP: a simulator on a manual clock, and its clients."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Protocol

import httpx

from scriptix_simulator import Fault, ManualClock, Simulator, SimulatorConfig

KEY = "demo-key"
AUTH = {"Authorization": f"Bearer {KEY}"}
HOUR = 3600 / 480
"""Real seconds in a simulated hour at the default speed."""

START = "2025-01-16T08:00:00Z"
"""Initial time of the manual clock."""


@dataclass(frozen=True)
class Served:
    """A simulator and its clients.

    Attributes:
        sim: The simulator, on `clock`.
        clock: Its clock.
        api: A client with a good key; paths begin at `/api/v3/custom_models`.
        admin: A client of the admin view; its paths begin at `/admin`.
    """

    sim: Simulator
    clock: ManualClock
    api: httpx.AsyncClient
    admin: httpx.AsyncClient

    async def run(self, model: int) -> httpx.Response:
        """Start a run."""
        return await self.api.post(f"/{model}/run", json={})

    async def get(self, model: int) -> httpx.Response:
        """Get a model."""
        return await self.api.get(f"/{model}")

    async def log(self, model: int) -> httpx.Response:
        """Get a log."""
        return await self.api.get(f"/{model}/log")

    async def give_up(self, call: Coroutine[None, None, httpx.Response], sleepers: int = 1) -> None:
        """Make a call, and disconnect once the server has this number of sleepers."""
        asked = asyncio.create_task(call)
        await self.clock.wait_for_sleepers(sleepers)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)

    def strike(self, fault: Fault) -> None:
        """Activate a fault."""
        self.sim.state.faults.add(fault)

    def runs(self, model: int) -> int:
        """Return the number of runs of a model."""
        return len(self.sim.state.models[model].runs)


class Start(Protocol):
    """Starts a simulator that ends with the test."""

    async def __call__(self, config: SimulatorConfig | None = None) -> Served:
        """Return the simulator and its clients."""
        ...
