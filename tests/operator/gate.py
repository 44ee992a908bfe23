"""A TCP proxy before the API server that can be shut, or pass requests and no replies.

tests/crash/proxy.py is a proxy that knows requests; TLS passes through this one.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import yaml

from tests.controlplane.cluster import ControlPlane

__all__ = ["Gate"]


@dataclass
class Gate:
    """A proxy on loopback; `target` is the port of the API server."""

    target: int
    port: int = 0
    deaf: bool = False
    is_blocked: bool = False
    """Whether each new connection is closed at once, and noted in `refused`."""
    refused: list[float] = field(default_factory=list)
    """When connections were closed, in monotonic seconds."""
    _has_been_deaf: bool = False
    _server: asyncio.Server | None = None
    _open: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        """The API server through this gate."""
        return f"https://127.0.0.1:{self.port}"

    def kubeconfig(self, cluster: ControlPlane, path: Path) -> Path:
        """Write a kubeconfig for the way through this gate; return `path`."""
        document = yaml.safe_load(cluster.kubeconfig.read_text())
        document["clusters"][0]["cluster"]["server"] = self.url
        path.write_text(yaml.safe_dump(document))
        return path

    async def open(self) -> None:
        """Pass everything."""
        self.deaf = self.is_blocked = False
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Refuse connections and end the existing ones."""
        if self._server is not None:
            self._server.close()
            await self._end_connections()
            await self._server.wait_closed()
            self._server = None

    async def block(self) -> None:
        """Close each new connection at once, and end the existing ones."""
        self.is_blocked = True
        await self._end_connections()

    def deaf_from_now(self) -> datetime:
        """Return the time, and lose the reply to the first write, which follows at once."""
        self.deaf, self._has_been_deaf = not self._has_been_deaf, True
        return datetime.now(UTC)  # noqa: TID251 - the rim of the test

    async def _end_connections(self) -> None:
        while self._open:
            for writer in self._open:
                writer.transport.abort()
            await asyncio.sleep(0.02)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_blocked:
            self.refused.append(time.monotonic())
            writer.transport.abort()
            return
        try:
            there, onward = await asyncio.open_connection("127.0.0.1", self.target)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._copy(reader, onward, is_reply=False))
                both.create_task(self._copy(there, writer, is_reply=True))
        except* OSError:
            writer.transport.abort()  # as a client sees a server that is gone

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_reply: bool
    ) -> None:
        self._open.add(writer)
        try:
            while data := await reader.read(65536):
                if not (is_reply and self.deaf):
                    writer.write(data)
                    await writer.drain()
        finally:
            writer.transport.abort()
            self._open.discard(writer)
