"""A proxy before the API server that refuses or delays requests, loses a reply, or changes a watch.

The proxy speaks plain http on loopback and forwards requests as administrator, watches included.
"""

import asyncio
import json
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

import aiohttp
import yaml
from aiohttp import web

from scriptix_operator.api.names import PLURAL
from tests.controlplane.cluster import ControlPlane

__all__ = ["MISHAPS", "Mishap", "Proxy", "Write", "proxied", "proxied_as"]

Mishap = Literal["500", "409", "reply lost"]
MISHAPS: tuple[Mishap, ...] = ("500", "409", "reply lost")

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "authorization"}
REASONS = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    500: "InternalError",
    503: "ServiceUnavailable",
}


@dataclass(frozen=True, slots=True)
class Write:
    """A request that changes an object, named by its path and its number among equal requests."""

    name: str
    at: float = field(default=0.0, compare=False)
    """CLOCK_MONOTONIC when the request arrived."""


@dataclass(slots=True)
class Proxy:
    """A proxy: the requests that it has seen, and the write that it fails.

    Args:
        kubeconfig: The kubeconfig for clients of the proxy.
        failed: The write that fails, once.
        mishap: How that write fails.
        on_request: Called with each request before it is forwarded.
        refuse: Returns the status with which a request is refused, or None.
    """

    kubeconfig: Path
    server: str
    headers: Mapping[str, str]
    session: aiohttp.ClientSession
    failed: Write | None = None
    mishap: Mishap = "500"
    on_request: Callable[[web.Request], None] = lambda _: None
    refuse: Callable[[web.Request], int | None] = lambda _: None
    watches: dict[web.StreamResponse, str] = field(default_factory=dict)
    """The open watch streams of trainings, and their namespaces; an empty one is for all."""
    silent: set[web.StreamResponse] = field(default_factory=set)
    """The watch streams that stay open and deliver nothing more."""
    delay: float = 0.0
    """Seconds that each request waits before it is forwarded."""
    writes: list[Write] = field(default_factory=list)
    _counts: Counter[str] = field(default_factory=Counter)

    @property
    def is_failed(self) -> bool:
        """Whether the write that has to fail has arrived."""
        return self.failed in self.writes

    def fail_write(self, write: Write | None, mishap: Mishap = "500") -> None:
        """Restart the counts, and fail this write."""
        self.writes.clear()
        self._counts.clear()
        self.failed, self.mishap = write, mishap

    async def add(self, event: Mapping[str, object]) -> None:
        """Send an event on all watch streams."""
        for stream in tuple(self.watches):
            await stream.write(json.dumps(event).encode() + b"\n")

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Forward a request, and stream its reply back."""
        self.on_request(request)
        await asyncio.sleep(self.delay)
        if (status := self.refuse(request)) is not None:
            return _refusal(status)
        if request.method in {"GET", "HEAD", "OPTIONS"}:
            return await self._forward(request)
        name = f"{request.method} {_subject(request.path)}"
        self._counts[name] += 1
        write = Write(f"{name} #{self._counts[name]}", time.monotonic())
        self.writes.append(write)
        if write != self.failed:
            return await self._forward(request)
        if self.mishap != "reply lost":
            return _refusal(int(self.mishap))
        async with self._answer(request) as answer:
            await answer.read()
        if request.transport is not None:
            request.transport.abort()
        return web.Response()  # aiohttp requires a response; the connection is closed already

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        async with self._answer(request) as answer:
            response = web.StreamResponse(status=answer.status, headers=_kept(answer.headers))
            await response.prepare(request)
            if "watch" in request.query and answer.ok and request.path.endswith(f"/{PLURAL}"):
                namespace = request.path.partition("/namespaces/")[2].partition("/")[0]
                self.watches[response] = namespace
            try:
                async for part in answer.content.iter_any():
                    if response not in self.silent:
                        await response.write(part)
                await response.write_eof()
            finally:
                self.watches.pop(response, None)
            return response

    @asynccontextmanager
    async def _answer(self, request: web.Request) -> AsyncIterator[aiohttp.ClientResponse]:
        async with self.session.request(
            request.method,
            self.server + request.path_qs,
            headers={**_kept(request.headers), **self.headers},
            data=await request.read() or None,
        ) as answer:
            yield answer


P = TypeVar("P", bound=Proxy)


def proxied(control_plane: ControlPlane, directory: Path) -> AbstractAsyncContextManager[Proxy]:
    """Run a proxy for the duration of the block."""
    return proxied_as(Proxy, control_plane, directory)


@asynccontextmanager
async def proxied_as(
    kind: type[P], control_plane: ControlPlane, directory: Path
) -> AsyncIterator[P]:
    """Run a proxy for the duration of the block."""
    trusted = ssl.create_default_context(
        cafile=str(control_plane.directory / "certs" / "apiserver.crt")
    )
    kubeconfig = directory / "kubeconfig"
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=trusted, limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
    ) as session:
        headers = {"Authorization": control_plane.api.headers["Authorization"]}
        server = str(control_plane.api.base_url).rstrip("/")
        proxy = kind(kubeconfig, server, headers, session)
        app = web.Application(client_max_size=0)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True
        )
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            kubeconfig.write_text(_kubeconfig(runner.addresses[0][1]), encoding="utf-8")
            yield proxy
        finally:
            await runner.cleanup()


def _kubeconfig(port: int) -> str:
    name = "proxied"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": name, "user": {"token": "the proxy has its own"}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return yaml.safe_dump(document)


def _subject(path: str) -> str:
    """The resource and name in a path, without API group, version and namespace."""
    return path.partition("/namespaces/")[2].partition("/")[2] or path


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}


def _refusal(status: int) -> web.Response:
    """A Status as the API server gives it."""
    document = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "message": "refused by the proxy",
        "reason": REASONS[status],
        "code": status,
    }
    return web.Response(status=status, text=json.dumps(document), content_type="application/json")
