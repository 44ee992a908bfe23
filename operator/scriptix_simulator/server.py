"""A simulator that listens: for tests in the same process, and for the command."""

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
"""How long answers under way may still take when the simulator ends."""


@dataclass(frozen=True, slots=True)
class Simulator:
    """A simulator that is being served.

    Attributes:
        url: Where, without a slash at the end.
        state: Its models, calls, faults and keys.
        clock: Its clock.
    """

    url: str
    state: SimulatorState
    clock: Clock
    _changes: Changes

    def put(self, model: int, script: ModelScript | None = None) -> Model:
        """Make a model now, ready to run by default, and return it."""
        return self.state.put(model, script or ModelScript(), self.clock.now())

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once `holds` is true; it is asked now and after each step of each call.

        What the mere passing of time brings about wakes nobody.
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
        config: How it is set up; the command's defaults by default.
        clock: What tells the time; the machine's by default. `config.clock_offset` shifts it.
        host: The address to listen on.
        port: The port; 0: a free one.

    Raises:
        OSError: It cannot listen there.
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
