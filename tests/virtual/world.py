"""A whole operator in virtual time: the real engine, a simulated API, and a cluster in memory.

The cluster is a fake, because no real API server runs a day in a minute. The fake has what the
engine relies on: conflicting versions, uids, and a ledger written by compare-and-set. The tests in
tests/operator use a real one.
"""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import httpx

from scriptix_operator.api.names import DEFAULT_SECRET, DEFAULT_SECRET_KEY
from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.api.spec import TrainingSpec
from scriptix_operator.api.status import LogStatus, TrainingStatus
from scriptix_operator.core.logs.collector import Collected
from scriptix_operator.core.logs.segments import EMPTY
from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.model.owner import Owner
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.status.events import EventRecord
from scriptix_operator.core.status.failures import failure
from scriptix_operator.core.status.texts import secret_texts
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.controller import Controller
from scriptix_operator.engine.fence import Fence
from scriptix_operator.kube.configmaps import ConfigMaps
from scriptix_operator.kube.errors import ConflictError, GoneError, UnavailableError
from scriptix_operator.kube.events import Events
from scriptix_operator.kube.logstore import LogStore, OpenLog, SavedLog
from scriptix_operator.kube.reachability import Reachability
from scriptix_operator.kube.secrets import Keys, KeyUnavailableError
from scriptix_operator.kube.trainings import ALL, Raw, Trainings, dump_status
from scriptix_operator.scriptix.client import ScriptixClient, Timeouts
from scriptix_operator.settings import load_settings
from scriptix_operator.telemetry.metrics import Metrics
from scriptix_operator.wiring import EngineDependencies, assemble
from scriptix_simulator.config import SimulatorConfig
from scriptix_simulator.inprocess import InProcess
from scriptix_simulator.state import SimulatorState
from tests.unit.engine.fake_ledger import FakeLedgerConfigMap
from tests.unit.engine.fake_quota import FakeQuotaConfigMap
from tests.virtual.loop import VirtualClock, boottime, wall

__all__ = ["World"]

LATENCY = 0.08, 0.4
"""Minimum and maximum seconds from a call to its reply."""


class Stored(Trainings):
    """The resources.

    Args:
        reachability: Takes the replies to requests.

    Attributes:
        on_status: Called with each status when it is written.
        is_away: Whether requests have no reply.
        requests: When requests were made, with a reply or without.
    """

    def __init__(self, reachability: Reachability) -> None:
        self.by_key: dict[TrainingKey, Training] = {}
        self.writes = 0
        self.is_away = False
        self.requests: list[float] = []
        self._reachability = reachability
        self.on_status: Callable[[Training], None] = lambda _: None
        self._version = 0
        self._stale: dict[TrainingKey, Training] = {}
        self._stale_until, self._is_read_stale = 0.0, False

    def serve_stale(self, older: Training, until: float, *, is_read_stale: bool) -> None:
        """List, and perhaps read, an older version, as an API server with an old cache does."""
        self._stale[older.key] = older
        self._stale_until, self._is_read_stale = until, is_read_stale

    def _cached(self, training: Training) -> Training:
        is_stale = boottime() < self._stale_until
        return self._stale.get(training.key, training) if is_stale else training

    def put(self, training: Training) -> Training:
        """Write a version."""
        self._version += 1
        written = replace(training, resource_version=str(self._version))
        self.by_key[training.key] = written
        return written

    def request(self) -> None:
        """Make a request, which has no reply while the API server is away."""
        self.requests.append(boottime())
        if self.is_away:
            self._reachability.failed(boottime(), "no connection")
            raise UnavailableError("no connection")
        self._reachability.answered()

    async def check_list(self, namespace: str = ALL) -> None:
        """List one."""
        del namespace
        self.request()

    async def all(self, namespace: str = ALL) -> AsyncIterator[Raw]:
        """List them."""
        self.request()
        for training in list(self.by_key.values()):
            if namespace in {ALL, training.key.namespace}:
                yield as_raw(self._cached(training))

    async def get(self, key: TrainingKey) -> Training:
        """Read one."""
        self.request()
        try:
            there = self.by_key[key]
        except KeyError:
            raise GoneError(f"get {key}: 404") from None
        return self._cached(there) if self._is_read_stale else there

    async def write_status(self, training: Training, status: TrainingStatus) -> Training:
        """Write a status, as Trainings does."""
        if status == training.status:
            return training
        self.request()
        there = self.by_key.get(training.key)
        if there is None:
            raise GoneError(f"write status of {training.key}: 404")
        if there.resource_version != training.resource_version:
            raise ConflictError(f"write status of {training.key}: 409")
        self.writes += 1
        written = self.put(replace(there, status=status))
        self.on_status(written)
        return written


