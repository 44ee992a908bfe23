"""An event loop with virtual time, and the clocks that show it.

When no task is ready, time advances to the next timer; the loop never waits. Executors run inline,
and the order in which a group cancels its tasks does not depend on memory addresses, so each run is
the same. Sockets are polled; a run that waits only for a socket counts as a deadlock.

looptime 0.9 is not used, for four reasons. It ends a deadlock with a TimeoutError inside the tasks,
which the code under test takes for its own time-out. It really waits for executors, and for a
second before it reports a deadlock. After 194 days (2**24 seconds) no timer fires any more. As a
pytest plugin it patches the loops of all other tests, too.
"""

import asyncio
import itertools
import math
import selectors
from collections.abc import Callable, Coroutine, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, ParamSpec, TypeVar, TypeVarTuple

__all__ = [
    "EPOCH",
    "DeadlockError",
    "VirtualClock",
    "VirtualLoop",
    "boottime",
    "end_all",
    "run_virtually",
    "wall",
]

T = TypeVar("T")
P = ParamSpec("P")
Ts = TypeVarTuple("Ts")
Work = Coroutine[Any, Any, T] | Generator[Any, None, T]

EPOCH = 1_737_014_400.0
"""Where virtual time begins, in unix seconds: 2025-01-16T08:00:00Z."""

TICKS = 1_000_000
"""Ticks in a second. All times are whole ticks, so that a sleep until an instant ends at it. A sum
of floats can fall short of the instant, and a sleep of the difference would end at once."""

SLACK = 0.1
"""Fraction of a tick that counts as rounding error, and not as a later time."""


class DeadlockError(Exception):
    """All tasks wait for events that only another task could cause."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that never waits; its time begins at 0."""

    def __init__(self) -> None:
        self._ticks = 0
        self._numbers = itertools.count()
        super().__init__(_Selector(self._advance))
        # The default resolution is smaller than what a float can represent from 2**24 seconds on.
        self._clock_resolution = 0.5 / TICKS
        self.set_default_executor(_Inline())

    def time(self) -> float:
        """Return the virtual seconds since the loop was made."""
        return self._ticks / TICKS

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule a call after a delay; any delay above 0 ends later than now."""
        now = self.time()
        when = max(now + delay, math.nextafter(now, math.inf)) if delay > 0 else now
        return self.call_at(when, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule a call at the first tick that is not before `when`."""
        tick = math.ceil(when * TICKS - SLACK)
        if when > self.time():
            tick = max(tick, self._ticks + 1)
        return super().call_at(tick / TICKS, callback, *args, context=context)

    def create_task(
        self,
        coro: Work[T],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """Schedule a coroutine."""
        shown = None if name is None else str(name)
        return _Task(next(self._numbers), coro, loop=self, name=shown, context=context)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 - the signature is asyncio's
        """Return at once: there are no threads to wait for, and asyncio would start one for it."""

    def _advance(self, seconds: float | None) -> None:
        if seconds is None:
            self._give_up()
        self._ticks += round(seconds * TICKS)

    def _give_up(self) -> NoReturn:
        waiting = sorted(repr(task) for task in asyncio.all_tasks(self))
        raise DeadlockError(
            f"at {self.time():g} s nothing is ready and nothing scheduled, but these wait:\n"
            + "\n".join(waiting)
        )


class _Selector(selectors.DefaultSelector):
    """Polls without waiting, and reports how long it would have waited."""

    def __init__(self, advance: Callable[[float | None], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0:
            self._advance(timeout)
        return ready


class _Task(asyncio.Task[T]):
    """A task whose hash is its number: task groups keep tasks in sets, whose order is fixed so."""

    def __init__(
        self,
        number: int,
        coro: Work[T],
        *,
        loop: asyncio.AbstractEventLoop,
        name: str | None,
        context: Context | None,
    ) -> None:
        self._number = number  # first, since asyncio puts the task into a set of its own
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self._number


class _Inline(ThreadPoolExecutor):
    """Runs submitted functions at once, in the thread of the caller."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as in a thread: the caller of result() receives it
            future.set_exception(error)
        return future


def run_virtually(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in virtual time and return what it returns.

    Raises:
        DeadlockError: The coroutine can never end.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


async def end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel endless tasks, and raise the error of a task that has failed."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    for ended in await asyncio.gather(*ending, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


def boottime() -> float:
    """Return the time of the running loop, as seconds since boot."""
    return asyncio.get_running_loop().time()


def wall() -> datetime:
    """Return the virtual time, UTC."""
    return datetime.fromtimestamp(EPOCH, UTC) + timedelta(seconds=boottime())


class VirtualClock:
    """The time of the running loop as a clock for the simulator."""

    def now(self) -> float:
        """Return the virtual time in unix seconds."""
        return EPOCH + boottime()

    async def sleep(self, seconds: float) -> None:
        """Return once virtual time has advanced by `seconds`."""
        await asyncio.sleep(seconds)
