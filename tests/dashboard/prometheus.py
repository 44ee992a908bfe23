"""A Prometheus that scrapes one operator each second, and answers queries."""

import asyncio
import json
import math
import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from tests.dashboard.panels import JOB
from tests.operator.process import TIMEOUT
from tests.tether import tethered

__all__ = ["Prometheus", "Series", "scraping"]

PORT = re.compile(r"Listening on.* address=127\.0\.0\.1:([1-9][0-9]*)")

Found = dict[str, Any]
"""A series in a reply, in the form that Prometheus documents."""


@dataclass(frozen=True)
class Series:
    """A series of a result: times and finite values."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    client: httpx.AsyncClient

    async def at(self, expression: str, time: float) -> list[Series]:
        """The result at an instant; series without a finite value are left out."""
        found = await self._get("query", query=expression, time=str(time))
        return _finite({**one, "values": [one["value"]]} for one in found)

    async def over(self, expression: str, begin: float, end: float) -> list[Series]:
        """The result over a time, each second."""
        found = await self._get(
            "query_range", query=expression, start=str(begin), end=str(end), step="1"
        )
        return _finite(found)

    async def until(self, expression: str) -> float:
        """Wait until an expression has a result; return the time of it."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                found = await self._get("query", query=expression)
                if found:
                    return float(found[0]["value"][0])
                await asyncio.sleep(0.2)

    async def _get(self, path: str, **parameters: str) -> list[Found]:
        reply = await self.client.get(f"/api/v1/{path}", params=parameters)
        assert reply.is_success, f"{parameters}: {reply.text}"
        result: list[Found] = reply.json()["data"]["result"]
        return result


def _finite(found: Iterable[Found]) -> list[Series]:
    series = []
    for one in found:
        points = tuple((float(at), float(value)) for at, value in one["values"])
        points = tuple(point for point in points if math.isfinite(point[1]))
        if points:
            series.append(Series(one["metric"], points))
    return series


@asynccontextmanager
async def scraping(program: Path, target: str, directory: Path) -> AsyncIterator[Prometheus]:
    """Run a Prometheus on a free port.

    Args:
        program: The executable.
        target: Host and port of the operator.
        directory: For its configuration, data and log.
    """
    log = directory / "prometheus.log"
    command = _command(program, target, directory)
    with _written(log) as output:
        process = await asyncio.create_subprocess_exec(
            *tethered(command), stdout=output, stderr=output
        )
    try:
        url = f"http://127.0.0.1:{await _port(log, process)}"
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=TIMEOUT) as client:
            yield Prometheus(client)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def _command(program: Path, target: str, directory: Path) -> list[str]:
    """The command line; its configuration is written."""
    directory.mkdir()
    job = {"job_name": JOB, "static_configs": [{"targets": [target]}]}
    interval = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    config = directory / "prometheus.yml"
    config.write_text(json.dumps({"global": interval, "scrape_configs": [job]}))
    return [
        str(program),
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]


async def _port(log: Path, process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(TIMEOUT):
        while True:
            lines = _read(log)
            if found := PORT.search(lines):
                return found[1]
            assert process.returncode is None, lines
            await asyncio.sleep(0.05)


def _written(log: Path) -> BinaryIO:
    return log.open("wb")


def _read(log: Path) -> str:
    return log.read_text()
