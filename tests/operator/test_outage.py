"""An API server that is unreachable, when the operator starts or later: the operator waits."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import yaml

from tests.controlplane.cluster import ControlPlane
from tests.operator.lab import Lab


async def test_operator_waits_for_an_unreachable_api_server(
    lab: Lab, cluster: ControlPlane, tmp_path: Path
) -> None:
    lab.model(801)
    await lab.secret()
    await lab.train("patient", 801)
    server = cluster.api.base_url
    # Bound, so that no other process takes the port; connections are refused until it listens.
    away = socket.socket()
    away.bind(("127.0.0.1", 0))
    port = away.getsockname()[1]
    kubeconfig = _kubeconfig(cluster, port, tmp_path)
    operator = await lab.operator({"KUBECONFIG": str(kubeconfig)})
    await operator.printed("the API server is unreachable: ")
    async with httpx.AsyncClient(base_url=await operator.url()) as client:
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 503

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(server.host, server.port)
        await asyncio.gather(_pipe(reader, back), _pipe(there, writer))

    async with await asyncio.start_server(forward, sock=away):
        await lab.until_phase("patient", "Succeeded")
        assert operator.log.count("the API server is unreachable: ") == 1
        assert operator.log.count("the API server is reachable again after ") == 1
        operator.terminate()
        assert await operator.ended() == 0


RESOURCES = range(811, 819)
RUN = 60
"""Hours of a run; 30 s here, so that none has ended when the outage begins."""
TRIALS = 5
"""Refused connections after which the test ends the outage."""


async def test_statuses_are_written_once_the_api_server_is_back(
    lab: Lab, cluster: ControlPlane, tmp_path: Path
) -> None:
    await lab.secret()
    async with _proxy(cluster) as proxy:
        kubeconfig = _kubeconfig(cluster, proxy.port, tmp_path)
        operator = await lab.operator({"KUBECONFIG": str(kubeconfig)}, leader_election="false")
        for number in RESOURCES:
            lab.model(number, duration=RUN)
            await lab.train(f"run-{number}", number, pollIntervalSeconds=1)
        for number in RESOURCES:
            await lab.until_phase(f"run-{number}", "Running")
        before = len(operator.log)
        proxy.cut()
        await operator.printed("the API server is unreachable: ")
        await proxy.refused(TRIALS)
        during = operator.log[before:]
        proxy.restore()
        resumed = await operator.printed(r"resuming after .* unreachable: (\d+) reconciles")
        for number in RESOURCES:
            await lab.until_phase(f"run-{number}", "Succeeded")
        # No resource was retried alone: each has failed at most once, and all were resumed.
        postponed = re.findall(r"reconcile postponed for .*", during)
        assert len(postponed) <= len(RESOURCES)
        assert int(resumed[1]) == len(RESOURCES)
        assert operator.log.count("the API server is unreachable: ") == 1


class _Proxy:
    """A way to the API server that can be cut."""

    def __init__(self, host: str, port: int | None) -> None:
        self._host, self._target = host, port
        self._is_cut = False
        self._open: set[asyncio.StreamWriter] = set()
        self._refused = asyncio.Semaphore(0)
        self.port = 0

    def cut(self) -> None:
        """Close all connections, and refuse new ones."""
        self._is_cut = True
        for writer in self._open:
            writer.transport.abort()

    def restore(self) -> None:
        """Accept connections again."""
        self._is_cut = False

    async def refused(self, count: int) -> None:
        """Wait until so many connections were refused."""
        for _ in range(count):
            await self._refused.acquire()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward a connection, or refuse it."""
        if self._is_cut:
            self._refused.release()
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(self._host, self._target)
        self._open |= {writer, back}
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(_pipe(reader, back), _pipe(there, writer))
        self._open -= {writer, back}


@asynccontextmanager
async def _proxy(cluster: ControlPlane) -> AsyncIterator[_Proxy]:
    server = cluster.api.base_url
    proxy = _Proxy(server.host, server.port)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as listening:
        proxy.port = listening.sockets[0].getsockname()[1]
        yield proxy
        proxy.cut()


def _kubeconfig(cluster: ControlPlane, port: int, directory: Path) -> Path:
    """A kubeconfig with another port."""
    document = yaml.safe_load(cluster.kubeconfig.read_text())
    document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
    path = directory / "other.kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
