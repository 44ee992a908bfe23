"""The clock of the harness: the machine's, which the simulator stamps its calls with, too."""

import asyncio
import time
from collections.abc import Awaitable, Callable

__all__ = ["now", "until"]


def now() -> float:
    """Return the time in unix seconds."""
    return time.time()  # noqa: TID251 - compared with the times that the simulator records


async def until(holds: Callable[[], Awaitable[bool]], every: float = 0.1) -> None:
    """Return once another process has made `holds` true; it is asked after each interval."""
    while not await holds():  # noqa: ASYNC110 - other processes set no event
        await asyncio.sleep(every)
