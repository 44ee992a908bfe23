"""Waits for changes in a simulator, so that tests need no sleeps."""

import asyncio
from collections.abc import Callable

__all__ = ["Changes"]


class Changes:
    """Wakes tasks that wait for a condition, after each change in the simulator."""

    def __init__(self) -> None:
        self._news = asyncio.Event()

    def notify(self) -> None:
        """Report a change."""
        self._news.set()
        self._news = asyncio.Event()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Return once `holds` is true; evaluated now and after each change."""
        while not holds():
            await self._news.wait()
