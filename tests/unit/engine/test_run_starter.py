"""engine/run_starter.py and engine/reconciler.py: the order of a start's effects under failures.

The API, the cluster and the ledger's ConfigMap are fakes that record their calls. The decisions,
the key schedulers and the ledger are real.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.api.status import ServedBy, TrainingStatus
from scriptix_operator.core.ledger.ledger import (
    InFlightStart,
    LatestRun,
    Ledger,
    with_start_begun,
)
from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.model.remote import FailureKind, RemoteModel
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.reconcile.call_results import Posted, PostFailed
from scriptix_operator.core.reconcile.context import Durations
from scriptix_operator.core.reconcile.vocabulary import (
    AcquireStart,
    Blocked,
    ModelPolled,
    Observation,
    PollDeferred,
    StartLedgerNotWritable,
    StartQueued,
)
from scriptix_operator.core.scheduling.calls import Answer, Call, CallPermit
from scriptix_operator.core.scheduling.poll_scheduler import PollPriority, PollRequest
from scriptix_operator.core.scheduling.start_queue import queue_entry_of
from scriptix_operator.core.status.failures import failure
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.reconciler import Reconciler
from scriptix_operator.engine.remote_calls import RemoteCalls
from scriptix_operator.engine.run_starter import RECORD_ATTEMPTS, RunStarter
from scriptix_operator.engine.schedulers import KeySchedulers
from scriptix_operator.engine.start_ledger import StartLedger
from scriptix_operator.engine.start_sender import StartPermit, StartSender
from scriptix_operator.engine.status_writer import StatusWriter
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.engine.work_queue import WorkQueue
from scriptix_operator.kube.errors import ConflictError, GoneError, KubeError, UnavailableError
from scriptix_operator.telemetry.metrics import Metrics
from tests.unit.core.builders import EIGHT, KEY, a_model, a_training, at, call_failed, followed
from tests.unit.engine.fake_ledger import FakeLedgerConfigMap, Fault, complete

NAME = TrainingKey("team-a", "cardiology")
INSTALLATION = "scriptix-system"
RUNNING = a_model(3, started_at=EIGHT, progress=0)
LOST = PostFailed(call_failed(FailureKind.AMBIGUOUS))
Effect = Callable[[], None]


@dataclass
class Time(Clock):
    """A clock that the test sets."""

    moment: datetime = EIGHT

    def now(self) -> datetime:
        """Wall time."""
        return self.moment

    def monotonic(self) -> float:
        """Seconds."""
        return (self.moment - EIGHT).total_seconds()


@dataclass
class Cluster:
    """The status of one resource, written by compare-and-set; records all effects."""

    store: TrainingStore
    effects_log: list[str] = field(default_factory=list)
    training: Training | None = None
    faults: deque[Fault | Effect | None] = field(default_factory=deque)
    """The fault of each write from the next on, or a callback just before it."""

    async def write(self, training: Training, status: TrainingStatus) -> Training:
        """Write a status as StatusWriter.write does."""
        status = replace(status, served_by=ServedBy(namespace=INSTALLATION, renewed_at=EIGHT))
        if training.status == status:
            return training
        run = status.run
        what = "nothing" if run is None else "intent" if run.intent else f"{run.ownership}"
        fault = self.faults.popleft() if self.faults else None
        if fault is Fault.LOST:
            self.effects_log.append(f"status lost: {what}")
            raise UnavailableError("write: no answer")
        if callable(fault):
            fault()
        written = self._write(training, status)
        self.effects_log.append(f"status: {what}")
        if fault is Fault.REPLY_LOST:
            raise UnavailableError("write: no answer")
        self.store.renew(written)
        return written

    def _write(self, training: Training, status: TrainingStatus) -> Training:
        if self.training is None:
            raise GoneError("write: 404")
        if training.resource_version != self.training.resource_version:
            raise ConflictError("write: 409")
        return self.put(training.with_status(status))

    def put(self, training: Training) -> Training:
        """Write a new version."""
        version = int(self.training.resource_version) + 1 if self.training else 1
        changes = {"resource_version": str(version)}
        self.training = Training(**{**_fields(training), **changes})
        return self.training

    def is_put(self, training: Training) -> None:
        """Another client writes a version."""
        self.put(training)

    async def reload(self, training: Training) -> Training:
        """Read the resource as Recorder.reload does."""
        if self.training is None or self.training.uid != training.uid:
            raise GoneError("get: 404")
        self.store.renew(self.training)
        return self.training


def _fields(training: Training) -> dict[str, Any]:
    return {name: getattr(training, name) for name in Training.__dataclass_fields__}


@dataclass
class Api:
    """The remote API behind Caller; the test sets the outcome of each POST."""

    bench: "Bench"
    model: RemoteModel = field(default_factory=lambda: a_model(2))
    answers: deque[Posted | PostFailed] = field(default_factory=deque)
    on_post: Effect = lambda: None
    instead: Observation | None = None
    """The outcome of a poll."""

    def is_start_over(self, in_flight: InFlightStart) -> bool:
        """As RemoteCalls.is_start_over."""
        known = self.bench.store.get(TrainingKey(in_flight.namespace, in_flight.name))
        return known is None or known.uid != in_flight.uid

    def poll_request(self, training: Training) -> PollRequest:
        """A regular poll."""
        return PollRequest(PollPriority.RUNNING, float(training.spec.poll_interval_seconds))

    async def poll(self, training: Training) -> Observation:
        """Show the model."""
        if self.instead is not None:
            return self.instead
        ledger = self.bench.ledger
        revision = await ledger.document.ready()
        self.bench.cluster.effects_log.append("poll")
        entry, latest_run = ledger.in_flight(7), ledger.latest_run(7)
        competitors = tuple(self.bench.store.competitors(training))
        return ModelPolled(self.model, KEY, competitors, entry, latest_run, revision)

    async def acquire_start(
        self, training: Training, wanted: AcquireStart
    ) -> Observation | StartPermit:
        """Acquire a permit."""
        schedulers, key = self.bench.schedulers, ApiKey("k", source=KEY.source)
        permit = schedulers.acquire_start(
            key.fingerprint, queue_entry_of(training, self.bench.time.now())
        )
        assert isinstance(permit, CallPermit | StartQueued)
        return (
            StartPermit(schedulers, key, permit, wanted.revision)
            if isinstance(permit, CallPermit)
            else permit
        )

    async def send(
        self, training: Training, permit: StartPermit, begun_at: float
    ) -> Posted | PostFailed:
        """Answer a POST."""
        assert begun_at <= self.bench.time.monotonic()
        self.bench.cluster.effects_log.append("POST")
        self.on_post()
        answer = self.answers.popleft()
        failure = answer.failure if isinstance(answer, PostFailed) else None
        fingerprint, ended = permit.key.fingerprint, Answer(training.spec.model_id, failure)
        self.bench.schedulers.complete(fingerprint, permit.quota_permit, ended)
        return answer


class DiaryConfigMap(FakeLedgerConfigMap):
    """Records the effect of each write on the model's in-flight start."""

    def __init__(self, effects_log: list[str]) -> None:
        super().__init__(Ledger())
        self._diary = effects_log

    async def write(self, ledger: Ledger, version: str | None) -> str:
        """Compare and set."""
        is_open = 7 in ledger.in_flight_starts
        if is_open != (7 in self.ledger.in_flight_starts):
            self._diary.append("ledger: open" if is_open else "ledger: closed")
        return await super().write(ledger, version)