class Results(ConfigMaps):
    """The results."""

    def __init__(self) -> None:
        self.published: dict[str, Mapping[str, str]] = {}

    async def put(self, owner: Owner, name: str, data: Mapping[str, str], *, run_id: str) -> bool:
        """Write one."""
        del run_id
        self.published[f"{owner.namespace}/{name}"] = data
        return True


class Logs(LogStore):
    """The logs, of which only the sizes are kept."""

    def __init__(self) -> None:
        self.saves = 0

    async def open(self, owner: Owner, previous: LogStatus | None) -> OpenLog:
        """Nothing is stored."""
        return OpenLog(owner, EMPTY, None, frozenset(), previous or LogStatus())

    async def save(
        self, stored_log: OpenLog, new: Collected, *, run_id: str, max_bytes: int
    ) -> SavedLog:
        """Count the save."""
        del stored_log, run_id, max_bytes
        self.saves += 1
        lines = new.entries
        return SavedLog(LogStatus(config_maps=("log",), entries=lines, bytes=100 * lines), lines)


class Published(Events):
    """The events."""

    def __init__(self) -> None:
        self.all: list[tuple[datetime, TrainingKey, EventRecord]] = []

    async def publish(
        self, training: Training, events: tuple[EventRecord, ...], now: datetime
    ) -> None:
        """Record the events."""
        self.all += [(now, training.key, item) for item in events]


