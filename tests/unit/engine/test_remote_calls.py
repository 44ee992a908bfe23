"""engine/remote_calls.py: poll requests; engine/start_sender.py: send window, and fence."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import cast

import pytest

from scriptix_operator.api.status import PendingEnd, TrainingStatus
from scriptix_operator.core.ledger.ledger import Ledger
from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.model.remote import CallFailure, FailureKind, RemoteModel
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.reconcile.call_results import Posted, PostFailed
from scriptix_operator.core.reconcile.vocabulary import ModelPolled, Observation, PollDeferred
from scriptix_operator.core.scheduling.calls import Call, CallPermit
from scriptix_operator.core.scheduling.poll_scheduler import PollPriority, PollRequest
from scriptix_operator.core.scheduling.start_queue import queue_entry_of
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.coverage import Coverage
from scriptix_operator.engine.fence import Fence
from scriptix_operator.engine.metered_calls import MeteredCalls, OnRateInfo
from scriptix_operator.engine.quota_restore import QuotaRestore
from scriptix_operator.engine.remote_calls import RemoteCalls
from scriptix_operator.engine.schedulers import KeySchedulers
from scriptix_operator.engine.shutdown import Shutdown
from scriptix_operator.engine.start_ledger import StartLedger
from scriptix_operator.engine.start_sender import SEND_MARGIN, StartPermit, StartSender
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.engine.work_queue import WorkQueue
from scriptix_operator.kube.secrets import Keys
from scriptix_operator.scriptix.client import ScriptixClient
from scriptix_operator.scriptix.errors import AmbiguousError, NotSentError
from scriptix_operator.telemetry.metrics import Metrics
from tests.unit.core.builders import EIGHT, KEY, a_run, a_training, at, followed
from tests.unit.engine.fake_ledger import FakeLedgerConfigMap, Fault, complete
from tests.unit.log_lines import fields_of

WINDOW = 5.0
TIMEOUT = 10.0
"""Seconds after which a wait that would never end fails its test."""
LAST = WINDOW * (1 - SEND_MARGIN)
"""Seconds after the intent at which a start may still be sent."""


@dataclass
class Bench(Clock, Fence):
    """The faked clock, fence and API."""

    now_is: float = 100.0
    leads_until: float = math.inf
    loses_reply: bool = False
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    """Wait until the connection for a start is established."""
    may_reply: asyncio.Event = field(default_factory=asyncio.Event)
    shutdown: Shutdown = field(default_factory=Shutdown)
    store: TrainingStore = field(default_factory=TrainingStore)
    diary: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Put the started resource into the store."""
        self.store.put(a_training())
        self.connected.set()
        self.may_reply.set()

    def now(self) -> datetime:
        """Wall time."""
        return EIGHT

    def monotonic(self) -> float:
        """Seconds."""
        return self.now_is

    def arm(self, deadline: float) -> int:
        """Record the call."""
        self.diary.append(f"armed for {deadline - 100:g}")
        return 1

    def disarm(self, number: int) -> None:
        """Record the call."""
        self.diary.append(f"disarmed {number}")

    async def run(  # noqa: PLR0913 - as ScriptixClient.run
        self,
        model_id: int,
        key: ApiKey,
        *,
        before_send: Callable[[], None],
        after_send: Callable[[], None],
        on_rate: OnRateInfo,
        on_flaw: Callable[[str], None],
    ) -> None:
        """Send as ScriptixClient.run does; the reply cannot be read."""
        del model_id, key, on_rate
        await self.connected.wait()
        try:
            before_send()
        except Exception as error:
            raise NotSentError(CallFailure(FailureKind.NOT_SENT, str(error))) from error
        self.diary.append("sent")
        if self.loses_reply:
            raise AmbiguousError(CallFailure(FailureKind.AMBIGUOUS, "reset"))
        after_send()
        await self.may_reply.wait()
        self.diary.append("replied")
        on_flaw("reply is not JSON")

    async def model(self, model_id: int, key: ApiKey, *, on_rate: OnRateInfo) -> RemoteModel:
        """Poll as ScriptixClient.model does; a field of the reply cannot be read."""
        del key, on_rate
        flaw = "training_progress: expected a number"
        return RemoteModel(model_id, 3, unreadable=("training_progress",), flaw=flaw)

    async def resolve(self, training: Training) -> ApiKey:
        """Return the key as Keys.resolve does."""
        del training
        return ApiKey("k", source=KEY.source)

    async def poll(self, training: Training) -> PollRequest:
        """Poll without quota and with an unreadable ledger; returns the poll request."""
        schedulers, config_map = self._schedulers(), FakeLedgerConfigMap()
        config_map.read_faults.extend([Fault.LOST] * 9)
        asked: list[PollRequest] = []

        def acquire_poll(fingerprint: str, key: TrainingKey, request: PollRequest) -> float:
            del fingerprint, key
            asked.append(request)
            return 1.0

        schedulers.acquire_poll = acquire_poll  # type: ignore[method-assign]
        assert isinstance(await self._caller(schedulers, config_map).poll(training), PollDeferred)
        return asked[0]

    async def poll_followed(self) -> Observation:
        """Poll the model of a run that is followed."""
        caller = self._caller(self._schedulers(), FakeLedgerConfigMap(Ledger()))
        return await caller.poll(a_training(status=followed()))

    async def start(self) -> Posted | PostFailed:
        """Send a start that was begun at 100."""
        schedulers = self._schedulers()
        key = ApiKey("k", source=KEY.source)
        permit = schedulers.acquire_start(key.fingerprint, queue_entry_of(a_training(), EIGHT))
        assert isinstance(permit, CallPermit)
        sender = StartSender(
            client=cast("ScriptixClient", self),
            calls=self._caller(schedulers, FakeLedgerConfigMap()).calls,
            store=self.store,
            clock=self,
            fence=self,
            send_until=lambda: self.leads_until,
            send_window=WINDOW,
            shutdown=self.shutdown,
        )
        start_permit = StartPermit(schedulers, key, permit, revision=1)
        return await sender.send(a_training(), start_permit, 100.0)

    def _schedulers(self) -> KeySchedulers:
        limits = dict.fromkeys(Call, (Limit(1, 3600.0),))
        return KeySchedulers(limits, WorkQueue(self.monotonic), self, lambda: 0.5)

    def _caller(self, schedulers: KeySchedulers, config_map: FakeLedgerConfigMap) -> RemoteCalls:
        ledger = StartLedger(
            config_map, TrainingStore(), complete, timedelta(hours=1), self, Metrics()
        )
        return RemoteCalls(
            client=cast("ScriptixClient", self),
            keys=cast("Keys", self),
            schedulers=schedulers,
            calls=MeteredCalls(schedulers, QuotaRestore(schedulers, ledger, self), self, Metrics()),
            store=self.store,
            coverage=Coverage(),
            clock=self,
            ledger=ledger,
        )


