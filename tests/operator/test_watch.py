"""kube/watch.py against a real API server, through a proxy that makes Kopf fail."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from scriptix_operator.api.names import PLURAL
from scriptix_operator.kube.connection import configure, connect
from scriptix_operator.kube.watch import Watch
from scriptix_operator.telemetry.health import Problems
from tests.controlplane.cluster import ControlPlane
from tests.crash.proxy import Proxy, proxied
from tests.operator.lab import TIMEOUT, Lab

Refusal = Callable[[web.Request], int | None]

ERROR = {
    "type": "ERROR",
    "object": {"kind": "Status", "status": "Failure", "code": 500, "message": "of the proxy"},
}


@dataclass
class Watching:
    """A running watch, what it has seen, and the proxy that it goes through."""

    watch: Watch
    proxy: Proxy
    problems: Problems
    names: set[str] = field(default_factory=set)
    beats: int = 0

    def sink(self, _kind: str | None, raw: dict[str, Any]) -> None:
        """Note what was seen."""
        self.names.add(raw["metadata"]["name"])

    def beat(self) -> None:
        """Count the signs of life."""
        self.beats += 1

    async def sees(self, name: str) -> None:
        """Wait until a resource was seen."""
        await self.until(lambda: name in self.names)

    async def open(self, count: int = 1) -> None:
        """Wait until so many streams are open."""
        await self.until(lambda: len(self.proxy.watches) == count)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until this is so."""
        async with asyncio.timeout(TIMEOUT):
            while not holds():  # noqa: ASYNC110 - it is asked, it does not tell
                await asyncio.sleep(0.02)


@asynccontextmanager
async def watching(
    cluster: ControlPlane, directory: Path, *namespaces: str
) -> AsyncIterator[Watching]:
    async with proxied(cluster, directory) as proxy:
        configuration = await configure({"KUBECONFIG": str(proxy.kubeconfig)})
        problems = Problems()
        async with connect(configuration) as api, Watch(api, namespaces, problems) as watch:
            made = Watching(watch, proxy, problems)
            running = asyncio.create_task(watch.run(made.sink, made.beat))
            try:
                yield made
                assert not running.done()
            finally:
                running.cancel()
                await asyncio.wait([running])


@pytest.fixture
async def made(lab: Lab, cluster: ControlPlane, tmp_path: Path) -> AsyncIterator[Watching]:
    async with watching(cluster, tmp_path, lab.namespace) as running:
        await running.open()
        yield running


def refuse_requests(status: int, count: int, *, only_watch: bool = False) -> Refusal:
    """Refuse this many requests for trainings."""
    left = count

    def refuse(request: web.Request) -> int | None:
        nonlocal left
        matches = request.path.endswith(f"/{PLURAL}") and request.method == "GET"
        if not left or not matches or (only_watch and "watch" not in request.query):
            return None
        left -= 1
        return status

    return refuse


async def test_watch_restarts_after_error_event(made: Watching, lab: Lab) -> None:
    await made.proxy.add(ERROR)
    await made.until(lambda: made.problems.outstanding() != [])
    await lab.train("next", 901)
    await made.sees("next")
    await made.until(lambda: made.problems.outstanding() == [])


async def test_watch_restarts_after_404_on_reconnect(made: Watching, lab: Lab) -> None:
    made.proxy.refuse = refuse_requests(404, 1, only_watch=True)
    await close_streams(made)
    await made.until(lambda: made.problems.outstanding() != [])
    assert "404" in made.problems.outstanding()[0].text
    await lab.train("next", 901)
    await made.sees("next")


async def close_streams(made: Watching) -> None:
    """End the streams as the API server does at their time-out."""
    for stream in made.proxy.watches.copy():
        await stream.write_eof()
        made.proxy.watches.discard(stream)