class Bench:
    """A reconciler and all its dependencies."""

    def __init__(self) -> None:
        self.time, self.store, self.metrics = Time(), TrainingStore(), Metrics()
        limits = dict.fromkeys(Call, (Limit(3, 3600.0),))
        self.schedulers = KeySchedulers(
            limits, WorkQueue(self.time.monotonic), self.time, lambda: 0.5
        )
        self.cluster = Cluster(self.store)
        self.config_map = DiaryConfigMap(self.cluster.effects_log)
        self.ledger = StartLedger(
            self.config_map, self.store, complete, timedelta(hours=1), self.time, self.metrics
        )
        self.api = Api(self)
        remote_calls, start_sender = cast("RemoteCalls", self.api), cast("StartSender", self.api)
        status_writer = cast("StatusWriter", self.cluster)
        durations = Durations()
        starts = RunStarter(
            self.store,
            start_sender,
            status_writer,
            self.ledger,
            self.time,
            durations,
            pause=_pause,
        )
        nothing: Any = None
        self.reconciler = Reconciler(
            store=self.store,
            remote_calls=remote_calls,
            run_starter=starts,
            log_fetcher=nothing,
            status_writer=status_writer,
            schedulers=self.schedulers,
            ledger=self.ledger,
            clock=self.time,
            durations=durations,
            installation=INSTALLATION,
        )
        self.add(a_training(log={"collect": "Never"}, poll_interval_seconds=1))

    def add(self, training: Training) -> None:
        """Create the reconciler."""
        self.store.put(self.cluster.put(training))

    async def reconcile(self) -> list[str]:
        """Reconcile; returns the effects."""
        self.cluster.effects_log.clear()
        await self.reconciler.reconcile(NAME)
        return list(self.cluster.effects_log)

    @property
    def status(self) -> TrainingStatus:
        """The run in the recorded status."""
        assert self.cluster.training is not None
        return self.cluster.training.status

    @property
    def starts_left(self) -> int:
        """Used starts of the key's quota of three."""
        limiter = self.schedulers.of(ApiKey("k", KEY.source).fingerprint).limiters[Call.START]
        return sum(limiter.wait(self.time.monotonic(), ahead) == 0 for ahead in range(3))

    @property
    def charges(self) -> int:
        """The in-flight start in the ledger."""
        own, before = self.ledger.charges_of(KEY.fingerprint, KEY.source)
        return len(own) + len(before)


