"""An event loop whose time is virtual, and the clocks that show it.

Where nothing is ready, time leaps to the next timer; nothing ever waits. Executors run inline, and
the order in which a group cancels its tasks does not come from where they lie in memory: each run
is alike. Sockets are polled; a run that waits for one alone counts as a deadlock.

looptime 0.9 was looked at and is not used. It ends a deadlock by raising a TimeoutError within the
tasks, which the code under test takes for a time-out of its own; it really waits for executors, and
for a second before it calls a deadlock one; after 194 days (2**24 seconds) no timer fires any more;
and as a pytest plugin it patches the loops of all other tests, too.
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
"""In a second. All times are whole ticks, so whoever has slept until an instant is there: a sum of
floats can fall short of it by a hair, and a sleep of that hair would end where it began."""

SLACK = 0.1
"""Part of a tick that is taken for an error of floats, and not for a time after the tick."""


class DeadlockError(Exception):
    """All tasks wait for something that only another task could bring about."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that waits for nothing; its time begins at 0."""

    def __init__(self) -> None:
        self._ticks = 0
        self._numbers = itertools.count()
        super().__init__(_Selector(self._leap))
        # The machine's is smaller than what a float can tell apart from 2**24 seconds on.
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
        """Arrange for a call after a delay; one above 0 ends later than now, however small."""
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
        """Arrange for a call at the first tick that is not before `when`."""
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

    def _leap(self, seconds: float | None) -> None:
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
    """Polls, and says how long it would have waited."""

    def __init__(self, leap: Callable[[float | None], None]) -> None:
        super().__init__()
        self._leap = leap

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0:
            self._leap(timeout)
        return ready


class _Task(asyncio.Task[T]):
    """A task whose place in a set, where task groups keep theirs, comes from its number."""

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
    """Runs what it is given at once, in the thread that gives it."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as in a thread: it is for whoever asks for the result
            future.set_exception(error)
        return future


def run_virtually(main: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end in virtual time and return what it returns.

    Raises:
        DeadlockError: It can never end.
    """
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


async def end_all(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel tasks that go on for ever; an error that one of them has ended with is raised."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    for ended in await asyncio.gather(*ending, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


def boottime() -> float:
    """Return the seconds since the virtual machine has booted: those of the running loop."""
    return asyncio.get_running_loop().time()


def wall() -> datetime:
    """Return the virtual time, UTC."""
    return datetime.fromtimestamp(EPOCH, UTC) + timedelta(seconds=boottime())


class VirtualClock:
    """The running loop's time, as the simulator takes it."""

    def now(self) -> float:
        """Return the virtual time in unix seconds."""
        return EPOCH + boottime()

    async def sleep(self, seconds: float) -> None:
        """Return once virtual time has gone on by `seconds`."""
        await asyncio.sleep(seconds)
