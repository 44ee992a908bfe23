"""The control plane of a row, whose API server can die and come back, and the objects on it."""

import asyncio
import base64
import os
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from bench.real.procfs import find_child
from scriptix_operator.api.names import API_VERSION, DEFAULT_SECRET, GROUP, KIND, PLURAL, VERSION
from tests.controlplane.cluster import ControlPlane

__all__ = ["Cluster", "MortalControlPlane", "connect"]

API_SERVER = "kube-apiserver"
PARALLEL = 32
"""Requests at a time while objects are created."""
LINE_BYTES = 1 << 20
"""A watch event is one line; aiohttp refuses lines of more than twice this."""
RETRY_SECONDS = 0.05


class MortalControlPlane(ControlPlane):
    """A control plane whose API server alone can be killed and started again."""

    def __init__(self, assets: Path, directory: Path) -> None:
        super().__init__(assets, directory)
        self._flags: dict[str, Sequence[str]] = {}

    def _run(self, name: str, flags: Sequence[str]) -> None:
        self._flags[name] = flags
        super()._run(name, flags)

    def kill_api_server(self) -> None:
        """End the API server at once, as if its machine had failed; etcd keeps the objects."""
        os.kill(find_child(API_SERVER), signal.SIGKILL)
        dead = next(process for process in self._running if process.name == API_SERVER)
        dead.stop()  # reaps it
        self._running.remove(dead)

    def revive_api_server(self) -> None:
        """Start the API server again, with the same address and certificate."""
        self._run(API_SERVER, self._flags[API_SERVER])


class Cluster:
    """The administrator's connection to the API server of a row."""

    def __init__(self, control_plane: ControlPlane, session: aiohttp.ClientSession) -> None:
        self.control_plane = control_plane
        self.session = session

    async def create_namespaces(self, names: Iterable[str]) -> None:
        """Create namespaces."""
        await self._create("/api/v1/namespaces", [{"metadata": {"name": name}} for name in names])

    async def create_secret(self, namespace: str, key: str) -> None:
        """Create the Secret with the API key of a namespace."""
        data = {"api-key": base64.b64encode(key.encode()).decode()}
        body = {"metadata": {"name": DEFAULT_SECRET}, "data": data}
        await self._create(f"/api/v1/namespaces/{namespace}/secrets", [body])

    async def create_trainings(self, wanted: Iterable[tuple[str, str, dict[str, Any]]]) -> None:
        """Create resources: namespace, name and spec of each."""

        def one(namespace: str, name: str, spec: dict[str, Any]) -> Callable[[], Awaitable[None]]:
            body = {
                "apiVersion": API_VERSION,
                "kind": KIND,
                "metadata": {"name": name},
                "spec": spec,
            }
            path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{PLURAL}"
            return lambda: self._create(path, [body])

        await _in_parallel([one(*each) for each in wanted])

    async def _create(self, path: str, bodies: Iterable[dict[str, Any]]) -> None:
        for body in bodies:
            async with self.session.post(path, json=body) as reply:
                if not reply.ok:
                    raise RuntimeError(f"POST {path}: {reply.status} {await reply.text()}")

    async def metrics(self) -> str:
        """Return the API server's own metrics."""
        async with self.session.get("/metrics") as reply:
            reply.raise_for_status()
            return await reply.text()

    async def wait_until_ready(self) -> None:
        """Return once the API server is ready."""
        while True:
            try:
                async with self.session.get("/readyz") as reply:
                    if reply.ok:
                        return
            except aiohttp.ClientError:
                pass  # it does not listen yet
            await asyncio.sleep(RETRY_SECONDS)


async def _in_parallel(work: Sequence[Callable[[], Awaitable[None]]]) -> None:
    left = iter(work)

    async def take() -> None:
        for one in left:
            await one()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(PARALLEL):
            tasks.create_task(take())


@asynccontextmanager
async def connect(control_plane: ControlPlane) -> AsyncIterator[Cluster]:
    """Connect as the administrator."""
    trusted = ssl.create_default_context(
        cafile=str(control_plane.directory / "certs" / "apiserver.crt")
    )
    async with aiohttp.ClientSession(
        str(control_plane.api.base_url),
        headers={"Authorization": control_plane.api.headers["Authorization"]},
        connector=aiohttp.TCPConnector(ssl=trusted),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        read_bufsize=LINE_BYTES,
    ) as session:
        yield Cluster(control_plane, session)
