"""The virtual loop: time advances without waiting, and a deadlock is reported."""

import asyncio
import contextlib
import gc
import socket
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta

import pytest

from scriptix_operator.engine.clock import Clock
from tests.virtual.loop import (
    EPOCH,
    TICKS,
    DeadlockError,
    VirtualClock,
    VirtualLoop,
    boottime,
    run_virtually,
    wall,
)

DAY = 86_400.0


@pytest.mark.parametrize("seconds", [0.0, 1e-6, 0.1, 30.0, DAY, DAY + 1, 1000 * DAY])
def test_sleep_of_any_length_ends_on_time_without_waiting(seconds: float) -> None:
    # In real time, the longer sleeps would exceed the time limit of the test.
    async def main() -> float:
        await asyncio.sleep(seconds)
        return boottime()

    assert run_virtually(main) == seconds


def test_shorter_sleep_ends_first() -> None:
    ended_sleeps = []

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds)
        ended_sleeps.append((seconds, boottime()))

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for seconds in (3, 0.5, 2, 0.25):
                group.create_task(sleep(seconds))

    run_virtually(main)
    assert ended_sleeps == [(0.25, 0.25), (0.5, 0.5), (2, 2), (3, 3)]


def test_time_stands_still_while_a_task_is_ready() -> None:
    async def main() -> float:
        sleep = asyncio.create_task(asyncio.sleep(1))
        for _ in range(1000):
            await asyncio.sleep(0)
        assert not sleep.done()
        return boottime()

    assert run_virtually(main) == 0


@pytest.mark.parametrize(("limit", "ended"), [(4.0, 4.0), (5.5, 5.0)])
def test_time_out_expires_on_time_or_not_at_all(limit: float, ended: float) -> None:
    async def main() -> float:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit):
                await asyncio.sleep(5)
        return boottime()

    assert run_virtually(main) == ended


def test_semaphore_limits_concurrency() -> None:
    async def main() -> list[float]:
        places, ended = asyncio.Semaphore(2), []

        async def work() -> None:
            async with places:
                await asyncio.sleep(10)
                ended.append(boottime())

        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(work())
        return ended

    assert run_virtually(main) == [10, 10, 20, 20, 30]


def _in_thread(work: Callable[[], object]) -> Awaitable[object]:
    return asyncio.to_thread(work)


def _in_executor(work: Callable[[], object]) -> Awaitable[object]:
    return asyncio.get_running_loop().run_in_executor(None, work)


WAYS = pytest.mark.parametrize("off_loop", [_in_thread, _in_executor])
OffLoop = Callable[[Callable[[], object]], Awaitable[object]]


@WAYS
def test_thread_work_runs_inline(off_loop: OffLoop) -> None:
    async def main() -> tuple[object, float]:
        sleep = asyncio.create_task(asyncio.sleep(1))
        ran_in = await off_loop(threading.get_ident)
        assert not sleep.done()
        return ran_in, boottime()

    assert run_virtually(main) == (threading.get_ident(), 0)


@WAYS
def test_error_of_thread_work_is_raised_at_its_await(off_loop: OffLoop) -> None:
    def fail() -> None:
        raise LookupError("lost")

    async def main() -> None:
        outcome = off_loop(fail)
        with pytest.raises(LookupError, match="lost"):
            await outcome

    run_virtually(main)


def test_thread_work_has_the_context_of_its_caller() -> None:
    name = ContextVar("name", default="none")

    async def main() -> str:
        name.set("caller")
        return await asyncio.to_thread(name.get)

    assert run_virtually(main) == "caller"


def test_no_thread_is_ever_started() -> None:
    async def main() -> None:
        await asyncio.to_thread(int)

    before = threading.enumerate()
    started = []
    threading.setprofile(lambda *_: started.append(threading.current_thread()))
    try:
        run_virtually(main)
    finally:
        threading.setprofile(None)
    assert (threading.enumerate(), started) == (before, [])


async def _wait_for_nothing() -> None:
    await asyncio.Event().wait()


async def _wait_within_no_time_limit() -> None:
    try:
        async with asyncio.timeout(None):
            await asyncio.Event().wait()
    except TimeoutError:
        return


async def _wait_for_each_other() -> None:
    first, second = asyncio.Lock(), asyncio.Lock()

    async def take(one: asyncio.Lock, other: asyncio.Lock) -> None:
        async with one:
            await asyncio.sleep(1)
            async with other:
                pass

    async with asyncio.TaskGroup() as group:
        group.create_task(take(first, second))
        group.create_task(take(second, first))


async def _wait_for_a_silent_socket() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(0)
        await asyncio.get_running_loop().sock_recv(ours, 1)


