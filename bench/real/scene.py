"""One row for one side: everything that runs, and the figures of its phases."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bench.real.clock import now, until
from bench.real.cluster import Cluster, MortalControlPlane, connect
from bench.real.figures import Figures
from bench.real.measuring import Observed, figures_of, first_polls, first_starts
from bench.real.observer import Observer
from bench.real.row import Place, Row
from bench.real.simulator import Arrived, SimulatorProcess, simulate
from bench.real.subject import BASELINE, Side, Subject, run_subject
from bench.real.writes import writes_in

__all__ = ["Scene", "run_row"]

CHECK_SECONDS = 1.0
READY = 2
"""Status of a model that is ready to run."""


@dataclass(slots=True)
class _Mark:
    """The counters at the begin of a phase."""

    at: float
    writes: Counter[str]
    cpu: float
    reconciles: float | None
    pid: int


@dataclass(slots=True)
class Scene:
    """A running row."""

    row: "Row[Scene]"
    namespaces: Sequence[str]
    cluster: Cluster
    simulator: SimulatorProcess
    subject: Subject
    observer: Observer
    back_at: float | None = None
    """When the API server was back, if it was away."""
    _lost: Counter[str] = field(default_factory=Counter)
    """Writes that the API server had counted when it was killed."""
    _mark: _Mark | None = None
    _scheduled: float | None = None

    async def mark(self) -> None:
        """Begin a phase."""
        self._scheduled = None
        writes = await self._writes()
        reconciles = await self.subject.metric("scriptix_reconcile_total")
        cpu = self.subject.usage().cpu
        self._mark = _Mark(now(), writes, cpu, reconciles, self.subject.pid)

    async def mark_restart(self) -> None:
        """Replace the process, and begin a phase with the new one."""
        await self.mark()
        await self.subject.restart()
        self._begun_mark.at = now()

    @property
    def _begun_mark(self) -> _Mark:
        if self._mark is None:
            raise RuntimeError("no phase has begun")
        return self._mark

    async def create_resources(self) -> None:
        """Create the resources of the row."""
        await create_resources(self.row, self.namespaces, self.cluster)

    # Waiting: at most some seconds; then the figures say "never".

    async def until_ended(self, seconds: float) -> None:
        """Return once status shows the end of all runs."""

        async def all_ended() -> bool:
            return len(self.observer.ended) >= self.row.resources

        await _within(seconds, all_ended, 0.1)

    async def until_polled(self, seconds: float) -> None:
        """Return once each model was polled in this phase."""

        async def all_polled() -> bool:
            return len(first_polls(await self._calls())) >= self.row.resources

        await _within(seconds, all_polled)

    async def until_started(self, seconds: float) -> None:
        """Return once each run has started."""

        async def all_started() -> bool:
            return len(first_starts(await self._calls())) >= self.row.resources

        await _within(seconds, all_started)

    async def until_scheduled(self, seconds: float) -> None:
        """Return once the operator has reconciled as often as there are resources."""
        if self.subject.side == BASELINE:
            return

        async def all_reconciled() -> bool:
            return (await self._reconciles() or 0) >= self.row.resources

        is_done = await _within(seconds, all_reconciled)
        self._scheduled = now() if is_done else math.inf

    # The API server.

    async def kill_api_server(self) -> None:
        """Kill the API server."""
        self._lost += writes_in(await self.cluster.metrics())
        self._mortal.kill_api_server()

    async def revive_api_server(self) -> None:
        """Start the API server again, and wait until it is ready."""
        self._mortal.revive_api_server()
        await self.cluster.wait_until_ready()
        self.back_at = now()

    @property
    def _mortal(self) -> MortalControlPlane:
        if not isinstance(self.cluster.control_plane, MortalControlPlane):
            raise TypeError("this row needs a control plane of its own")
        return self.cluster.control_plane

    # Figures.

    async def _writes(self) -> Counter[str]:
        return self._lost + writes_in(await self.cluster.metrics())

    async def _reconciles(self) -> float | None:
        """Reconciles of this phase, as far as the current process has made them."""
        total = await self.subject.metric("scriptix_reconcile_total")
        mark = self._begun_mark
        if total is None or mark.pid != self.subject.pid:
            return total
        return total - (mark.reconciles or 0)

    async def _calls(self) -> list[Arrived]:
        since = self._begun_mark.at
        return [call for call in await self.simulator.calls() if call.at >= since]

    async def figures(self) -> Figures:
        """Return the figures of the phase, until now."""
        mark = self._begun_mark
        time = now()
        usage = self.subject.usage()
        ends = await self.simulator.ends()
        return figures_of(
            Observed(
                resources=self.row.resources,
                asks_for_starts=self.row.script.get("status", READY) == READY,
                begun=mark.at,
                now=time,
                calls=await self._calls(),
                ends={model: at for model, at in ends.items() if at < time},
                shown=self.observer.ended,
                writes=await self._writes() - mark.writes,
                cpu=usage.cpu - mark.cpu,
                usage=usage,
                # The counter of a process that was replaced is lost.
                reconciles=await self._reconciles() if mark.pid == self.subject.pid else None,
                scheduled=self._scheduled,
                back_at=self.back_at,
                crashes=self.subject.crashes,
            )
        )


async def create_resources(row: "Row[Scene]", namespaces: Sequence[str], cluster: Cluster) -> None:
    """Create the resources of a row, each in the namespace of its API key."""
    spec = {"pollIntervalSeconds": int(row.interval), "log": {"collect": "Never"}}
    await cluster.create_trainings(
        (namespaces[number % len(namespaces)], f"training-{number}", {"modelId": number, **spec})
        for number in range(1, row.resources + 1)
    )


async def _within(
    seconds: float, holds: Callable[[], Awaitable[bool]], every: float = CHECK_SECONDS
) -> bool:
    """Wait until `holds` is true, at most some seconds; return whether it is."""
    try:
        async with asyncio.timeout(seconds):
            await until(holds, every)
    except TimeoutError:
        return False
    return True


async def run_row(row: Row[Scene], side: Side, place: Place) -> Mapping[str, Figures]:
    """Run a row for one side, and return the figures of each phase."""
    async with _scene(row, side, place) as scene:
        return await row.play(scene)


@asynccontextmanager
async def _scene(row: Row[Scene], side: Side, place: Place) -> AsyncIterator[Scene]:
    keys = [f"bench-key-{number}" for number in range(row.keys)]
    starts, status = row.limits
    options = [f"--limit-starts={starts}", f"--limit-status={status}", *row.options]
    async with (
        connect(place.control_plane) as cluster,
        simulate(place.directory, row.script, keys, *options) as simulator,
    ):
        for namespace, key in zip(place.namespaces, keys, strict=True):
            await cluster.create_secret(namespace, key)
        if row.has_resources_first:
            await create_resources(row, place.namespaces, cluster)
        settings = _settings(row, place, simulator.url)
        async with run_subject(
            side, settings, place.directory, is_profiled=place.is_profiled
        ) as subject:
            observer = Observer(cluster, frozenset(place.namespaces))
            watching = asyncio.create_task(observer.run())
            try:
                yield Scene(row, place.namespaces, cluster, simulator, subject, observer)
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)


def _settings(row: Row[Scene], place: Place, url: str) -> dict[str, str]:
    """Return the environment of both sides."""
    starts, status = row.limits
    watched = ",".join(place.namespaces) if place.is_shared else ""
    return {
        "KUBECONFIG": str(place.control_plane.kubeconfig),
        "POD_NAMESPACE": place.namespaces[0],
        "POD_NAME": "operator",
        "SCRIPTIX_BASE_URL": url,
        "SCRIPTIX_HTTP_HOST": "127.0.0.1",
        "SCRIPTIX_HTTP_PORT": "0",
        "SCRIPTIX_WATCH_NAMESPACES": watched,
        "SCRIPTIX_LIMIT_STARTS": starts,
        "SCRIPTIX_LIMIT_STATUS": status,
        **row.settings,
        "BASELINE_INTERVAL": f"{row.interval:g}",
        "BASELINE_NAMESPACES": watched,
    }
