"""From a call to the delivery that the client gets, with and without a fault.

A delivery is a value. `app` applies it to a socket, `inprocess` works without one.
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
    """Send a reply.

    Attributes:
        reply: The reply, with all headers of the service.
    """

    reply: Reply


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the connection in place of a reply.

    Attributes:
        reset: With RST, not with FIN.
    """

    reset: bool


@dataclass(frozen=True, slots=True)
class Stream:
    """Send a reply piece by piece, and perhaps not completely.

    Attributes:
        reply: As for `Send`; its head has the length of the complete body.
        upto: Bytes of the body that are sent.
        interval: Seconds before each byte; 0: all bytes at once.
        end: How the connection ends after the bytes; None: the connection continues.
    """

    reply: Reply
    upto: int
    interval: float
    end: HangUp | None = None

    async def pieces(self, clock: Clock) -> AsyncIterator[bytes]:
        """Yield the pieces of the body, each when it is due on the clock."""
        step = self.upto if self.interval == 0 else 1
        for at in range(0, self.upto, max(step, 1)):
            await clock.sleep(self.interval)
            yield self.reply.payload[at : min(at + step, self.upto)]


Delivery = Send | HangUp | Stream
"""The result of a request."""


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
    """One request on its way to a reply.

    Attributes:
        record: The record of the call.
        act: Lets the service act on the request and returns the true reply.
        clock: The clock that delays and dates replies.
        background: Where a late action runs.
    """

    record: Record
    act: Callable[[], Reply]
    clock: Clock
    background: Background

    def answer(self, reply: Reply) -> Reply:
        """Record that a reply is sent, and return the reply with its date."""
        self.record.status = reply.status
        self.record.code = reply.code
        headers = {"Date": formatdate(self.clock.now(), usegmt=True), **reply.headers}
        if reply.content_type is not None:
            headers["Content-Type"] = reply.content_type
        return replace(reply, headers=headers)


async def deliver(exchange: Exchange, fault: Fault | None) -> Delivery:
    """Return the delivery of a request, with the fault applied."""
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