async def _pause(seconds: float) -> None:
    """Call the present function of asyncio, which the fixture replaces."""
    await asyncio.sleep(seconds)


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Return a bench on which waiting takes no time."""
    made = Bench()
    sleep = asyncio.sleep

    async def passes(seconds: float) -> None:
        made.time.moment += timedelta(seconds=seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", passes)
    return made


START = ["poll", "status: intent", "ledger: open", "POST"]


@pytest.mark.parametrize(
    ("answer", "then", "starts_left", "charges"),
    [
        pytest.param(Posted(RUNNING), ["status: Owned", "ledger: closed"], 2, 1, id="accepted"),
        pytest.param(Posted(None), ["status: Owned", "ledger: closed"], 2, 1, id="accepted, empty"),
        pytest.param(LOST, ["status: intent"], 2, 1, id="not known"),
        pytest.param(
            PostFailed(call_failed(FailureKind.UNAUTHORIZED)),
            ["status: nothing", "ledger: closed"],
            2,
            1,
            id="refused",
        ),
        pytest.param(
            PostFailed(call_failed(FailureKind.REJECTED)),
            ["status: None", "ledger: closed"],
            2,
            1,
            id="rejected",
        ),
        pytest.param(
            PostFailed(call_failed(FailureKind.NOT_SENT)),
            ["status: nothing", "ledger: closed"],
            3,
            0,
            id="not sent",
        ),
    ],
)
async def test_start_is_recorded_twice_before_and_after_its_post(
    bench: Bench, answer: Posted | PostFailed, then: list[str], starts_left: int, charges: int
) -> None:
    bench.api.answers.append(answer)
    assert await bench.reconcile() == START + then
    assert (bench.starts_left, bench.charges) == (starts_left, charges)
    state = bench.store.state(cast("Training", bench.cluster.training))
    assert state.start.reply is None
    assert state.start.in_flight == bench.ledger.in_flight(7)


async def test_accepted_start_supersedes_the_baseline(bench: Bench) -> None:
    """The start time in the reply does not count: only polls give the run start time."""
    bench.api.answers.append(Posted(RUNNING))
    await bench.reconcile()
    assert bench.ledger.latest_run(7) == LatestRun(superseded=True)


# Before the POST.


async def test_shutdown_during_a_poll_begins_no_start(bench: Bench) -> None:
    poll = bench.api.poll

    async def poll_and_stop(training: Training) -> Observation:
        bench.reconciler.shutdown.begin()
        return await poll(training)

    bench.api.poll = poll_and_stop  # type: ignore[method-assign]
    assert await bench.reconcile() == ["poll"]


@pytest.mark.parametrize(
    ("fault", "effects"),
    [
        pytest.param(Fault.LOST, ["poll", "status lost: intent"], id="lost"),
        pytest.param(Fault.REPLY_LOST, [*START, "status: Owned", "ledger: closed"], id="reply"),
    ],
)
async def test_intent_is_read_back_after_a_lost_reply(
    bench: Bench, fault: Fault, effects: list[str]
) -> None:
    bench.api.answers.append(Posted(RUNNING))
    bench.cluster.faults.append(fault)
    if fault is Fault.LOST:
        with pytest.raises(UnavailableError):
            await bench.reconcile()
        assert bench.starts_left == 3
    else:
        await bench.reconcile()
    assert bench.cluster.effects_log == effects


async def test_unwritten_intent_costs_nothing_and_is_decided_again(
    bench: Bench,
) -> None:
    bench.api.answers.append(Posted(RUNNING))
    training = cast("Training", bench.cluster.training)
    bench.cluster.faults.append(lambda: bench.cluster.is_put(training))
    assert await bench.reconcile() == ["poll", *START, "status: Owned", "ledger: closed"]
    assert bench.starts_left == 2


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.REFUSED, Fault.BUG, Fault.REPLY_LOST])
async def test_nothing_is_sent_without_an_in_flight_start(bench: Bench, fault: Fault) -> None:
    await bench.ledger.document.ready()
    bench.config_map.write_faults.append(fault)
    bench.config_map.read_faults.append(Fault.LOST)
    with pytest.raises((KubeError, ZeroDivisionError)):
        await bench.reconcile()
    assert bench.cluster.effects_log == START[:-1]
    assert bench.starts_left == 3
    bench.config_map.read_faults.clear()
    bench.time.moment = at(seconds=1)
    bench.api.answers.append(Posted(RUNNING))
    effects = await bench.reconcile()
    if fault is Fault.REPLY_LOST:
        # This reconcile cannot know whether the POST was sent: polls decide.
        assert effects == ["poll", "status: intent"]
    else:
        # The POST was never sent, so the start is aborted and repeated at once.
        assert effects == [*START, "status: Owned", "ledger: closed"]


async def test_start_decided_on_an_older_ledger_is_aborted(
    bench: Bench,
) -> None:
    await bench.ledger.document.ready()
    bench.api.answers.append(Posted(RUNNING))
    bench.cluster.faults += [bench.config_map.touch]
    effects = await bench.reconcile()
    assert effects == [
        *START[:-1],
        "status: nothing",
        *START,
        "status: Owned",
        "ledger: closed",
    ]
    assert (bench.starts_left, bench.charges) == (2, 1)


def _deleted(bench: Bench, *, is_seen: bool = True) -> None:
    """Set the deletionTimestamp; the watch may deliver it later."""
    version = bench.cluster.put(
        replace(cast("Training", bench.cluster.training), is_being_deleted=True)
    )
    if is_seen:
        bench.store.put(version)


@pytest.mark.parametrize("is_seen", [True, False], ids=["seen", "found out by a conflict"])
async def test_a_deletion_before_the_intent_starts_nothing(
    bench: Bench,
    is_seen: bool,  # noqa: FBT001 - both ways
) -> None:
    bench.cluster.faults.append(lambda: _deleted(bench, is_seen=is_seen))
    assert await bench.reconcile() == ["poll", "status: nothing"]
    assert (bench.starts_left, bench.charges, bench.ledger.in_flight(7)) == (3, 0, None)


async def test_deletion_returns_an_acquired_permit(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    acquire_start = bench.api.acquire_start

    async def deleted_meanwhile(
        training: Training, wanted: AcquireStart
    ) -> Observation | StartPermit:
        reply = await acquire_start(training, wanted)
        _deleted(bench)
        return reply

    monkeypatch.setattr(bench.api, "acquire_start", deleted_meanwhile)
    assert await bench.reconcile() == ["poll", "status: nothing"]
    assert (bench.starts_left, bench.charges) == (3, 0)


async def test_an_end_seen_after_the_deletion_is_not_published(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.api.answers.append(Posted(RUNNING))
    await bench.reconcile()
    bench.api.model = replace(RUNNING, training_status=4)
    poll, published = bench.api.poll, []

    async def deleted_meanwhile(training: Training) -> Observation:
        seen = await poll(training)
        _deleted(bench)
        return seen

    async def publish(training: Training, status: TrainingStatus) -> None:
        published.append((training, status))

    monkeypatch.setattr(bench.api, "poll", deleted_meanwhile)
    monkeypatch.setattr(bench.cluster, "publish", publish, raising=False)
    assert await bench.reconcile() == ["poll", "status: Owned"]
    assert published == []
    assert bench.status.phase == "Running"


async def test_a_deletion_after_the_intent_and_before_the_post(bench: Bench) -> None:
    """The caller aborts the start; tests/unit/engine/test_remote_calls.py tests that."""
    bench.api.answers.append(PostFailed(call_failed(FailureKind.NOT_SENT)))
    bench.cluster.faults += [None, lambda: _deleted(bench)]
    assert await bench.reconcile() == [*START, "status: nothing", "ledger: closed"]
    assert (bench.starts_left, bench.charges) == (3, 0)
    assert await bench.reconcile() == []


@pytest.mark.parametrize(
    ("answer", "then"),
    [
        pytest.param(Posted(RUNNING), ["status: Owned", "ledger: closed"], id="accepted"),
        pytest.param(LOST, ["status: intent"], id="not known"),
    ],
)
async def test_deletion_during_the_post_keeps_its_outcome(
    bench: Bench, answer: Posted | PostFailed, then: list[str]
) -> None:
    bench.api.answers.append(answer)
    bench.api.on_post = lambda: _deleted(bench)
    assert await bench.reconcile() == [*START, *then]
    bench.api.model = RUNNING
    resolved = ["poll", "status: Unconfirmed", "ledger: closed"]
    assert await bench.reconcile() == (resolved if answer is LOST else [])
    assert bench.status.conditions[0].reason == "BeingDeleted"
    assert await bench.reconcile() == []


# After the POST.


@pytest.mark.parametrize("lost", [1, RECORD_ATTEMPTS - 1])
async def test_start_outcome_is_recorded_once_the_cluster_accepts(bench: Bench, lost: int) -> None:
    bench.api.answers.append(Posted(RUNNING))
    bench.cluster.faults += [None, *[Fault.LOST] * lost]
    effects = await bench.reconcile()
    assert effects == [*START, *["status lost: Owned"] * lost, "status: Owned", "ledger: closed"]


@pytest.mark.parametrize("steps", [1, 3])
async def test_start_outcome_is_recorded_later_without_a_poll(bench: Bench, steps: int) -> None:
    """A later reconcile must not poll, either: the model may show the start late."""
    bench.api.answers.append(Posted(None))
    bench.cluster.faults += [None, *[Fault.LOST] * RECORD_ATTEMPTS * steps]
    for _ in range(steps):
        with pytest.raises(UnavailableError):
            await bench.reconcile()
    assert bench.ledger.in_flight(7) is not None
    assert await bench.reconcile() == ["status: Owned", "ledger: closed"]
    assert bench.status.run is not None
    assert bench.status.run.intent is None
    bench.api.model = RUNNING
    assert (await bench.reconcile())[0] == "poll"


async def test_unknown_outcome_recorded_late_is_resolved_by_polls(bench: Bench) -> None:
    bench.api.answers.append(LOST)
    bench.cluster.faults += [None, *[Fault.LOST] * RECORD_ATTEMPTS]
    with pytest.raises(UnavailableError):
        await bench.reconcile()
    assert await bench.reconcile() == ["status: intent"]
    bench.api.model = RUNNING
    assert await bench.reconcile() == ["poll", "status: Unconfirmed", "ledger: closed"]


async def test_start_outcome_survives_other_writes(bench: Bench) -> None:
    bench.api.answers.append(Posted(RUNNING))

    def is_touched() -> None:
        bench.cluster.put(cast("Training", bench.cluster.training))

    bench.cluster.faults += [None, is_touched, is_touched]
    assert await bench.reconcile() == [*START, "status: Owned", "ledger: closed"]


async def test_late_recorded_outcome_survives_a_conflict(
    bench: Bench,
) -> None:
    bench.api.answers.append(Posted(None))
    bench.cluster.faults += [None, *[Fault.LOST] * RECORD_ATTEMPTS]
    with pytest.raises(UnavailableError):
        await bench.reconcile()
    bench.cluster.put(cast("Training", bench.cluster.training))
    assert await bench.reconcile() == ["status: Owned", "ledger: closed"]


async def test_outcome_recorded_by_a_lost_reply_is_not_repeated(
    bench: Bench,
) -> None:
    bench.api.answers.append(Posted(RUNNING))
    bench.api.model = a_model(2)
    bench.cluster.faults += [None, Fault.REPLY_LOST]
    bench.api.on_post = lambda: setattr(bench.api, "model", RUNNING)
    effects = await bench.reconcile()
    assert effects[: len(START) + 2] == [*START, "status: Owned", "poll"]
    assert effects[-1] == "ledger: closed"
    assert effects.count("POST") == 1


async def test_start_of_another_installation_resolves_once_it_is_gone(bench: Bench) -> None:
    """The POST may have acted: the other installation's ledger has the start, this one has none."""
    bench.api.answers.append(LOST)
    await bench.reconcile()
    started = cast("Training", bench.cluster.training)
    other = ServedBy(namespace="elsewhere", renewed_at=bench.time.moment)
    bench.add(started.with_status(replace(started.status, served_by=other)))
    bench.config_map.text = Ledger().model_dump_json(by_alias=True)
    await bench.ledger.document.take_over_again()

    bench.time.moment = at(minutes=29)
    assert await bench.reconcile() == []
    bench.time.moment = at(minutes=30)
    bench.api.model = a_model(3, started_at=EIGHT)
    assert await bench.reconcile() == [
        "ledger: open",
        "poll",
        "status: Unconfirmed",
        "ledger: closed",
    ]


