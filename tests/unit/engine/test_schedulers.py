"""engine/schedulers.py: the key of a resource, the work queue's triggers, and unused keys."""

import logging
import math
from dataclasses import dataclass, field

import pytest

from scriptix_operator.api.status import Queue
from scriptix_operator.core.model.remote import CallFailure, FailureKind
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.reconcile.vocabulary import StartQueued
from scriptix_operator.core.scheduling.calls import Answer, Call, CallPermit
from scriptix_operator.core.scheduling.circuit_breaker import OpenCause, OpenCircuit
from scriptix_operator.core.scheduling.fair_queue import DISPATCH_TIMEOUT
from scriptix_operator.core.scheduling.poll_scheduler import PollPriority, PollRequest
from scriptix_operator.core.scheduling.queue_positions import SETTLING
from scriptix_operator.core.scheduling.start_queue import QueueEntry, queue_entry_of
from scriptix_operator.engine.schedulers import KeySchedulers, NextPoll
from scriptix_operator.engine.work_queue import WorkQueue
from tests.unit.core.builders import EIGHT, a_training, at
from tests.unit.engine.clocks import Time
from tests.unit.log_lines import fields_of

KEY, OTHER_KEY = "0123456789ab", "ba9876543210"
LIMITS = {
    Call.START: (Limit(2, 3600.0),),
    Call.STATUS: (Limit(10, 60.0),),
    Call.LOG: (Limit(4, 3600.0),),
}
NOT_SENT = CallFailure(FailureKind.NOT_SENT, "no connection")
REJECTED = CallFailure(FailureKind.UNAUTHORIZED, "HTTP 401", 401)
REFUSED = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=7200.0)


@dataclass
class Bench:
    """Key schedulers on a clock, with a work queue."""

    time: Time = field(default_factory=Time)

    def __post_init__(self) -> None:
        """Create the work queue and the key schedulers."""
        self.work_queue = WorkQueue(self.time.monotonic)
        self.schedulers = KeySchedulers(LIMITS, self.work_queue, self.time, lambda: 1.0)

    def poll(self, name: str, key: str = KEY) -> CallPermit | OpenCircuit | float:
        """Request a poll."""
        request = PollRequest(PollPriority.RUNNING, 60.0)
        return self.schedulers.acquire_poll(key, a_key(name), request)

    def polled(self, name: str, failure: CallFailure | None = None, *, key: str = KEY) -> None:
        """Poll, and answer at once."""
        permit = self.poll(name, key)
        assert isinstance(permit, CallPermit)
        self.schedulers.complete(key, permit, Answer(7, failure))

    def start(self, name: str, key: str = KEY) -> StartQueued | None:
        """Start, and answer at once; returns the queue position if the start is not granted."""
        permit = self.schedulers.acquire_start(key, a_queue_entry(name))
        if isinstance(permit, StartQueued):
            return permit
        assert isinstance(permit, CallPermit)
        self.schedulers.complete(key, permit, Answer(7))
        return None

    def open_causes(self) -> list[OpenCause]:
        """The causes of the open circuits of keys in use, for the metrics."""
        used = [state for state in self.schedulers.states().values() if state.is_used]
        return [state.open_cause for state in used if state.open_cause is not None]

    async def triggered(self) -> str:
        """Take out all due resources."""
        names = []
        while (due := await self.work_queue.next(0)) is not None:
            names.append(due[0].name)
        return " ".join(names)


def a_key(name: str) -> TrainingKey:
    """A resource."""
    return TrainingKey("team-a", name)


def a_queue_entry(name: str) -> QueueEntry:
    """A resource that could start; shorter names are older."""
    return queue_entry_of(a_training(name=name, created_at=at(seconds=len(name))), EIGHT)


@pytest.fixture
def bench() -> Bench:
    """Return key schedulers with two starts an hour and ten polls a minute."""
    made = Bench()
    # Earlier calls are not known: no bursts in the first window.
    made.schedulers.of(KEY)
    made.schedulers.of(OTHER_KEY)
    made.time.seconds = 60.0
    return made


# Triggers.


async def test_waiting_resource_is_triggered_when_dispatched(bench: Bench) -> None:
    asked = [bench.poll(name) for name in ("a", "b", "c", "d")]
    assert [isinstance(permit, CallPermit) for permit in asked] == [True, True, False, False]
    assert await bench.triggered() == ""
    bench.time.seconds += 6
    assert await bench.triggered() == "c"
    assert isinstance(bench.poll("c"), CallPermit)
    bench.time.seconds += 6
    assert await bench.triggered() == "d"


