"""The clocks of the simulator: the machine's, one that tests move by hand, one that is wrong.

Everything else in the package takes `now` (unix seconds) as an argument. The clock also sleeps,
so that a delayed or late answer waits in the same time that the models live in.
"""

import asyncio
import heapq
import itertools
import time
from typing import Protocol

__all__ = ["Clock", "ManualClock", "ShiftedClock", "SystemClock"]


class Clock(Protocol):
    """What the HTTP rim needs of time."""

    def now(self) -> float:
        """Return the time in unix seconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` have passed on this clock."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        """Return the machine's time in unix seconds."""
        return time.time()  # noqa: TID251 - this is the simulator's rim, the one place that reads it

    async def sleep(self, seconds: float) -> None:
        """Sleep for real seconds."""
        await asyncio.sleep(seconds)


class ShiftedClock:
    """A clock that is ahead of another, or behind it.

    Args:
        clock: The other one; it does the sleeping.
        seconds: How far ahead; negative: behind.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds

    def now(self) -> float:
        """Return the time in unix seconds, as this clock shows it."""
        return self._clock.now() + self._seconds

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` have passed, which they do alike on both."""
        await self._clock.sleep(seconds)


class ManualClock:
    """A clock that stands still until a test advances it.

    Args:
        start: The first time it shows, in unix seconds (default: 2025-01-16T08:00:00Z).
    """

    def __init__(self, start: float = 1_737_014_400.0) -> None:
        self._now = start
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._slept = asyncio.Event()

    def now(self) -> float:
        """Return the time in unix seconds."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been advanced by `seconds`."""
        if seconds <= 0:
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._order), wake))
        self._slept.set()
        await wake

    def advance(self, seconds: float) -> None:
        """Move the time on by `seconds` and wake whoever has slept long enough."""
        self._now += seconds
        while self._sleepers and self._sleepers[0][0] <= self._now:
            wake = heapq.heappop(self._sleepers)[2]
            if not wake.done():
                wake.set_result(None)

    async def wait_for_sleepers(self, count: int = 1) -> None:
        """Return once so many sleep on this clock, so that a test knows when to advance it."""
        while sum(not wake.done() for _, _, wake in self._sleepers) < count:
            self._slept.clear()
            await self._slept.wait()