@pytest.mark.parametrize(
    "known", ["nothing", "an older start of the resource", "a start of a deleted resource"]
)
@pytest.mark.parametrize("way", ["no installation is named", "restored from a backup"])
async def test_intent_of_another_ledger_is_resolved(bench: Bench, way: str, known: str) -> None:
    """Such an intent may have been sent: it is neither aborted nor does it wait forever."""
    bench.api.answers.append(LOST)
    await bench.reconcile()
    started = cast("Training", bench.cluster.training)
    ledger, in_flight = with_start_begun(Ledger(), started, EIGHT)
    if known != "nothing":
        older = replace(in_flight, nonce="older", uid=in_flight.uid if "older" in known else "gone")
        ledger = replace(ledger, in_flight_starts={older.model_id: older})
    if way == "restored from a backup":
        started = replace(started, created_at=at(minutes=5))
    else:
        started = started.with_status(replace(started.status, served_by=None))
    bench.add(started)
    bench.config_map.text = (ledger if known != "nothing" else Ledger()).model_dump_json(
        by_alias=True
    )
    await bench.ledger.document.take_over_again()
    bench.time.moment = at(minutes=10)
    bench.api.model = a_model(3, started_at=EIGHT)
    effects = await bench.reconcile()
    assert "POST" not in effects
    assert "status: Unconfirmed" in effects
    assert bench.ledger.in_flight(7) is None


