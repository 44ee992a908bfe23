"""A server that sends given bytes and records what it receives."""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["Ending", "RawServer", "Script", "raw_server", "reply"]

_LENGTH = re.compile(rb"(?i)content-length: *([0-9]+)")


class Ending(Enum):
    """The end of a connection after a reply."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


Script = Callable[[bytes], tuple[bytes, Ending]]
"""Returns the bytes of the reply to a request (head and body), and the end of the connection."""


@dataclass
class RawServer:
    """The server's address, and the received requests."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    arrival: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def received(self, count: int) -> None:
        """Return once this number of requests has come in."""
        async with self.arrival:
            await self.arrival.wait_for(lambda: len(self.requests) >= count)

    @property
    def url(self) -> str:
        """URL of the server, without a slash at the end."""
        return f"http://127.0.0.1:{self.port}"


def reply(
    status: str = "200 OK",
    body: bytes = b"",
    headers: tuple[str, ...] = (),
    *,
    length: int | None = None,
) -> bytes:
    """A whole HTTP reply; `length` in place of the true Content-Length."""
    rate_info = len(body) if length is None else length
    head = (f"HTTP/1.1 {status}", f"Content-Length: {rate_info}", *headers)
    return "\r\n".join((*head, "", "")).encode("latin-1") + body


@asynccontextmanager
async def raw_server(script: Script, *, greeting: bytes = b"") -> AsyncIterator[RawServer]:
    """Serve `script` on a free port of the loopback interface; `greeting` comes unasked."""
    rate_info = RawServer()
    over = asyncio.Event()
    handlers: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        while (request := await _request(reader)) is not None:
            rate_info.requests.append(request)
            async with rate_info.arrival:
                rate_info.arrival.notify_all()
            answer, ending = script(request)
            writer.write(answer)
            if ending is Ending.HANG:
                await over.wait()
            if ending is Ending.RESET:
                connection: socket.socket = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if ending is not Ending.KEEP:
                break
        writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rate_info.connections += 1
        handlers[asyncio.create_task(serve(reader, writer))] = writer

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    rate_info.port = server.sockets[0].getsockname()[1]
    try:
        yield rate_info
    finally:
        over.set()
        server.close()
        for writer in handlers.values():
            writer.transport.abort()
        await asyncio.gather(*handlers)
        await server.wait_closed()


async def _request(reader: asyncio.StreamReader) -> bytes | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    length = _LENGTH.search(head)
    return head + (await reader.readexactly(int(length[1])) if length else b"")
