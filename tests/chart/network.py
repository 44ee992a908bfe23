"""A company's network: TLS with a CA of its own before the simulator, and a proxy on the way.

The certificate is the test API server's own; it is for 127.0.0.1 and `kubernetes.default.svc`.
The latter does not resolve here, so each connection to it came through the proxy.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["INSIDE", "Network", "network"]

INSIDE = "kubernetes.default.svc"
CHUNK = 65536

Handle = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Network:
    """Addresses of the network, and the recorded traffic.

    Attributes:
        tls_port: Port of the API behind TLS, on loopback.
        proxy_url: URL of the proxy.
        asked: Targets that the proxy was asked to connect to.
        connections: Bytes that were sent on each connection to the API, decrypted.
    """

    tls_port: int = 0
    proxy_url: str = ""
    asked: list[str] = field(default_factory=list)
    connections: list[bytearray] = field(default_factory=list)


@asynccontextmanager
async def network(certificates: Path, api_port: int) -> AsyncIterator[Network]:
    """Serve the network before the API on a loopback port, with apiserver.crt and apiserver.key."""
    made = Network()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificates / "apiserver.crt", certificates / "apiserver.key")

    async def decrypt(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = bytearray()
        made.connections.append(sent)
        await _join(reader, writer, api_port, sent)

    async def tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b" ", 2)
        made.asked.append(f"{method.decode()} {target.decode()}")
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await _join(reader, writer, made.tls_port, bytearray())

    async with AsyncExitStack() as stack:
        made.tls_port = await stack.enter_async_context(_serve(decrypt, context))
        made.proxy_url = f"http://127.0.0.1:{await stack.enter_async_context(_serve(tunnel))}"
        yield made


@asynccontextmanager
async def _serve(handle: Handle, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve on a free port; open connections are closed at the end."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            # Connections end when the other side closes them.
            with suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
                await handle(reader, writer)
        finally:
            tasks.discard(task)
            await _end(writer)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _join(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, sent: bytearray
) -> None:
    """Connect to a port and carry bytes both ways until either side ends; keep what is sent."""
    there, back = await asyncio.open_connection("127.0.0.1", port)

    async def carry(
        source: asyncio.StreamReader, target: asyncio.StreamWriter, kept: bytearray
    ) -> None:
        while chunk := await source.read(CHUNK):
            kept += chunk
            target.write(chunk)
            await target.drain()
        target.close()

    try:
        await asyncio.gather(carry(reader, back, sent), carry(there, writer, bytearray()))
    finally:
        await _end(back)


async def _end(writer: asyncio.StreamWriter) -> None:
    """Close a connection, however it is, before the loop ends."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()