async def test_outcome_of_another_intent_is_not_recorded(bench: Bench) -> None:
    """A restored older status says nothing of this start."""
    bench.api.answers.append(Posted(RUNNING))
    training = cast("Training", bench.cluster.training)
    bench.cluster.faults += [None, lambda: bench.cluster.is_put(training)]
    bench.api.on_post = lambda: setattr(bench.api, "model", RUNNING)
    effects = await bench.reconcile()
    assert effects[: len(START) + 1] == [*START, "poll"]
    assert effects.count("POST") == 1


@pytest.mark.parametrize(
    ("answer", "closes"),
    [
        pytest.param(Posted(None), True, id="accepted"),
        pytest.param(PostFailed(call_failed(FailureKind.RATE_LIMITED)), True, id="refused"),
        pytest.param(LOST, False, id="not known"),
    ],
)
@pytest.mark.parametrize("recreated", [False, True], ids=["gone", "recreated"])
async def test_outcome_of_a_deleted_resources_start_stays_in_ledger(
    bench: Bench,
    answer: Posted | PostFailed,
    closes: bool,  # noqa: FBT001 - the expected value
    recreated: bool,  # noqa: FBT001 - both sides
) -> None:
    """A poll may still show the model idle, and the next resource would start it again."""
    bench.api.answers.append(answer)

    def is_deleted() -> None:
        bench.store.remove(NAME)
        bench.cluster.training = None
        if recreated:
            bench.cluster.training = a_training(uid="another")

    bench.api.on_post = is_deleted
    with pytest.raises(GoneError):
        await bench.reconcile()
    assert (bench.cluster.effects_log == [*START, "ledger: closed"]) == closes
    assert (bench.ledger.in_flight(7) is None) == closes
    assert (bench.ledger.latest_run(7) is not None) == (isinstance(answer, Posted))


