"""Logs are read while they arrive, large ones one at a time."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import groupby

import httpx
import pytest

from scriptix_operator.core.model.remote import CallFailure, LogEntry, LogReply
from scriptix_operator.scriptix import AmbiguousError, ScriptixClient, Timeouts
from scriptix_operator.scriptix.client import MAX_CONNECTIONS
from scriptix_operator.scriptix.logstream import SMALL, LogStreams
from tests.scriptix.calls import KEY, MODEL, failure_of, fetched_log
from tests.scriptix.rawserver import Ending, raw_server, reply

HOUR = 3600.0
PIECE = 64 * 1024
ENTRY = json.dumps({"message": "x" * 100}).encode()


def large_log(size: int = 3 * SMALL) -> bytes:
    """A log of at least `size` bytes."""
    return b'{"log_entries": [' + b",".join([ENTRY] * (size // len(ENTRY) + 1)) + b"]}"


async def until(is_true: Callable[[], bool]) -> None:
    """Return once the condition is true."""
    async with asyncio.timeout(30):
        while not is_true():  # noqa: ASYNC110 - it becomes true in a worker thread
            await asyncio.sleep(0.001)


Reading = asyncio.Task[LogReply | CallFailure]


@dataclass
class Body(httpx.AsyncByteStream):
    """The body of a reply; its last piece follows once it is released."""

    data: bytes
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self.data), PIECE):
            if at + PIECE >= len(self.data):
                await self.released.wait()
            yield self.data[at : at + PIECE]


@dataclass
class Fetch:
    """One log that is being read."""

    streams: LogStreams
    body: Body
    total: float = HOUR
    order: list["Fetch"] = field(default_factory=list)
    """The log of each added entry, of this and other logs."""
    added: int = 0
    deadline: asyncio.Timeout | None = None

    def add(self, _: LogEntry) -> None:
        """Record an entry."""
        self.added += 1
        self.order.append(self)

    @property
    def is_being_read(self) -> bool:
        """Whether more of this log was read than of a waiting log."""
        return self.added * len(ENTRY) > SMALL + 2 * PIECE

    @property
    def waits(self) -> bool:
        """Whether the deadline is paused."""
        return self.deadline is not None and self.deadline.when() is None

    async def read(self) -> LogReply | CallFailure:
        """Read the log."""
        response = httpx.Response(200, stream=self.body)
        async with asyncio.timeout(self.total) as self.deadline:
            return await self.streams.read(
                response, self.deadline, model_id=MODEL, redact=str, add=self.add
            )


async def test_entries_are_added_while_the_reply_is_read() -> None:
    fetch = Fetch(LogStreams(), Body(large_log()))
    reading = asyncio.create_task(fetch.read())
    await until(lambda: fetch.added > 2 * SMALL // len(ENTRY))
    fetch.body.released.set()
    assert await reading == LogReply(fetch.added, None)


async def test_large_logs_are_read_one_at_a_time() -> None:
    streams, order = LogStreams(), list[Fetch]()
    fetches = [Fetch(streams, Body(large_log()), order=order) for _ in range(3)]
    for fetch in fetches:
        fetch.body.released.set()
    await asyncio.gather(*(fetch.read() for fetch in fetches))
    beginning = SMALL // len(ENTRY)
    seen = dict.fromkeys(map(id, fetches), 0)
    being_read = []
    for fetch in order:
        seen[id(fetch)] += 1
        if seen[id(fetch)] > beginning:
            being_read.append(id(fetch))
    assert len([one for one, _ in groupby(being_read)]) == 3


async def test_timeout_of_a_waiting_log_is_paused() -> None:
    streams = LogStreams()
    first, second = Fetch(streams, Body(large_log())), Fetch(streams, Body(large_log()))
    reading = asyncio.create_task(first.read())
    await until(lambda: first.is_being_read)
    waiting = asyncio.create_task(second.read())
    await until(lambda: second.waits)
    assert not first.waits
    first.body.released.set()
    await reading
    await until(lambda: second.is_being_read)
    assert not second.waits
    second.body.released.set()
    await waiting
    assert second.deadline is not None
    left = second.deadline.when()
    assert left is not None
    assert asyncio.get_running_loop().time() < left < asyncio.get_running_loop().time() + HOUR


async def test_small_log_is_read_beside_a_large_one() -> None:
    streams = LogStreams()
    first, small = Fetch(streams, Body(large_log())), Fetch(streams, Body(large_log(SMALL // 2)))
    reading = asyncio.create_task(first.read())
    await until(lambda: first.is_being_read)
    small.body.released.set()
    assert await small.read() == LogReply(small.added, None)
    assert not reading.done()
    first.body.released.set()
    await reading


async def _cancelled(_: Fetch, reading: Reading) -> None:
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def _broken_off(fetch: Fetch, reading: Reading) -> None:
    fetch.body.data = large_log()[:-2]
    fetch.body.released.set()
    assert isinstance(await reading, CallFailure)


async def _timed_out(fetch: Fetch, reading: Reading) -> None:
    assert fetch.deadline is not None
    fetch.deadline.reschedule(asyncio.get_running_loop().time())
    with pytest.raises(TimeoutError):
        await reading


End = Callable[[Fetch, Reading], Awaitable[None]]


@pytest.mark.parametrize("end", [_cancelled, _broken_off, _timed_out])
async def test_failed_large_log_lets_the_next_one_begin(end: End) -> None:
    streams = LogStreams()
    first, second = Fetch(streams, Body(large_log())), Fetch(streams, Body(large_log()))
    reading = asyncio.create_task(first.read())
    await until(lambda: first.is_being_read)
    waiting = asyncio.create_task(second.read())
    await until(lambda: second.waits)
    await end(first, reading)
    second.body.released.set()
    assert await waiting == LogReply(second.added, None)


@pytest.mark.parametrize("end", [_cancelled, _timed_out])
async def test_large_log_that_fails_while_waiting_blocks_no_other(end: End) -> None:
    streams = LogStreams()
    first, second, third = (Fetch(streams, Body(large_log())) for _ in range(3))
    reading = asyncio.create_task(first.read())
    await until(lambda: first.is_being_read)
    waiting = asyncio.create_task(second.read())
    await until(lambda: second.waits)
    await end(second, waiting)
    for fetch in (first, third):
        fetch.body.released.set()
    await reading
    assert await third.read() == LogReply(third.added, None)


async def test_polls_continue_while_large_logs_wait() -> None:
    """Cancelled logs free their connections."""
    body = large_log()
    answers = {
        b"/log ": (reply(body=body[:-1], length=len(body)), Ending.HANG),
        b"/7 ": (reply(body=b'{"id": 7, "training_status": 3}'), Ending.KEEP),
    }
    async with (
        raw_server(lambda request: next(answers[p] for p in answers if p in request)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        logs = [asyncio.create_task(fetched_log(client)) for _ in range(MAX_CONNECTIONS)]
        await server.received(MAX_CONNECTIONS)
        assert (await client.model(MODEL, KEY)).training_status == 3
        for task in logs:
            task.cancel()
        await asyncio.gather(*logs, return_exceptions=True)
        answers[b"/log "] = reply(body=body), Ending.KEEP
        assert len(await fetched_log(client)) == body.count(b"message")


async def test_a_stuck_log_times_out_and_the_next_one_is_read() -> None:
    body = large_log()
    stuck = reply(body=body[:-1], length=len(body))
    answers = [(stuck, Ending.HANG), (reply(body=body), Ending.KEEP)]
    async with (
        raw_server(lambda _: answers.pop(0)) as server,
        ScriptixClient(base_url=server.url, timeouts=Timeouts(log_total=8)) as client,
    ):
        first = asyncio.create_task(failure_of(fetched_log(client), AmbiguousError))
        await server.received(1)
        entries = await fetched_log(client)
        failure = await first
    assert len(entries) == body.count(b"message")
    assert (failure.message, failure.status) == ("no whole reply within 8 s", 200)
