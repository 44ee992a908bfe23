"""The work queue: the due times of all resources, in one heap."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import count

from scriptix_operator.core.model.training import TrainingKey

__all__ = ["WorkQueue"]


class WorkQueue:
    """Due times by resource, in seconds of `clock`; each resource has at most one.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._due: dict[TrainingKey, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, TrainingKey]] = []
        self._serial = count()
        self._changed = asyncio.Event()

    def set(self, key: TrainingKey, seconds: float) -> None:
        """Make `key` due in `seconds`, replacing its due time."""
        due, serial = self._clock() + seconds, next(self._serial)
        self._due[key] = (due, serial)
        heapq.heappush(self._heap, (due, serial, key))
        self._changed.set()

    def bring_forward(self, key: TrainingKey, seconds: float) -> None:
        """Make `key` due in `seconds`, unless it is due earlier."""
        known = self._due.get(key)
        if known is None or self._clock() + seconds < known[0]:
            self.set(key, seconds)

    def drop(self, key: TrainingKey) -> None:
        """Forget `key`."""
        self._due.pop(key, None)

    def due(self) -> int:
        """The number of resources that are due now."""
        now = self._clock()
        return sum(due <= now for due, _ in self._due.values())

    async def next(self, patience: float) -> tuple[TrainingKey, float] | None:
        """Wait for the next due resource and take it out.

        Returns:
            The resource and its latency in seconds; None after `patience` seconds without one.
        """
        give_up = self._clock() + patience
        while True:
            self._changed.clear()
            self._drop_superseded()
            now = self._clock()
            if self._heap and self._heap[0][0] <= now:
                due, _, key = heapq.heappop(self._heap)
                del self._due[key]
                return key, now - due
            if now >= give_up:
                return None
            until = min(self._heap[0][0], give_up) if self._heap else give_up
            try:
                async with asyncio.timeout(until - now):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _drop_superseded(self) -> None:
        while self._heap:
            due, serial, key = self._heap[0]
            if self._due.get(key) == (due, serial):
                return
            heapq.heappop(self._heap)
