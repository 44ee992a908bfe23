"""From a call to what the client gets: the ordinary way, and each fault's own.

The result is a value. `app` carries it out on a socket, `inprocess` without one.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import TypeVar

from .calls import Record
from .clock import Clock
from .faults import FORGED, Fault, distort, forge
from .replies import Reply

__all__ = ["Background", "Delivery", "Exchange", "HangUp", "Send", "Stream", "deliver"]

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Send:
    """Answer with a reply.

    Attributes:
        reply: The reply, with all headers that the service gives it.
    """

    reply: Reply


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the connection in place of an answer.

    Attributes:
        reset: With RST, not with FIN.
    """

    reset: bool


@dataclass(frozen=True, slots=True)
class Stream:
    """Answer with a reply piece by piece, and perhaps not to its end.

    Attributes:
        reply: As for `Send`; its head tells the length of the whole.
        upto: Bytes of its body that are sent.
        interval: Seconds before each byte; 0: all of them at once.
        end: What comes after them; None: the connection goes on.
    """

    reply: Reply
    upto: int
    interval: float
    end: HangUp | None = None

    async def pieces(self, clock: Clock) -> AsyncIterator[bytes]:
        """Yield the body's pieces, each when its time has come on the clock."""
        step = self.upto if self.interval == 0 else 1
        for at in range(0, self.upto, max(step, 1)):
            await clock.sleep(self.interval)
            yield self.reply.payload[at : min(at + step, self.upto)]


Delivery = Send | HangUp | Stream
"""What becomes of a request."""


class Background:
    """Tasks that outlive the request that caused them, until the server ends."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[object]] = set()

    def start(self, work: Coroutine[None, None, _Result]) -> asyncio.Task[_Result]:
        """Run `work` beside the requests."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def cancel(self) -> None:
        """End all tasks and wait for them."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request on its way to an answer.

    Attributes:
        record: Its entry in the book of calls.
        act: Lets the service act on it and returns the true reply.
        clock: What waits, and dates the replies.
        background: Where a late action runs.
    """

    record: Record
    act: Callable[[], Reply]
    clock: Clock
    background: Background

    def answer(self, reply: Reply) -> Reply:
        """Note that a reply is sent, and return it with its date."""
        self.record.status = reply.status
        self.record.code = reply.code
        headers = {"Date": formatdate(self.clock.now(), usegmt=True), **reply.headers}
        if reply.content_type is not None:
            headers["Content-Type"] = reply.content_type
        return replace(reply, headers=headers)


async def deliver(exchange: Exchange, fault: Fault | None) -> Delivery:
    """Return the answer to a request, or do to it what the fault says."""
    if fault is None:
        return Send(exchange.answer(exchange.act()))
    await exchange.clock.sleep(fault.delay)
    if fault.fault in FORGED:
        if fault.act:
            exchange.act()
        return Send(exchange.answer(forge(fault)))
    match fault.fault:
        case "drop_before":
            return HangUp(fault.reset)
        case "drop_after":
            exchange.act()
            return HangUp(fault.reset)
        case "late":
            exchange.background.start(_act_late(exchange, fault.after))
            await exchange.clock.sleep(fault.hold)
            return HangUp(fault.reset)
        case "drip":
            reply = exchange.answer(exchange.act())
            return Stream(reply, len(reply.payload), fault.interval)
        case "cut":
            reply = exchange.answer(exchange.act())
            return Stream(reply, len(reply.payload) // 2, 0, HangUp(fault.reset))
        case _:
            return Send(exchange.answer(distort(fault, exchange.act())))


async def _act_late(exchange: Exchange, after: float) -> None:
    await exchange.clock.sleep(after)
    exchange.act()