@pytest.mark.parametrize("recreated", [False, True], ids=["gone", "re-created"])
async def test_start_of_a_deleted_resource_is_aborted(
    bench: Bench,
    recreated: bool,  # noqa: FBT001 - both sides
) -> None:
    """Without a finalizer, only the store shows the deletion to the caller."""
    bench.api.answers.append(PostFailed(call_failed(FailureKind.NOT_SENT)))

    def is_deleted() -> None:
        bench.store.remove(NAME)
        bench.cluster.training = None
        if recreated:
            bench.cluster.training = a_training(uid="another")
            bench.store.put(bench.cluster.training)

    bench.api.on_post = is_deleted
    with pytest.raises(GoneError):
        await bench.reconcile()
    assert bench.cluster.effects_log == [*START, "ledger: closed"]
    assert (bench.starts_left, bench.charges, bench.ledger.in_flight(7)) == (3, 0, None)
    assert bench.ledger.latest_run(7) is None


async def test_unresolved_start_is_resolved_after_the_next_poll(
    bench: Bench,
) -> None:
    bench.api.answers.append(Posted(RUNNING))
    bench.api.on_post = lambda: bench.config_map.write_faults.append(Fault.LOST)
    await bench.reconcile()
    assert bench.status.phase == "Running"
    bench.api.model = RUNNING
    assert await bench.reconcile() == ["poll", "status: Owned", "ledger: closed"]
    assert bench.ledger.latest_run(7) == LatestRun(at=EIGHT)
    assert bench.config_map.ledger.in_flight_starts == {}