@pytest.mark.parametrize(
    ("after", "leads_for", "deadline"),
    [
        pytest.param(0, math.inf, 5, id="at once"),
        pytest.param(LAST, math.inf, 5, id="at the last moment"),
        pytest.param(0, 3, 3, id="the leadership ends before the window"),
        pytest.param(2, 2 + WINDOW - LAST, 3, id="at the last moment of the leadership"),
    ],
)
async def test_fence_is_armed_while_a_start_is_sent(
    after: float, leads_for: float, deadline: float
) -> None:
    bench = Bench(now_is=100 + after, leads_until=100 + leads_for)
    assert await bench.start() == Posted(None)
    assert bench.diary[:4] == [f"armed for {deadline:g}", "sent", "disarmed 1", "replied"]


@pytest.mark.parametrize(
    ("after", "leads_for", "why"),
    [
        pytest.param(LAST + 0.01, math.inf, "4.0 s have passed since the intent", id="too late"),
        pytest.param(99, math.inf, "99.0 s have passed since the intent", id="much too late"),
        pytest.param(2, 2.99, "not the leader any more, or not for long", id="not for long"),
        pytest.param(0, -math.inf, "is not the leader any more", id="not the leader"),
    ],
)
async def test_start_past_its_send_window_is_not_sent(
    after: float, leads_for: float, why: str
) -> None:
    bench = Bench(now_is=100 + after, leads_until=100 + leads_for)
    answer = await bench.start()
    assert isinstance(answer, PostFailed)
    assert answer.failure.kind is FailureKind.NOT_SENT
    assert why in answer.failure.message
    assert bench.diary == []


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(replace(a_training(), is_being_deleted=True), id="being deleted"),
        pytest.param(a_training(uid="another"), id="re-created"),
        pytest.param(None, id="gone"),
    ],
)
async def test_a_start_of_a_deleted_resource_is_not_sent(known: Training | None) -> None:
    bench = Bench()
    bench.store.remove(a_training().key)
    if known is not None:
        bench.store.put(known)
    answer = await bench.start()
    assert isinstance(answer, PostFailed)
    assert answer.failure.kind is FailureKind.NOT_SENT
    assert bench.diary == []


