"""Signs of life and readiness, set by the event loop and read by the HTTP server's threads."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Heartbeat", "Readiness"]

EVENT_LOOP = "The event loop"


@dataclass(frozen=True, slots=True)
class _Beat:
    at: float
    limit: float


class Heartbeat:
    """Knows who has promised to beat, and who has stopped to.

    Times are monotonic seconds of this process; nothing is compared across clocks.

    Args:
        limit: Seconds without a beat after which the beater counts as stuck.
        clock: Monotonic seconds.
    """

    def __init__(self, limit: float = 15.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._clock = clock
        self._beats: dict[str, _Beat] = {}

    @contextmanager
    def watching(self, name: str, limit: float | None = None) -> Iterator[Callable[[], None]]:
        """Expect beats of `name` inside the block; yields the function that beats.

        Args:
            name: Who it is, as a sentence begins: `The engine's timer`.
            limit: Seconds, where it differs from the others'.

        Raises:
            ValueError: `name` is being watched already.
        """
        if name in self._beats:
            raise ValueError(f"{name!r} is being watched already")

        def beat() -> None:
            self._beats[name] = _Beat(self._clock(), self._limit if limit is None else limit)

        beat()
        try:
            yield beat
        finally:
            del self._beats[name]

    async def follow_event_loop(self, interval: float = 1.0) -> None:
        """Beat for the running event loop every `interval` seconds, until cancelled."""
        with self.watching(EVENT_LOOP) as beat:
            while True:
                beat()
                await asyncio.sleep(interval)

    def complaints(self) -> list[str]:
        """A sentence about each beater that is late; any thread may ask."""
        now = self._clock()
        return [
            f"{name} has shown no sign of life for {now - beat.at:.1f} s (limit {beat.limit:g} s)."
            for name, beat in self._beats.copy().items()
            if now - beat.at > beat.limit
        ]


class Readiness:
    """Whether this process can take part, and if not why; standbys are ready too.

    Args:
        reason: What is being waited for at the start, as a plain sentence.
    """

    def __init__(self, reason: str = "Starting.") -> None:
        self._reason: str | None = reason

    @property
    def reason(self) -> str | None:
        """Why it is not ready, or None when it is."""
        return self._reason

    def set(self) -> None:
        """Be ready from now on."""
        self._reason = None

    def unset(self, reason: str) -> None:
        """Be not ready from now on, for a reason."""
        self._reason = reason
