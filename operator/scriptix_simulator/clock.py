"""The clocks of the simulator: the machine's, one that tests advance, and one with an offset.

Everything else in the package takes `now` (unix seconds) as an argument. The clock also sleeps, so
that a delayed or late reply waits in the same time as the models.
"""

import asyncio
import heapq
import itertools
import time
from typing import Protocol

__all__ = ["Clock", "ManualClock", "ShiftedClock", "SystemClock"]


class Clock(Protocol):
    """The clock that serving needs."""

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
        return time.time()  # noqa: TID251 - the simulator's only reader of the clock

    async def sleep(self, seconds: float) -> None:
        """Sleep for real seconds."""
        await asyncio.sleep(seconds)


class ShiftedClock:
    """A clock that is ahead of another one, or behind.

    Args:
        clock: The other clock, which also sleeps.
        seconds: How far ahead; negative: behind.
    """

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds

    def now(self) -> float:
        """Return the shifted time in unix seconds."""
        return self._clock.now() + self._seconds

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` have passed, which take equally long on both clocks."""
        await self._clock.sleep(seconds)


class ManualClock:
    """A clock that stops until a test advances it.

    Args:
        start: The initial time, in unix seconds (default: 2025-01-16T08:00:00Z).
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
        """Advance the time by `seconds` and wake the tasks whose sleep is over."""
        self._now += seconds
        while self._sleepers and self._sleepers[0][0] <= self._now:
            wake = heapq.heappop(self._sleepers)[2]
            if not wake.done():
                wake.set_result(None)

    async def wait_for_sleepers(self, count: int = 1) -> None:
        """Return once `count` tasks sleep on this clock, so that a test can advance it."""
        while sum(not wake.done() for _, _, wake in self._sleepers) < count:
            self._slept.clear()
            await self._slept.wait()
