"""From a reply to the wire: the ordinary way, and each fault's own."""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from email.utils import formatdate

from aiohttp import web

from .calls import Record
from .clock import Clock
from .faults import FORGED, Fault, distort, forge
from .replies import Reply

__all__ = ["Background", "Exchange", "deliver"]


class Background:
    """Tasks that outlive the request that caused them, until the server ends."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[None, None, None]) -> None:
        """Run `work` beside the requests."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

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
        request: The request.
        record: Its entry in the book of calls.
        act: Lets the service act on it and returns the true reply.
        clock: What waits.
        background: Where a late action runs.
    """

    request: web.Request
    record: Record
    act: Callable[[], Reply]
    clock: Clock
    background: Background

    async def send(self, reply: Reply) -> web.StreamResponse:
        """Answer with a reply."""
        response = web.Response(
            status=reply.status, body=reply.payload or None, headers=self._headers(reply)
        )
        self.record.status = reply.status
        self.record.code = reply.code
        return response

    async def stream(self, reply: Reply, *, upto: int, interval: float) -> web.StreamResponse:
        """Answer with the first `upto` bytes of a reply, `interval` seconds before each."""
        response = web.StreamResponse(status=reply.status, headers=self._headers(reply))
        response.content_length = len(reply.payload)
        self.record.status = reply.status
        self.record.code = reply.code
        await response.prepare(self.request)
        step = upto if interval == 0 else 1
        for at in range(0, upto, max(step, 1)):
            await self.clock.sleep(interval)
            await response.write(reply.payload[at : min(at + step, upto)])
        return response

    def hang_up(self, *, reset: bool) -> web.StreamResponse:
        """Close the connection in place of an answer."""
        transport = self.request.transport
        if transport is not None:
            if reset:
                linger = struct.pack("ii", 1, 0)
                connection: socket.socket = transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                transport.abort()
            else:
                transport.close()
        return web.Response()  # aiohttp wants one, and finds nobody to send it to

    def _headers(self, reply: Reply) -> dict[str, str]:
        headers = {"Date": formatdate(self.clock.now(), usegmt=True), **reply.headers}
        if reply.content_type is not None:
            headers["Content-Type"] = reply.content_type
        return headers


async def deliver(exchange: Exchange, fault: Fault | None) -> web.StreamResponse:
    """Answer a request, or do to it what the fault says."""
    if fault is None:
        return await exchange.send(exchange.act())
    await exchange.clock.sleep(fault.delay)
    if fault.fault in FORGED:
        if fault.act:
            exchange.act()
        return await exchange.send(forge(fault))
    match fault.fault:
        case "drop_before":
            return exchange.hang_up(reset=fault.reset)
        case "drop_after":
            exchange.act()
            return exchange.hang_up(reset=fault.reset)
        case "late":
            exchange.background.start(_act_late(exchange, fault.after))
            await exchange.clock.sleep(fault.hold)
            return exchange.hang_up(reset=fault.reset)
        case "drip":
            reply = exchange.act()
            return await exchange.stream(reply, upto=len(reply.payload), interval=fault.interval)
        case "cut":
            reply = exchange.act()
            await exchange.stream(reply, upto=len(reply.payload) // 2, interval=0)
            return exchange.hang_up(reset=fault.reset)
        case _:
            return await exchange.send(distort(fault, exchange.act()))


async def _act_late(exchange: Exchange, after: float) -> None:
    await exchange.clock.sleep(after)
    exchange.act()
