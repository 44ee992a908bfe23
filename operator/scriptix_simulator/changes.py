"""Waiting for something to happen in a simulator, so that tests need no sleeps."""

import asyncio
from collections.abc import Callable

__all__ = ["Changes"]


class Changes:
    """Wakes whoever waits for a condition each time the simulator has done something."""

    def __init__(self) -> None:
        self._news = asyncio.Event()

    def notify(self) -> None:
        """Say that something has happened."""
        self._news.set()
        self._news = asyncio.Event()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once `holds` is true; it is asked now and after everything that happens."""
        while not holds():
            await self._news.wait()
