"""The shutdown that a signal requests, and the starts under way that it waits for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

__all__ = ["Shutdown"]


class Shutdown:
    """Whether this process is to end, and the starts under way.

    A start is under way from the writing of its intent until its outcome is recorded in status and
    ledger.
    """

    def __init__(self) -> None:
        self._is_begun = False
        self._starts = 0
        self._no_start_left = asyncio.Event()
        self._no_start_left.set()
        self._calls: list[Callable[[], None]] = []

    @property
    def is_begun(self) -> bool:
        """Whether nothing more may begin."""
        return self._is_begun

    @property
    def starts(self) -> int:
        """The number of starts under way."""
        return self._starts

    def begin(self) -> None:
        """Begin the shutdown: nothing more may begin."""
        self._is_begun = True
        for call in tuple(self._calls):
            call()

    @contextmanager
    def calling(self, call: Callable[[], None]) -> Iterator[None]:
        """Call `call` if the shutdown has begun already, or begins inside the block."""
        self._calls.append(call)
        try:
            if self._is_begun:
                call()
            yield
        finally:
            self._calls.remove(call)

    @asynccontextmanager
    async def aborting(self, may_abort: Callable[[], bool]) -> AsyncIterator[None]:
        """Interrupt the block when the shutdown begins, if `may_abort` allows it then.

        Raises:
            TimeoutError: The block was interrupted.
        """
        async with asyncio.timeout(None) as timeout:

            def abort() -> None:
                if may_abort():
                    timeout.reschedule(0.0)

            with self.calling(abort):
                yield

    @contextmanager
    def start_under_way(self) -> Iterator[None]:
        """Delay the end of the process until this block has ended."""
        self._starts += 1
        self._no_start_left.clear()
        try:
            yield
        finally:
            self._starts -= 1
            if self._starts == 0:
                self._no_start_left.set()

    async def wait_for_starts(self) -> None:
        """Wait until no start is under way."""
        await self._no_start_left.wait()