class Secrets(Keys):
    """One API key for each namespace, in each Secret of the namespace.

    Attributes:
        missing: Names of Secrets that do not exist.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        self.by_namespace = dict(keys)
        self.missing: set[str] = set()

    async def resolve(self, training: Training) -> ApiKey:
        """The key of its namespace."""
        namespace, ref = training.key.namespace, training.spec.api_key_secret_ref
        name, entry = (DEFAULT_SECRET, DEFAULT_SECRET_KEY) if ref is None else (ref.name, ref.key)
        if name in self.missing:
            text = secret_texts.secret_missing(namespace, name)
            raise KeyUnavailableError(failure(FailureReason.SECRET_NOT_FOUND, text))
        return ApiKey(self.by_namespace[namespace], f"Secret/{namespace}/{name}/{entry}")


class NoFence(Fence):
    """No fence is needed: virtual time never pauses a process."""

    def __init__(self) -> None:  # without Fence's, which would create a kernel timer
        pass

    def arm(self, deadline: float) -> int:
        """Do nothing."""
        del deadline
        return 0

    def disarm(self, number: int) -> None:
        """Do nothing."""
        del number


class World:
    """A cluster, the API, and operators. Create it inside the virtual loop.

    Args:
        keys: API keys by namespace.
        config: The configuration of the API.
        seed: The seed of all random numbers.
        settings: Settings of the operators, as environment variables without their prefix.

    Attributes:
        wire: The transport to the API; a test may wrap it.
    """

    def __init__(
        self,
        keys: Mapping[str, str],
        config: SimulatorConfig,
        seed: int = 0,
        **settings: str,
    ) -> None:
        self.clock = VirtualClock()
        self.state = SimulatorState(config, self.clock.now())
        self.rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self.api = InProcess(self.state, self.clock, lambda: self.rng.uniform(*LATENCY))
        self.wire: httpx.AsyncBaseTransport = self.api
        self.reachability = Reachability(boottime)
        self.trainings, self.results, self.logs = Stored(self.reachability), Results(), Logs()
        self.events, self.keys, self.ledger = Published(), Secrets(keys), FakeLedgerConfigMap()
        self.quota = FakeQuotaConfigMap()
        self.engines: list[Controller] = []
        self._settings = {f"SCRIPTIX_{name.upper()}": value for name, value in settings.items()}

    def add(self, namespace: str, name: str, model_id: int, **spec: Any) -> TrainingKey:  # noqa: ANN401
        """Create a resource."""
        key = TrainingKey(namespace, name)
        training = Training(
            key=key,
            uid=f"uid-{namespace}-{name}",
            generation=1,
            resource_version="0",
            created_at=wall().replace(microsecond=0),
            requested_at="",
            spec=TrainingSpec.model_validate({"modelId": model_id, **spec}),
            status=TrainingStatus(),
        )
        self._published(self.trainings.put(training))
        return key

    def edit(self, key: TrainingKey, **spec: Any) -> None:  # noqa: ANN401
        """Edit a resource."""
        there = self.trainings.by_key[key]
        self.replace_spec(key, {**there.spec.model_dump(by_alias=True), **spec})

    def replace_spec(self, key: TrainingKey, spec: Mapping[str, Any]) -> None:
        """Replace the whole spec of a resource, as `kubectl replace` does."""
        there, wanted = self.trainings.by_key[key], TrainingSpec.model_validate(spec)
        generation = there.generation + (wanted != there.spec)
        edited = replace(there, spec=wanted, generation=generation)
        self._published(self.trainings.put(edited))

    def delete(self, key: TrainingKey) -> None:
        """Delete a resource."""
        raw = as_raw(self.trainings.by_key.pop(key))
        for engine in self.engines:
            engine.seen("DELETED", raw)

    def status(self, key: TrainingKey) -> TrainingStatus:
        """The status of a resource."""
        return self.trainings.by_key[key].status

    def _published(self, training: Training) -> None:
        for engine in self.engines:
            engine.seen("MODIFIED", as_raw(training))

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[Controller]:
        """Run an operator for the duration of the block."""
        environment = {"SCRIPTIX_BASE_URL": "https://simulator", **self._settings}
        settings = load_settings(environment)
        async with ScriptixClient(
            base_url=settings.base_url,
            timeouts=Timeouts(total=settings.post_timeout),
            transport=self.wire,
        ) as client:
            dependencies = EngineDependencies(
                client=client,
                keys=self.keys,
                trainings=self.trainings,
                config_maps=self.results,
                log_store=self.logs,
                ledger=self.ledger,
                quota=self.quota,
                events=self.events,
                clock=Clock(wall, boottime),
                jitter=self.rng.random,
                fence=NoFence(),
                leads_until=lambda: math.inf,
                reachability=self.reachability,
            )
            engine = assemble(settings, dependencies, Metrics())
            work = asyncio.create_task(engine.run(lambda: None))
            self.engines.append(engine)
            try:
                yield engine
            finally:
                self.engines.remove(engine)
                work.cancel()
                await asyncio.wait({work})
                if not work.cancelled():
                    work.result()  # the operator ended before the block: raise its error


def as_raw(training: Training) -> dict[str, Any]:
    """A resource as the API server gives it."""
    return {
        "metadata": {
            "namespace": training.key.namespace,
            "name": training.key.name,
            "uid": training.uid,
            "generation": training.generation,
            "resourceVersion": training.resource_version,
            "creationTimestamp": f"{training.created_at:%Y-%m-%dT%H:%M:%SZ}",
        },
        "spec": training.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
        "status": dump_status(training.status),
    }
