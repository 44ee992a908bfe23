"""Serves a simulator on a socket: for tests in the same process, and for the command."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from .app import create_app
from .changes import Changes
from .clock import Clock, ShiftedClock, SystemClock
from .config import SimulatorConfig
from .model import Model
from .scripts import ModelScript
from .state import SimulatorState

__all__ = ["Simulator", "serve"]

_SHUTDOWN_SECONDS = 0.2
"""Seconds that pending replies may take when the simulator ends."""


@dataclass(frozen=True, slots=True)
class Simulator:
    """A simulator that is being served.

    Attributes:
        url: Its address, without a slash at the end.
        state: Its models, calls, faults and keys.
        clock: Its clock.
    """

    url: str
    state: SimulatorState
    clock: Clock
    _changes: Changes

    def put(self, model: int, script: ModelScript | None = None) -> Model:
        """Create a model, ready to run by default, and return it."""
        return self.state.put(model, script or ModelScript(), self.clock.now())

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once `holds` is true; evaluated now and after each stage of each call.

        A change by the mere passing of time is not noticed.
        """
        await self._changes.until(holds)


@asynccontextmanager
async def serve(
    config: SimulatorConfig | None = None,
    *,
    clock: Clock | None = None,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncIterator[Simulator]:
    """Serve a simulator as long as the context lasts.

    Args:
        config: The configuration; the command's defaults by default.
        clock: The clock; the machine's by default. `config.clock_offset` shifts the clock.
        host: The address to listen on.
        port: The port; 0: a free one.

    Raises:
        OSError: The address cannot be listened on.
    """
    config = config or SimulatorConfig()
    clock = ShiftedClock(clock or SystemClock(), config.clock_offset)
    state = SimulatorState(config, clock.now())
    changes = Changes()
    runner = web.AppRunner(
        create_app(state, clock, changes), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        address = runner.addresses[0]
        shown = f"[{address[0]}]" if ":" in address[0] else address[0]
        yield Simulator(f"http://{shown}:{address[1]}", state, clock, changes)
    finally:
        await runner.cleanup()
