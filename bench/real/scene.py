"""One row for one side: everything that runs, and the figures of its phases."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.real.clock import now, until
from bench.real.cluster import Cluster, MortalControlPlane, connect
from bench.real.figures import Figures, percentile
from bench.real.observer import Observer
from bench.real.simulator import Arrived, SimulatorProcess, simulate
from bench.real.subject import BASELINE, Side, Subject, run_subject
from bench.real.writes import writes_in
from tests.controlplane.cluster import ControlPlane

__all__ = ["Place", "Play", "Row", "Scene", "run_row"]

UNLIMITED = "100000/1m"
CHECK_SECONDS = 1.0
RECOVERY_SECONDS = 60.0
"""Seconds after the return of the API server in which the busiest one is searched."""
TOO_MANY = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A scenario.

    Attributes:
        about: The scenario in one sentence.
        play: What happens; returns the figures of each phase by its name.
        resources: How many resources.
        interval: Their poll interval in seconds.
        script: The model behind each resource.
        keys: API keys, each in a namespace of its own.
        limits: Quotas of each key at the simulator and in the operator's settings: starts, status.
        options: More arguments of the simulator.
        settings: More settings of the operator.
        runs: How often the row runs, unless the command line says so; once if it takes minutes.
        is_optional: Whether the row runs only when it is named.
    """

    about: str
    play: "Play"
    resources: int
    interval: float
    script: Mapping[str, Any]
    keys: int = 1
    limits: tuple[str, str] = (UNLIMITED, UNLIMITED)
    options: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    runs: int = 3
    is_optional: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row runs.

    Attributes:
        control_plane: The control plane.
        directory: For logs.
        namespaces: As many as keys; they exist. The first one is the operator's own, too.
        is_shared: Whether others use the control plane; then only these namespaces are watched.
        is_profiled: Whether py-spy records the process.
    """

    control_plane: ControlPlane
    directory: Path
    namespaces: Sequence[str]
    is_shared: bool = False
    is_profiled: bool = False


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

    row: Row
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
        self._mark = _Mark(
            now(),
            await self._writes(),
            self.subject.usage().cpu,
            await self.subject.metric("scriptix_reconcile_total"),
            self.subject.pid,
        )

    async def mark_restart(self) -> None:
        """Replace the process, and begin a phase with the new one."""
        await self.mark()
        await self.subject.restart()
        if self._mark is not None:
            self._mark.at = now()

    async def create_resources(self) -> None:
        """Create the resources of the row."""
        spaces = self.namespaces
        spec = {"pollIntervalSeconds": int(self.row.interval), "log": {"collect": "Never"}}
        await self.cluster.create_trainings(
            (spaces[number % len(spaces)], f"training-{number}", {"modelId": number, **spec})
            for number in range(1, self.row.resources + 1)
        )

    async def until_ended(self, seconds: float) -> None:
        """Return once status shows the end of all runs, or after some seconds."""
        with suppress(TimeoutError):  # then figures say "never"
            async with asyncio.timeout(seconds):
                await self.observer.wait_for_ends(self.row.resources)

    async def until_polled(self, seconds: float) -> None:
        """Return once each model was polled in this phase, or after some seconds."""

        async def all_polled() -> bool:
            return len(_first(await self._calls(), "model")) >= self.row.resources

        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await until(all_polled, CHECK_SECONDS)

    async def until_scheduled(self, seconds: float) -> None:
        """Return once the operator has reconciled as often as there are resources."""
        if self.subject.side == BASELINE or self._mark is None:
            return
        begun, self._scheduled = self._mark.at, math.inf

        async def all_reconciled() -> bool:
            return (await self._reconciles() or 0) >= self.row.resources

        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await until(all_reconciled, CHECK_SECONDS)
                self._scheduled = now() - begun

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
        mark = self._mark
        if total is None or mark is None or mark.pid != self.subject.pid:
            return total
        return total - (mark.reconciles or 0)

    async def _calls(self) -> list[Arrived]:
        since = 0.0 if self._mark is None else self._mark.at
        return [call for call in await self.simulator.calls() if call.at >= since]

    async def figures(self) -> Figures:
        """Return the figures of the phase, until now."""
        mark = self._mark
        if mark is None:
            raise RuntimeError("no phase has begun")
        seconds = now() - mark.at
        usage = self.subject.usage()
        reconciles = await self._reconciles()
        writes = await self._writes() - mark.writes
        calls = await self._calls()
        polls = sum(call.kind == "model" for call in calls)
        cpu = usage.cpu - mark.cpu
        asked, started = self._are_starts_asked, sum(call.has_started for call in calls)
        delays = await self._delays()
        is_one_process = mark.pid == self.subject.pid
        return Figures(
            runs_per_request=started / self.row.resources if asked else None,
            refusals=sum(call.status == TOO_MANY for call in calls),
            starts=sum(call.kind == "run" for call in calls),
            polls=polls,
            logs=sum(call.kind == "log" for call in calls),
            peak_per_second=self._peak(calls),
            status_writes=writes["status"],
            resource_writes=writes["resource"],
            config_map_writes=writes["configmaps"],
            event_writes=writes["events"],
            lease_writes=writes["leases"],
            reconciles_per_poll=None
            if reconciles is None or not polls or not is_one_process
            else reconciles / polls,
            all_polled=self._last(_first(calls, "model")),
            all_scheduled=self._scheduled,
            all_started=self._last(_started(calls)) if asked else None,
            delay_p50=percentile(delays, 0.5),
            delay_p95=percentile(delays, 0.95),
            delay_max=percentile(delays, 1.0),
            last_shown=self._last_shown(),
            cpu=cpu,
            cpu_per_poll=1000 * cpu / polls if polls else None,
            memory=usage.memory,
            memory_peak=usage.peak,
            descriptors=usage.descriptors,
            crashes=self.subject.crashes,
            seconds=seconds,
        )

    @property
    def _are_starts_asked(self) -> bool:
        return bool(self.row.script.get("status", 2) == 2)  # noqa: PLR2004 - ready to run

    def _last(self, first: Mapping[int, float]) -> float:
        """Seconds of the phase until the last model; infinity: not all."""
        if self._mark is None or len(first) < self.row.resources:
            return math.inf
        return max(first.values()) - self._mark.at

    async def _delays(self) -> list[float]:
        time, shown = now(), self.observer.ended
        ends = {model: at for model, at in (await self.simulator.ends()).items() if at < time}
        return [shown.get(model, math.inf) - at for model, at in ends.items()]

    def _last_shown(self) -> float | None:
        if self.back_at is None:
            return None
        if len(self.observer.ended) < self.row.resources:
            return math.inf
        return max(self.observer.ended.values()) - self.back_at

    def _peak(self, calls: Sequence[Arrived]) -> float | None:
        if self.back_at is None:
            return None
        since = (call.at - self.back_at for call in calls)
        seconds = Counter(int(at) for at in since if 0 <= at < RECOVERY_SECONDS)
        return max(seconds.values(), default=0)


def _first(calls: Sequence[Arrived], kind: str) -> dict[int, float]:
    """When each model had its first call of a kind."""
    return {call.model: call.at for call in reversed(calls) if call.kind == kind}


def _started(calls: Sequence[Arrived]) -> dict[int, float]:
    return {call.model: call.at for call in reversed(calls) if call.has_started}


Play = Callable[[Scene], Awaitable[dict[str, Figures]]]


async def run_row(row: Row, side: Side, place: Place) -> dict[str, Figures]:
    """Run a row for one side, and return the figures of each phase."""
    async with _scene(row, side, place) as scene:
        return await row.play(scene)


@asynccontextmanager
async def _scene(row: Row, side: Side, place: Place) -> AsyncIterator[Scene]:
    keys = [f"bench-key-{number}" for number in range(row.keys)]
    starts, status = row.limits
    options = [f"--limit-starts={starts}", f"--limit-status={status}", *row.options]
    async with (
        connect(place.control_plane) as cluster,
        simulate(place.directory, row.script, keys, *options) as simulator,
    ):
        for namespace, key in zip(place.namespaces, keys, strict=True):
            await cluster.create_secret(namespace, key)
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


def _settings(row: Row, place: Place, url: str) -> dict[str, str]:
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