@pytest.mark.parametrize(
    ("main", "message"),
    [
        (_wait_for_nothing, "at 0 s .*\n.*_wait_for_nothing"),
        (_wait_within_no_time_limit, "at 0 s .*\n.*_wait_within_no_time_limit"),
        (_wait_for_each_other, r"at 1 s (.*\n)+.*take.*\n.*take"),
        (_wait_for_a_silent_socket, "at 0 s .*\n.*_wait_for_a_silent_socket"),
    ],
)
def test_deadlock_error_names_the_waiting_tasks(
    main: Callable[[], Coroutine[None, None, None]], message: str
) -> None:
    with pytest.raises(DeadlockError, match=message):
        run_virtually(main)


def test_after_a_deadlock_all_tasks_are_cancelled() -> None:
    ended = []

    async def main() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(1)
            ended.append("main")

    with pytest.raises(DeadlockError):
        run_virtually(main)
    assert ended == ["main"]


def test_others_may_wait_forever_once_the_main_task_is_done() -> None:
    async def main() -> str:
        others = [asyncio.create_task(_wait_for_nothing()) for _ in range(2)]
        await asyncio.sleep(0)
        return f"{len(others)} wait"

    assert run_virtually(main) == "2 wait"


FAR = pytest.mark.parametrize("far", [0.0, 1e7, 3e7, 1e9])
"""Seconds; at the largest one the resolution of a float is a ten-millionth."""


@FAR
def test_short_sleeps_are_exact_far_from_the_beginning(far: float) -> None:
    async def main() -> float:
        await asyncio.sleep(far)
        for _ in range(100):
            await asyncio.sleep(0.1)
        return boottime()

    assert run_virtually(main) == far + 10


@FAR
@pytest.mark.parametrize("delay", [1e-300, 1e-9, 1 / TICKS])
def test_shortest_sleep_advances_time_by_one_tick(far: float, delay: float) -> None:
    async def main() -> None:
        await asyncio.sleep(far)
        begun = boottime()
        await asyncio.sleep(delay)
        assert round((boottime() - begun) * TICKS) == 1

    run_virtually(main)


@FAR
@pytest.mark.parametrize("wait", [1 / 3, 0.1 + 0.2, 0.1 * 3, 2.675, 1e-4])
def test_sleep_until_an_instant_ends_at_it(far: float, wait: float) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(far)
        due = loop.time() + wait
        sleeps = 0
        while loop.time() < due:
            await asyncio.sleep(due - loop.time())
            sleeps += 1
            assert sleeps <= 2
        assert loop.time() - due < 2 / TICKS

    run_virtually(main)


def test_a_timer_in_the_past_is_due_at_once() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(10)
        due = asyncio.Event()
        loop.call_at(3, due.set)
        await due.wait()
        loop.call_later(-1, due.set)
        return loop.time()

    assert run_virtually(main) == 10


def test_ready_socket_is_served_before_time_advances() -> None:
    async def main() -> tuple[bytes, float]:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.settimeout(0)
            loop.call_soon(theirs.send, b"x")
            async with asyncio.timeout(1):
                return await loop.sock_recv(ours, 1), loop.time()

    assert run_virtually(main) == (b"x", 0)


def test_task_group_cancels_tasks_in_creation_order() -> None:
    async def main() -> list[int]:
        cancelled = []
        litter = []

        async def wait(number: int) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.append(number)

        async def fail() -> None:
            await asyncio.sleep(1)
            raise LookupError

        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                for number in range(50):
                    # Allocations scatter the tasks in memory.
                    litter.append(bytearray(number * 7919 % 512))
                    group.create_task(wait(number))
                    if number % 3 == 0:
                        litter.clear()
                group.create_task(fail())
        return cancelled

    assert run_virtually(main) == list(range(50))
    gc.collect()
    assert run_virtually(main) == list(range(50))


def test_all_clocks_show_the_time_of_the_loop() -> None:
    async def main() -> None:
        simulated, ours = VirtualClock(), Clock(wall, boottime)
        assert (simulated.now(), ours.monotonic()) == (EPOCH, 0)
        assert ours.now() == datetime(2025, 1, 16, 8, tzinfo=UTC)
        await simulated.sleep(90)
        assert (simulated.now(), ours.monotonic()) == (EPOCH + 90, 90)
        assert ours.now() == wall() == datetime(2025, 1, 16, 8, 1, 30, tzinfo=UTC)
        await asyncio.sleep(0.000_001)
        assert ours.now() - datetime(2025, 1, 16, 8, 1, 30, tzinfo=UTC) == timedelta(microseconds=1)

    run_virtually(main)


def test_each_loop_begins_at_zero() -> None:
    async def main() -> float:
        begun = boottime()
        await asyncio.sleep(DAY)
        return begun

    assert [run_virtually(main) for _ in range(2)] == [0, 0]
    loop = VirtualLoop()
    assert loop.time() == 0
    loop.close()
