"""awaits.py: the observer sees each suspension of a coroutine and does not change its result."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from tests.crash.awaits import Itinerary, Watched, own_frames

HERE = Path(__file__)


class Notebook:
    """Records the own functions of each suspension."""

    def __init__(self) -> None:
        self.places: list[list[str]] = []
        self.resumed = 0
        self.ends = 0

    def suspended(self, frames: list[FrameType]) -> None:
        """Record a suspension."""
        self.places.append([frame.f_code.co_name for frame in frames])

    def resuming(self) -> None:
        """Count a resumption."""
        self.resumed += 1

    def ended(self) -> None:
        """Count an end."""
        self.ends += 1


async def pause() -> None:
    await asyncio.sleep(0)


async def watched(work: Coroutine[Any, Any, Any]) -> Notebook:
    notebook = Notebook()
    await Watched(work, notebook, HERE)
    return notebook


async def through_a_context_manager() -> None:
    @asynccontextmanager
    async def opened() -> AsyncIterator[None]:
        await pause()
        yield

    async with opened():
        pass


async def through_an_async_generator() -> None:
    async def produce() -> AsyncIterator[int]:
        await pause()
        yield 1

    async for _ in produce():
        pass


async def through_an_awaitable_object() -> None:
    class Thing:
        def __await__(self) -> Generator[Any, Any, None]:
            return pause().__await__()

    await Thing()


@pytest.mark.parametrize(
    ("work", "way"),
    [
        (pause, ["pause"]),
        (through_a_context_manager, ["through_a_context_manager", "opened", "pause"]),
        (through_an_async_generator, ["through_an_async_generator", "produce", "pause"]),
        (through_an_awaitable_object, ["through_an_awaitable_object", "pause"]),
    ],
)
async def test_suspension_is_seen_with_its_chain_of_awaits(work: Any, way: list[str]) -> None:  # noqa: ANN401
    assert (await watched(work())).places == [way]


async def test_chain_continues_into_an_awaited_task() -> None:
    async def outer() -> None:
        await asyncio.create_task(inner())

    async def inner() -> None:
        await asyncio.sleep(0)
        await pause()

    assert (await watched(outer())).places == [["outer", "inner"]]


async def test_frames_of_other_files_are_left_out() -> None:
    assert (await watched(asyncio.sleep(0))).places == [[]]


async def test_result_and_error_are_not_changed() -> None:
    async def answer() -> int:
        await pause()
        return 42

    async def fail() -> None:
        await pause()
        raise KeyError("as it was")

    notebook = Notebook()
    assert await Watched(answer(), notebook, HERE) == 42
    with pytest.raises(KeyError, match="as it was"):
        await Watched(fail(), notebook, HERE)
    assert notebook.ends == notebook.resumed == 2


async def test_cancellation_reaches_the_coroutine() -> None:
    reached = asyncio.Event()

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            reached.set()
            raise

    async def watch() -> None:
        await Watched(wait(), Notebook(), HERE)

    task = asyncio.create_task(watch())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert reached.is_set()


async def test_time_out_inside_the_coroutine_stays_its_own() -> None:
    async def wait() -> str:
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            return "in time"
        return "never"

    assert await Watched(wait(), Notebook(), HERE) == "in time"


async def test_await_has_visit_number_and_suspension_count() -> None:
    itinerary = Itinerary()
    names: list[tuple[str, int]] = []

    class Noting(Notebook):
        def suspended(self, frames: list[FrameType]) -> None:
            here = itinerary.arrive(frames)
            names.append((here.name.rpartition(" > ")[2], here.suspensions))

    async def twice() -> None:
        await asyncio.sleep(0)
        await pause()
        for _ in range(2):
            await asyncio.sleep(0)
        await pause()

    await Watched(twice(), Noting(), HERE)
    functions = [(name.partition(":")[0], name[-2:], count) for name, count in names]
    assert functions == [
        ("test_awaits.twice", "#1", 1),
        ("test_awaits.pause", "#1", 1),
        ("test_awaits.twice", "#1", 1),
        ("test_awaits.twice", "#1", 2),
        ("test_awaits.pause", "#2", 1),
    ]


async def test_coroutine_without_own_frames_yields_none() -> None:
    work = asyncio.sleep(1)
    assert own_frames(work, HERE) == []
    work.close()