async def test_earlier_due_time_is_kept(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.poll(name)
    bench.work_queue.set(a_key("c"), 1.0)
    bench.poll("c")
    bench.time.seconds += 1
    assert await bench.triggered() == "c"


@pytest.mark.parametrize("way", ["forgotten", "another key", "reconcile ended", "failed"])
async def test_next_resource_is_triggered_after_one_has_left(bench: Bench, way: str) -> None:
    for name in ("a", "b", "c", "d"):
        bench.poll(name)
    match way:
        case "forgotten":
            bench.schedulers.forget(a_key("c"))
        case "another key":
            bench.poll("c", OTHER_KEY)
        case "reconcile ended":
            bench.schedulers.finish_reconcile(a_key("c"), is_queued=False, is_polled=True)
        case _:
            bench.schedulers.finish_reconcile(a_key("c"), is_queued=False)
    bench.work_queue.drop(a_key("c"))
    bench.time.seconds += 6
    assert await bench.triggered() == "d"


async def test_tick_triggers_the_resource_behind_an_absent_one(bench: Bench) -> None:
    for name in ("a", "b", "c", "d"):
        bench.poll(name)
    for name in ("c", "d"):
        bench.work_queue.drop(a_key(name))
    bench.time.seconds += 6 + DISPATCH_TIMEOUT + 0.1
    bench.schedulers.tick()
    assert await bench.triggered() == "d"


async def test_next_start_is_triggered_after_a_cancelled_one(bench: Bench) -> None:
    permit = bench.schedulers.acquire_start(KEY, a_queue_entry("a"))
    assert isinstance(permit, CallPermit)
    assert bench.start("bb") is not None
    bench.schedulers.cancel(KEY, permit)
    assert await bench.triggered() == "bb"
    assert bench.start("bb") is None


# The key of a resource.


def test_keys_are_independent(bench: Bench) -> None:
    for name in ("a", "b", "c"):
        bench.poll(name)
        bench.start(name)
    assert isinstance(bench.poll("d", OTHER_KEY), CallPermit)
    assert bench.start("dddd", OTHER_KEY) is None
    assert bench.start("eeeee") is not None
    assert bench.schedulers.granted_interval(OTHER_KEY, PollPriority.RUNNING).granted(60) == 60


def test_a_new_key_takes_a_resource_out_of_the_queue_of_the_old(bench: Bench) -> None:
    """Otherwise no resource behind it would ever be granted a start."""
    for name in ("a", "bb", "ccc", "dddd"):
        bench.start(name)
    assert bench.schedulers.is_queued(a_key("ccc"))
    for name in ("a", "bb", "ccc", "dddd"):
        bench.start(name, OTHER_KEY)
    assert not bench.schedulers.of(KEY).is_queued(a_key("ccc"))
    assert bench.schedulers.of(OTHER_KEY).is_queued(a_key("ccc"))
    bench.time.seconds += 3600.0
    assert bench.start("eeeee") is None


def test_unknown_resource_is_in_no_queue(bench: Bench) -> None:
    assert not bench.schedulers.is_queued(a_key("never-seen"))
    bench.schedulers.finish_reconcile(a_key("never-seen"), is_queued=False)
    bench.schedulers.forget(a_key("never-seen"))


def test_queue_position_has_a_time_of_day(bench: Bench) -> None:
    bench.time.seconds = 0
    assert [bench.start(name) for name in ("a", "bb")] == [None, None]
    # The wait may be over before the first snapshot of the positions.
    assert bench.start("ccc") == StartQueued(None, SETTLING)
    bench.time.seconds = SETTLING
    queued = bench.schedulers.check_queue(KEY, a_queue_entry("ccc"))
    assert queued is not None
    assert queued.queue == Queue(position=1, of=1, estimated_start_at=at(hours=1))
    bench.time.seconds = 3600.0
    assert bench.schedulers.check_queue(KEY, a_queue_entry("ccc")) is None
    assert bench.start("ccc") is None


# Resources that are due for a poll only.


def _waits(bench: Bench, at_latest: float = math.inf) -> None:
    """Let `c` be due for a poll behind the ones of `a` and `b`, which use up the burst."""
    for name in ("a", "b"):
        bench.poll(name)
    bench.poll("c")
    bench.schedulers.finish_reconcile(
        a_key("c"),
        is_queued=False,
        is_polled=True,
        awaits_poll=True,
        next_poll=NextPoll(PollRequest(PollPriority.RUNNING, 60.0), at_latest),
    )


def test_resource_is_not_reconciled_before_its_poll_has_a_permit(bench: Bench) -> None:
    _waits(bench)
    assert bench.schedulers.await_poll(a_key("c")) == 6
    bench.time.seconds += 6
    assert bench.schedulers.await_poll(a_key("c")) is None
    assert isinstance(bench.poll("c"), CallPermit)


def test_resource_that_joins_when_due_is_triggered_for_its_permit(bench: Bench) -> None:
    bench.polled("c")
    request = PollRequest(PollPriority.RUNNING, 60.0)
    bench.schedulers.finish_reconcile(
        a_key("c"), is_queued=False, is_polled=True, next_poll=NextPoll(request, math.inf)
    )
    bench.poll("a")
    assert bench.schedulers.await_poll(a_key("c")) == 6


@pytest.mark.parametrize("way", ["changed", "deleted", "late", "reconciled", "never polled"])
def test_resource_that_is_due_for_more_is_reconciled_at_once(bench: Bench, way: str) -> None:
    _waits(bench, at_latest=3.0 if way == "late" else math.inf)
    key = a_key("d" if way == "never polled" else "c")
    match way:
        case "changed":
            bench.schedulers.reconcile_when_due(key)
        case "deleted":
            bench.schedulers.forget(key)
        case "late":
            assert bench.schedulers.await_poll(key) == 3
            bench.time.seconds += 3
        case "reconciled":
            bench.schedulers.finish_reconcile(key, is_queued=False, is_polled=True)
        case _:
            assert way == "never polled"
    assert bench.schedulers.await_poll(key) is None


def test_open_circuit_is_found_out_by_a_reconcile(bench: Bench) -> None:
    bench.polled("a", REJECTED)
    request = PollRequest(PollPriority.RUNNING, 60.0)
    bench.schedulers.finish_reconcile(
        a_key("a"), is_queued=False, is_polled=True, next_poll=NextPoll(request, math.inf)
    )
    assert bench.schedulers.await_poll(a_key("a")) is None


# Unused keys.


def test_unused_key_without_counting_calls_is_removed(bench: Bench) -> None:
    bench.schedulers.of(KEY).charged_sources.add("Secret/team-a/api-key")
    bench.polled("a")
    bench.time.seconds += 59
    bench.schedulers.forget(a_key("a"))
    bench.polled("b", key=OTHER_KEY)
    bench.schedulers.states()
    assert set(bench.schedulers._schedulers) == {KEY, OTHER_KEY}
    bench.time.seconds += 1
    bench.schedulers.states()
    assert set(bench.schedulers._schedulers) == {OTHER_KEY}
    bench.time.seconds += 60  # no call counts, but a resource uses the key
    bench.schedulers.states()
    assert set(bench.schedulers._schedulers) == {OTHER_KEY}
    # What was restored is restored again when a resource uses the key once more.
    assert bench.schedulers.of(KEY).charged_sources == set()


def test_key_with_a_call_in_flight_or_a_hold_is_kept(bench: Bench) -> None:
    permit = bench.poll("a")
    assert isinstance(permit, CallPermit)
    bench.schedulers.forget(a_key("a"))
    bench.time.seconds += 9000
    bench.schedulers.states()
    bench.schedulers.complete(KEY, permit, Answer(7, REFUSED))
    bench.time.seconds += 3000
    bench.schedulers.states()
    assert bench.schedulers.wait(KEY, Call.STATUS) > 0


@pytest.mark.parametrize("way", ["has another key", "has ended"])
def test_circuit_of_an_unused_key_is_not_reported_as_open(bench: Bench, way: str) -> None:
    bench.polled("a", REJECTED)
    assert bench.open_causes() == [OpenCause.KEY_REJECTED]
    if way == "has ended":
        bench.schedulers.finish_reconcile(a_key("a"), is_queued=False)
    else:
        bench.poll("a", OTHER_KEY)
    assert bench.open_causes() == []


def test_state_of_a_key_shows_the_use_of_its_quotas(bench: Bench) -> None:
    bench.start("a")
    permit = bench.schedulers.acquire_start(KEY, a_queue_entry("a"))
    assert isinstance(permit, CallPermit)
    bench.polled("b")
    start, poll = (Limit(2, 3600.0), 2), (Limit(10, 60.0), 1)
    quotas = bench.schedulers.states()[KEY].quotas
    assert (quotas[Call.START], quotas[Call.STATUS]) == ((start,), (poll,))
    bench.schedulers.complete(KEY, permit, Answer(7, NOT_SENT))
    bench.time.seconds += 60
    quotas = bench.schedulers.states()[KEY].quotas
    assert [quotas[call][0].used for call in Call] == [1, 0, 0]


def test_state_of_a_key_lasts_as_long_as_its_charges(bench: Bench) -> None:
    bench.start("a")
    bench.schedulers.forget(a_key("a"))
    bench.schedulers.states()
    assert {key: state.is_used for key, state in bench.schedulers.states().items()} == {KEY: False}
    bench.time.seconds += 3600
    bench.schedulers.states()
    assert bench.schedulers.states() == {}


def test_many_new_keys_leave_only_counting_ones(bench: Bench) -> None:
    for number in range(1440):
        bench.time.seconds += 60
        bench.polled("a", key=f"key{number}")
        bench.schedulers.states()
    assert len(bench.schedulers._schedulers) <= 3


def test_open_circuit_of_a_dropped_key_is_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench.polled("a", REJECTED)
    bench.schedulers.forget(a_key("a"))
    for _ in range(2):
        bench.time.seconds += 9000
        bench.schedulers.states()
    [record] = caplog.records
    assert record.getMessage().startswith("the circuit breaker is dropped: ")
    assert fields_of(record) == {"keyFingerprint": KEY}