async def test_the_fence_is_disarmed_where_the_sending_fails() -> None:
    bench = Bench(loses_reply=True)
    assert isinstance(await bench.start(), PostFailed)
    assert bench.diary == ["armed for 5", "sent", "disarmed 1"]


async def test_shutdown_aborts_a_start_that_still_connects() -> None:
    bench = Bench()
    bench.connected.clear()
    start = asyncio.create_task(bench.start())
    await asyncio.sleep(0)
    bench.shutdown.begin()
    answer = await asyncio.wait_for(start, TIMEOUT)
    assert isinstance(answer, PostFailed)
    assert answer.failure.kind is FailureKind.NOT_SENT
    assert bench.diary == []


async def test_shutdown_lets_no_byte_leave_after_the_connection() -> None:
    bench = Bench()
    bench.connected.clear()
    start = asyncio.create_task(bench.start())
    await asyncio.sleep(0)
    bench.connected.set()
    bench.shutdown.begin()  # in the same cycle of the event loop
    answer = await asyncio.wait_for(start, TIMEOUT)
    assert isinstance(answer, PostFailed)
    assert answer.failure.kind is FailureKind.NOT_SENT
    assert bench.diary == []


async def test_shutdown_waits_for_the_reply_to_a_start_that_was_sent() -> None:
    bench = Bench()
    bench.may_reply.clear()
    start = asyncio.create_task(bench.start())
    await asyncio.sleep(0)
    assert bench.diary == ["armed for 5", "sent", "disarmed 1"]
    bench.shutdown.begin()
    await asyncio.sleep(0)
    bench.may_reply.set()
    assert await asyncio.wait_for(start, TIMEOUT) == Posted(None)


PENDING = PendingEnd(training_status=4, seen_at=EIGHT)


@pytest.mark.parametrize(
    ("status", "poll_request"),
    [
        pytest.param(followed(), PollRequest(PollPriority.RUNNING, 60.0), id="followed"),
        pytest.param(
            followed(run=a_run(ownership="Owned", pending_end=PENDING)),
            PollRequest(PollPriority.RESOLUTION, None),
            id="its end is pending",
        ),
        pytest.param(
            followed(finished_at=at(hours=8)),
            PollRequest(PollPriority.RESOLUTION, None),
            id="ended",
        ),
    ],
)
async def test_poll_for_results_has_the_priority_of_a_start(
    status: TrainingStatus, poll_request: PollRequest
) -> None:
    assert await Bench().poll(a_training(status=status)) == poll_request


OF_CALL = {
    "namespace": "team-a",
    "training": "cardiology",
    "modelId": 7,
    "keyFingerprint": ApiKey("k", "").fingerprint,
}


async def test_unreadable_poll_is_logged_with_its_call(caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(await Bench().poll_followed(), ModelPolled)
    [record] = caplog.records
    text = "not readable in the API's reply: training_progress: expected a number"
    assert record.getMessage() == text
    assert fields_of(record) == {**OF_CALL, "run": "run-1", "operation": "status"}


async def test_unreadable_start_is_logged_with_its_call(caplog: pytest.LogCaptureFixture) -> None:
    assert await Bench().start() == Posted(None)
    [record] = caplog.records
    assert record.getMessage() == "the start was accepted; reply is not JSON"
    assert fields_of(record) == {**OF_CALL, "operation": "start"}