@pytest.mark.parametrize(
    ("instead", "is_regular"),
    [
        pytest.param(PollDeferred(5.0), True, id="deferred"),
        pytest.param(Blocked(failure(FailureReason.SECRET_NOT_FOUND, "gone")), False, id="no key"),
        pytest.param(StartLedgerNotWritable(), False, id="no ledger"),
    ],
)
async def test_blocked_poll_takes_no_share_of_the_polls(
    bench: Bench,
    instead: Observation,
    is_regular: bool,  # noqa: FBT001 - both ways
) -> None:
    bench.schedulers.acquire_poll(KEY.fingerprint, NAME, PollRequest(PollPriority.WAITING, 1.0))
    bench.api.instead = instead
    await bench.reconcile()
    assert (
        bench.schedulers.granted_interval(KEY.fingerprint, PollPriority.WAITING).shortest > 1
    ) == is_regular


async def test_poll_for_an_edited_gate_keeps_its_dispatch(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = failure(FailureReason.QUALITY_GATE_FAILED, "missed")
    ended = followed(finished_at=EIGHT, failure=why, observed_generation=0)
    gate = {"max_word_error_rate": "10"}
    bench.add(a_training(status=ended, quality_gate=gate, log={"collect": "Never"}))
    bench.api.instead = PollDeferred(5.0)
    finish_reconcile: list[dict[str, object]] = []
    monkeypatch.setattr(
        bench.schedulers, "finish_reconcile", lambda _, **facts: finish_reconcile.append(facts)
    )
    await bench.reconcile()
    awaited = {"is_polled": True, "awaits_poll": True, "next_poll": None}
    assert finish_reconcile == [{"is_queued": False, **awaited}]
    bench.api.instead, bench.api.model = None, a_model(4, started_at=EIGHT)
    await bench.reconcile()
    over = {"is_polled": False, "awaits_poll": False, "next_poll": None}
    assert finish_reconcile[1:] == [{"is_queued": False, **over}]
    assert bench.status.metrics is not None
