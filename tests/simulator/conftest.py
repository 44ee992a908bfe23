"""Fixtures of the tests over HTTP."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from scriptix_simulator import ManualClock, SimulatorConfig, serve

from .support import AUTH, Served, Start


@pytest.fixture
def clock() -> ManualClock:
    """Return a clock that shows 2025-01-16T08:00:00Z until it is advanced."""
    return ManualClock()


@pytest.fixture
async def start(clock: ManualClock) -> AsyncIterator[Start]:
    """Return a function that starts simulators on `clock`."""
    async with AsyncExitStack() as stack:

        async def start(config: SimulatorConfig | None = None) -> Served:
            sim = await stack.enter_async_context(serve(config, clock=clock))
            api = httpx.AsyncClient(base_url=f"{sim.url}/api/v3/custom_models", headers=AUTH)
            admin = httpx.AsyncClient(base_url=f"{sim.url}/admin")
            return Served(
                sim,
                clock,
                await stack.enter_async_context(api),
                await stack.enter_async_context(admin),
            )

        yield start


@pytest.fixture
async def served(start: Start) -> Served:
    """Return a simulator with the command's defaults and model 1, ready to run."""
    served = await start()
    served.sim.put(1)
    return served
