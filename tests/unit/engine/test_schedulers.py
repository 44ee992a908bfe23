"""engine/schedulers.py: which resource may call when, by key, and the work queue's triggers."""

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from scriptix_operator.api.status import Queue
from scriptix_operator.core.ledger.ledger import StartCharge
from scriptix_operator.core.ledger.observed_limits import StoredLimit
from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.window import Permit
from scriptix_operator.core.reconcile.vocabulary import StartQueued
from scriptix_operator.core.scheduling.circuit_breaker import (
    MODELS,
    TRIAL_INTERVAL,
    OpenCause,
    OpenCircuit,
)
from scriptix_operator.core.scheduling.fair_queue import DISPATCH_TIMEOUT
from scriptix_operator.core.scheduling.key_scheduler import Call
from scriptix_operator.core.scheduling.polls import PollPriority, PollRequest
from scriptix_operator.core.scheduling.queue_positions import SETTLING
from scriptix_operator.core.scheduling.start_queue import QueueEntry, queue_entry_of
from scriptix_operator.core.scheduling.starts import PATIENCE
from scriptix_operator.engine.schedulers import OPEN_CIRCUIT_WAIT, Answer, KeySchedulers
from scriptix_operator.engine.work_queue import WorkQueue
from tests.unit.core.builders import EIGHT, a_training, at
from tests.unit.engine.clocks import Time
from tests.unit.log_lines import fields_of

KEY, OTHER_KEY = "0123456789ab", "ba9876543210"
SOURCE, OTHER_SOURCE = "Secret/team-a/api-key", "Secret/team-b/api-key"
LIMITS = {
    Call.START: (Limit(2, 3600.0),),
    Call.STATUS: (Limit(10, 60.0),),
    Call.LOG: (Limit(4, 3600.0),),
}
SILENT = CallFailure(FailureKind.AMBIGUOUS, "no reply")
NOT_SENT = CallFailure(FailureKind.NOT_SENT, "no connection")


def refused(
    status: int,
    kind: FailureKind = FailureKind.RATE_LIMITED,
    **facts: Any,  # noqa: ANN401 - values of its fields
) -> CallFailure:
    """A call that was refused."""
    return CallFailure(kind, f"HTTP {status}", status, **facts)


REJECTED = refused(401, FailureKind.UNAUTHORIZED)


@dataclass
class Bench:
    """Key schedulers on a clock, with a work queue."""

    time: Time = field(default_factory=Time)

    def __post_init__(self) -> None:
        """Create the work queue and the key schedulers."""
        self.work_queue = WorkQueue(self.time.monotonic)
        self.schedulers = KeySchedulers(LIMITS, self.work_queue, self.time, lambda: 1.0)

    def poll(self, name: str, key: str = KEY) -> Permit | OpenCircuit | float:
        """Request a poll."""
        return self.schedulers.poll(key, a_key(name), PollRequest(PollPriority.RUNNING, 60.0))

    def polled(
        self, name: str, failure: CallFailure | None = None, *, key: str = KEY, model_id: int = 7
    ) -> bool:
        """Poll, and answer at once; returns whether a limit was observed."""
        permit = self.poll(name, key)
        assert isinstance(permit, Permit)
        return self.schedulers.answered(key, Call.STATUS, permit, Answer(model_id, failure))

    def start(self, name: str, key: str = KEY, **spec: Any) -> StartQueued | None:  # noqa: ANN401 - values of spec fields
        """Start, and answer at once; returns the queue position if the start is not granted."""
        permit = self.schedulers.start(key, a_queue_entry(name, **spec))
        if isinstance(permit, StartQueued):
            return permit
        assert isinstance(permit, Permit)
        self.schedulers.answered(key, Call.START, permit, Answer(7))
        return None

    def ratio(self, key: str = KEY) -> float:
        """The poll interval ratio of a key, for the metrics."""
        return self.schedulers.states()[key].poll_interval_ratio

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


def a_queue_entry(name: str, **spec: Any) -> QueueEntry:  # noqa: ANN401 - values of spec fields
    """A resource that could start; shorter names are older."""
    training = a_training(name=name, created_at=at(seconds=len(name)), **spec)
    return queue_entry_of(training, EIGHT)


@pytest.fixture
def bench() -> Bench:
    """Return key schedulers with two starts an hour and ten polls a minute."""
    made = Bench()
    # Earlier calls are not known: no bursts in the first window.
    made.schedulers.of(KEY)
    made.schedulers.of(OTHER_KEY)
    made.time.seconds = 60.0
    return made


# Polls.


async def test_waiting_resource_is_triggered_when_dispatched(bench: Bench) -> None:
    asked = [bench.poll(name) for name in ("a", "b", "c", "d")]
    assert [isinstance(permit, Permit) for permit in asked] == [True, True, False, False]
    assert await bench.triggered() == ""
    bench.time.seconds += 6
    assert await bench.triggered() == "c"
    assert isinstance(bench.poll("c"), Permit)
    bench.time.seconds += 6
    assert await bench.triggered() == "d"


async def test_earlier_due_time_is_kept(bench: Bench) -> None:
    for name in ("a", "b"):
        bench.poll(name)
    bench.work_queue.set(a_key("c"), 1.0)
    bench.poll("c")
    bench.time.seconds += 1
    assert await bench.triggered() == "c"


def test_keys_are_independent(bench: Bench) -> None:
    for name in ("a", "b", "c"):
        bench.poll(name)
        bench.start(name)
    assert isinstance(bench.poll("d", OTHER_KEY), Permit)
    assert bench.start("dddd", OTHER_KEY) is None
    assert bench.start("eeeee") is not None


def test_refusal_holds_polls_of_that_key_only(bench: Bench) -> None:
    bench.polled("a", refused(429, retry_after=30.0))
    assert bench.schedulers.wait(KEY, Call.STATUS) == 30
    assert bench.poll("b") == 30
    assert (
        bench.schedulers.wait(KEY, Call.START),
        bench.schedulers.wait(OTHER_KEY, Call.STATUS),
    ) == (0, 0)
    bench.time.seconds += 30
    assert isinstance(bench.poll("b"), Permit)


async def test_unsent_poll_costs_nothing(bench: Bench) -> None:
    bench.polled("a", NOT_SENT)
    assert isinstance(bench.poll("b"), Permit)
    assert isinstance(bench.poll("c"), Permit)
    assert not isinstance(bench.poll("d"), Permit)


@pytest.mark.parametrize(
    "way", ["leaves", "is not watched", "has not asked", "has failed", "has another key"]
)
async def test_unwanted_dispatch_passes_to_the_next(bench: Bench, way: str) -> None:
    for name in ("a", "b", "c", "d"):
        bench.poll(name)
    match way:
        case "leaves":
            bench.schedulers.leave(a_key("c"))
        case "is not watched":
            bench.schedulers.finish_reconcile(
                a_key("c"), is_queued=False, is_polled=False, awaits_poll=False
            )
        case "has not asked":  # for example its Secret is gone
            bench.schedulers.finish_reconcile(
                a_key("c"), is_queued=False, is_polled=True, awaits_poll=False
            )
        case "has failed":
            bench.schedulers.requeue_failed(a_key("c"))
        case _:
            bench.poll("c", OTHER_KEY)
    bench.work_queue.drop(a_key("c"))
    bench.time.seconds += 6
    assert await bench.triggered() == "d"


async def test_waiting_poll_stays_queued_after_the_reconcile(bench: Bench) -> None:
    for name in ("a", "b", "c", "d"):
        bench.poll(name)
        bench.schedulers.finish_reconcile(
            a_key(name), is_queued=False, is_polled=True, awaits_poll=True
        )
    bench.time.seconds += 6
    assert await bench.triggered() == "c"
    assert isinstance(bench.poll("c"), Permit)


async def test_key_scheduler_skips_an_absent_resource_automatically(
    bench: Bench,
) -> None:
    for name in ("a", "b", "c", "d"):
        bench.poll(name)
    for name in ("c", "d"):
        bench.work_queue.drop(a_key(name))
    bench.time.seconds += 6 + DISPATCH_TIMEOUT + 0.1
    bench.schedulers.tick()
    assert await bench.triggered() == "d"


def test_queued_or_failed_reconcile_takes_no_share_of_the_polls(bench: Bench) -> None:
    for number in range(30):
        bench.poll(f"t{number}")
        if 10 <= number < 20:
            bench.schedulers.finish_reconcile(
                a_key(f"t{number}"), is_queued=True, is_polled=True, awaits_poll=False
            )
        elif number >= 20:
            bench.schedulers.requeue_failed(a_key(f"t{number}"))
    assert bench.ratio() == pytest.approx(1)


def test_failed_reconcile_keeps_its_start_queue_position(bench: Bench) -> None:
    for name in ("a", "bb", "ccc"):
        bench.start(name)
    bench.schedulers.requeue_failed(a_key("ccc"))
    assert bench.schedulers.is_queued(a_key("ccc"))


def test_intervals_are_lengthened_for_a_shared_key(bench: Bench) -> None:
    assert bench.ratio() == 1
    for number in range(30):
        bench.poll(f"t{number}")
    assert bench.schedulers.granted_interval(KEY, PollPriority.RUNNING).kept(60) == pytest.approx(
        180
    )
    assert bench.schedulers.granted_interval(OTHER_KEY, PollPriority.RUNNING).kept(60) == 60
    assert bench.ratio() == pytest.approx(3)
    for number in range(30):
        bench.schedulers.finish_reconcile(
            a_key(f"t{number}"), is_queued=False, is_polled=number < 10, awaits_poll=False
        )
    assert bench.ratio() == pytest.approx(1)


# The circuit breaker.


def test_rejected_key_gets_a_trial_call_each_minute(bench: Bench) -> None:
    bench.polled("a", REJECTED)
    open_circuit = OpenCircuit(REJECTED, bench.time.monotonic())
    assert bench.open_causes() == [OpenCause.KEY_REJECTED]
    assert bench.poll("b") == open_circuit
    assert isinstance(bench.poll("b", OTHER_KEY), Permit)
    bench.time.seconds += TRIAL_INTERVAL - 0.001
    assert bench.poll("a") == open_circuit
    bench.time.seconds += 0.001
    probe = bench.poll("a")
    assert isinstance(probe, Permit)
    assert bench.poll("b") == open_circuit
    assert not bench.schedulers.answered(KEY, Call.STATUS, probe, Answer(7))
    assert bench.open_causes() == []
    bench.time.seconds += 6
    assert isinstance(bench.poll("b"), Permit)


def test_calls_after_an_outage_are_spread(bench: Bench) -> None:
    bench.polled("a", REJECTED)
    bench.time.seconds += 600
    bench.polled("a")
    assert bench.poll("b") == pytest.approx(6)


@pytest.mark.parametrize(
    ("call", "failure"),
    [
        pytest.param(Call.START, REJECTED, id="a refused start"),
        pytest.param(Call.LOG, REJECTED, id="a refused log"),
        pytest.param(Call.STATUS, refused(403, FailureKind.UNAUTHORIZED), id="one model's 403"),
        pytest.param(Call.STATUS, refused(404, FailureKind.NOT_FOUND), id="no such model"),
        pytest.param(Call.STATUS, refused(503, FailureKind.AMBIGUOUS), id="one without an answer"),
    ],
)
def test_other_failures_do_not_stop_the_key(bench: Bench, call: Call, failure: CallFailure) -> None:
    permit = bench.schedulers.of(KEY).limiters[call].acquire(bench.time.monotonic())
    bench.schedulers.answered(KEY, call, permit, Answer(7, failure))
    assert bench.open_causes() == []


def test_circuit_opens_after_failures_of_several_models(bench: Bench) -> None:
    for model_id in range(MODELS):
        bench.polled("a", SILENT, model_id=model_id)
        bench.time.seconds += 6
    assert bench.open_causes() == [OpenCause.API_UNREACHABLE]
    assert isinstance(bench.poll("b"), Permit)  # five seconds have passed: the trial call
    assert isinstance(bench.poll("c"), OpenCircuit)


def test_poll_given_up_in_an_outage_delays_no_other(bench: Bench) -> None:
    for name in ("a", "b", "c", "d"):
        bench.poll(name)
    scheduler = bench.schedulers.of(KEY)
    scheduler.breaker.answered(Permit(0.0), 7, REJECTED, bench.time.monotonic(), 1.0)
    assert isinstance(bench.poll("c"), OpenCircuit)
    bench.time.seconds += TRIAL_INTERVAL
    scheduler.breaker.answered(Permit(0.0), 7, None, bench.time.monotonic(), 1.0)
    assert isinstance(bench.poll("e"), Permit)


def test_no_log_is_fetched_while_the_circuit_is_open(bench: Bench) -> None:
    bench.polled("a", REJECTED)
    bench.time.seconds += TRIAL_INTERVAL  # a start is never a trial call: starts are few
    assert bench.schedulers.log(KEY, a_key("a"), has_ended=True) == OPEN_CIRCUIT_WAIT
    bench.polled("a")
    assert isinstance(bench.schedulers.log(KEY, a_key("a"), has_ended=True), Permit)
    assert bench.schedulers.log(KEY, a_key("b"), has_ended=False) == 900


def test_no_start_is_made_while_the_circuit_is_open(bench: Bench) -> None:
    """The circuit may open between the last poll of a model and its start."""
    bench.schedulers.check_queue(KEY, a_queue_entry("a"))
    open_circuit = OpenCircuit(REJECTED, bench.time.monotonic())
    bench.polled("bb", REJECTED)
    assert bench.schedulers.start(KEY, a_queue_entry("a")) == open_circuit
    bench.time.seconds += TRIAL_INTERVAL
    assert bench.schedulers.start(KEY, a_queue_entry("a")) == open_circuit
    assert bench.schedulers.is_queued(a_key("a"))
    bench.polled("bb")
    assert isinstance(bench.schedulers.start(KEY, a_queue_entry("a")), Permit)


# Starts.


def test_starts_go_by_priority_then_age(bench: Bench) -> None:
    bench.time.seconds = 0
    assert bench.start("a") is None
    assert bench.start("bb") is None
    bench.start("ccc")
    bench.start("dddd", priority=5)
    assert bench.start("eeeee") == StartQueued(
        None, SETTLING
    )  # the other start may be over by then
    bench.time.seconds = SETTLING
    urgent, second, youngest = (
        bench.schedulers.check_queue(KEY, a_queue_entry(name, **spec))
        for name, spec in (("dddd", {"priority": 5}), ("ccc", {}), ("eeeee", {}))
    )
    assert urgent is not None
    assert urgent.queue == Queue(position=1, of=3, estimated_start_at=at(hours=1))
    assert second is not None
    assert second.queue == Queue(position=2, of=3, estimated_start_at=at(hours=1))
    assert youngest is not None
    assert youngest.queue == Queue(position=3, of=3, estimated_start_at=at(hours=2))
    bench.time.seconds = 3600.0
    assert bench.start("eeeee") is not None
    assert bench.start("dddd", priority=5) is None


async def test_next_resource_is_triggered_when_a_start_is_free(bench: Bench) -> None:
    for name in ("a", "bb", "ccc", "dddd"):
        bench.start(name)
    assert await bench.triggered() == ""
    bench.time.seconds += 3600
    assert await bench.triggered() == "ccc"
    assert bench.start("ccc") is None
    assert await bench.triggered() == "dddd"


async def test_positions_are_reported_without_a_request(bench: Bench) -> None:
    for name in ("a", "bb", "ccc", "dddd"):
        bench.start(name)
    bench.time.seconds += SETTLING
    bench.schedulers.tick()
    assert await bench.triggered() == "ccc dddd"


def test_asking_for_the_position_uses_no_start(bench: Bench) -> None:
    assert bench.schedulers.check_queue(KEY, a_queue_entry("a")) is None
    assert bench.schedulers.check_queue(KEY, a_queue_entry("a")) is None
    assert bench.schedulers.is_queued(a_key("a"))
    assert len(bench.schedulers.of(KEY).starts) == 1
    assert isinstance(bench.schedulers.start(KEY, a_queue_entry("a")), Permit)
    assert not bench.schedulers.is_queued(a_key("a"))
    place = bench.schedulers.check_queue(KEY, a_queue_entry("bb"))
    # One at a time, until a whole window was accepted.
    assert place == StartQueued(None, PATIENCE)
    assert not bench.schedulers.is_queued(a_key("never-seen"))


def test_resource_that_leaves_delays_no_other(bench: Bench) -> None:
    for name in ("a", "bb", "ccc", "dddd"):
        bench.start(name)
    bench.schedulers.leave(a_key("ccc"))
    bench.schedulers.leave(a_key("never-there"))
    bench.start("eeeee")
    assert len(bench.schedulers.of(KEY).starts) == 2


def test_a_new_key_takes_a_resource_out_of_the_queue_of_the_old(bench: Bench) -> None:
    """Otherwise no resource behind it would ever be granted a start."""
    for name in ("a", "bb", "ccc", "dddd"):
        bench.start(name)
    for name in ("a", "bb", "ccc", "dddd"):
        bench.start(name, OTHER_KEY)
    assert len(bench.schedulers.of(KEY).starts) == 0
    bench.time.seconds += 3600.0
    assert bench.start("eeeee") is None


@pytest.mark.parametrize("answered", [False, True], ids=["given back", "answered"])
async def test_unsent_start_is_free_for_the_next(
    bench: Bench,
    answered: bool,  # noqa: FBT001 - both ways
) -> None:
    permit = bench.schedulers.start(KEY, a_queue_entry("a"))
    assert isinstance(permit, Permit)
    assert bench.start("bb") is not None
    if answered:
        bench.schedulers.answered(KEY, Call.START, permit, Answer(7, NOT_SENT))
    else:
        bench.schedulers.cancel(KEY, permit)
    assert await bench.triggered() == "bb"
    assert bench.start("bb") is None
    assert bench.schedulers.wait(KEY, Call.START) == 0


def test_reconcile_without_a_queue_entry_leaves_the_queue(bench: Bench) -> None:
    for name in ("a", "bb", "ccc", "dddd"):
        bench.start(name)
    bench.schedulers.finish_reconcile(
        a_key("ccc"), is_queued=True, is_polled=True, awaits_poll=False
    )
    assert bench.schedulers.is_queued(a_key("ccc"))
    bench.schedulers.finish_reconcile(
        a_key("ccc"), is_queued=False, is_polled=True, awaits_poll=False
    )
    assert not bench.schedulers.is_queued(a_key("ccc"))
    bench.time.seconds += 3600
    assert bench.start("dddd") is None
    bench.schedulers.finish_reconcile(
        a_key("never-seen"), is_queued=False, is_polled=False, awaits_poll=False
    )


# Unused keys.


def test_unused_key_without_counting_calls_is_removed(
    bench: Bench,
) -> None:
    bench.schedulers.recall(KEY, SOURCE, [a_charge(0)], [])
    bench.schedulers.learn(KEY, {})
    bench.polled("a")
    bench.polled("b")
    bench.time.seconds += 3000
    bench.schedulers.drop_unused()
    bench.schedulers.leave(a_key("a"))
    bench.polled("b", key=OTHER_KEY)
    bench.schedulers.drop_unused()
    # The key's start still counts when another resource uses the key.
    assert bench.schedulers.has_recalled(KEY)
    assert not bench.schedulers.is_new_to(KEY, SOURCE)
    bench.time.seconds += 600
    bench.schedulers.drop_unused()
    assert not bench.schedulers.has_recalled(KEY)
    assert bench.schedulers.is_new_to(KEY, SOURCE)
    assert set(bench.schedulers._schedulers) == {OTHER_KEY}


def test_key_with_a_call_in_flight_or_a_hold_is_kept(bench: Bench) -> None:
    permit = bench.poll("a")
    assert isinstance(permit, Permit)
    bench.schedulers.leave(a_key("a"))
    bench.schedulers.leave(a_key("never-there"))
    bench.time.seconds += 9000
    bench.schedulers.drop_unused()
    held = Answer(7, refused(429, retry_after=7200.0))
    bench.schedulers.answered(KEY, Call.STATUS, permit, held)
    bench.time.seconds += 3000
    bench.schedulers.drop_unused()
    assert bench.schedulers.wait(KEY, Call.STATUS) > 0


@pytest.mark.parametrize("way", ["has another key", "has ended"])
def test_circuit_of_an_unused_key_is_not_reported_as_open(bench: Bench, way: str) -> None:
    bench.polled("a", REJECTED)
    assert bench.open_causes() == [OpenCause.KEY_REJECTED]
    if way == "has ended":
        bench.schedulers.finish_reconcile(
            a_key("a"), is_queued=False, is_polled=False, awaits_poll=False
        )
    else:
        bench.poll("a", OTHER_KEY)
    assert bench.open_causes() == []


def test_state_of_a_key_shows_the_use_of_its_quotas(bench: Bench) -> None:
    bench.start("a")
    permit = bench.schedulers.of(KEY).starts.limiter.acquire(bench.time.monotonic())
    bench.polled("b")
    start, poll = (Limit(2, 3600.0), 2), (Limit(10, 60.0), 1)
    quotas = bench.schedulers.states()[KEY].quotas
    assert (quotas[Call.START], quotas[Call.STATUS]) == ((start,), (poll,))
    bench.schedulers.answered(KEY, Call.START, permit, Answer(7, NOT_SENT))
    bench.time.seconds += 60
    quotas = bench.schedulers.states()[KEY].quotas
    assert [quotas[call][0].used for call in Call] == [1, 0, 0]


def test_state_of_a_key_lasts_as_long_as_its_charges(bench: Bench) -> None:
    bench.start("a")
    bench.schedulers.leave(a_key("a"))
    bench.schedulers.drop_unused()
    assert {key: state.is_used for key, state in bench.schedulers.states().items()} == {KEY: False}
    bench.time.seconds += 3600
    bench.schedulers.drop_unused()
    assert bench.schedulers.states() == {}


def test_many_new_keys_leave_only_counting_ones(bench: Bench) -> None:
    for number in range(1440):
        bench.time.seconds += 60
        bench.polled("a", key=f"key{number}")
        bench.schedulers.drop_unused()
    assert len(bench.schedulers._schedulers) <= 3


def test_open_circuit_of_a_dropped_key_is_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench.polled("a", REJECTED)
    bench.schedulers.leave(a_key("a"))
    for _ in range(2):
        bench.time.seconds += 9000
        bench.schedulers.drop_unused()
    [record] = caplog.records
    assert record.getMessage().startswith("the circuit breaker is dropped: ")
    assert fields_of(record) == {"keyFingerprint": KEY}


# State that outlives a process.


def test_observed_limits_of_a_key_are_taken_over(bench: Bench) -> None:
    permit = bench.schedulers.start(KEY, a_queue_entry("a"))
    assert isinstance(permit, Permit)
    refusal = Answer(7, refused(429, retry_after=3600.0), RateLimitInfo(limit=1))
    assert bench.schedulers.answered(KEY, Call.START, permit, refusal)
    observed_limits = bench.schedulers.observed_limits(KEY, Call.START)
    assert observed_limits == (
        StoredLimit(seconds=3600.0, count=1, at=at(seconds=60), clean_windows=24.0),
    )
    assert bench.schedulers.observed_limits(KEY, Call.STATUS) == ()
    later = Bench(Time(7200.0))
    assert not later.schedulers.has_recalled(KEY)
    later.schedulers.learn(KEY, {"start": observed_limits, "gone": observed_limits})
    assert later.schedulers.has_recalled(KEY)
    limiter = later.schedulers.of(KEY).limiters[Call.START]
    assert limiter.limits(later.time.monotonic()) == (Limit(1, 3600.0),)
    assert later.schedulers.observed_limits(KEY, Call.START) == observed_limits


def a_charge(ago: float, attempt: int = 1, namespace: str = "team-a") -> StartCharge:
    """A start of another process, so many seconds before eight."""
    return StartCharge(
        serial=1,
        id=f"u/r/{attempt}",
        model_id=7,
        namespace=namespace,
        key_source=SOURCE,
        at=EIGHT - timedelta(seconds=ago),
    )


def _wait(bench: Bench) -> float:
    return bench.schedulers.wait(KEY, Call.START)


@pytest.mark.parametrize(
    ("charges", "wait"),
    [
        pytest.param([], 0, id="none"),
        pytest.param([600], 0, id="one of two"),
        pytest.param([600, 300], 3000, id="both"),
        pytest.param([3600, 300], 0, id="one has aged"),
        pytest.param([600, -60], 3000, id="one of a clock that is ahead counts as of now"),
    ],
)
def test_starts_of_other_processes_count(charges: list[float], wait: float) -> None:
    bench = Bench()
    assert bench.schedulers.is_new_to(KEY, SOURCE)
    bench.schedulers.recall(KEY, SOURCE, [a_charge(ago) for ago in charges], [])
    assert not bench.schedulers.is_new_to(KEY, SOURCE)
    assert _wait(bench) == wait
    bench.time.seconds += 3599.0
    assert bench.schedulers.of(KEY).starts.limiter.wait(bench.time.monotonic(), 1) == (
        1 if -60 in charges else 0
    )


def test_starts_of_a_key_from_two_sources_are_counted_once() -> None:
    bench = Bench()
    bench.schedulers.recall(KEY, SOURCE, [a_charge(900)], [])
    assert bench.schedulers.is_new_to(KEY, OTHER_SOURCE)
    assert bench.schedulers.is_new_to(OTHER_KEY, SOURCE)
    bench.schedulers.recall(KEY, OTHER_SOURCE, [a_charge(900)], [])
    assert _wait(bench) == 0
    bench.schedulers.recall(KEY, "third", [a_charge(900)], [a_charge(600)])
    assert _wait(bench) == 2700
    assert bench.schedulers.wait(OTHER_KEY, Call.START) == 0


def test_starts_of_other_processes_count_by_namespace() -> None:
    bench = Bench()
    bench.schedulers.recall(KEY, SOURCE, [a_charge(600, 4, "team-b")], [])
    starts, now = bench.schedulers.of(KEY).starts, bench.time.monotonic()
    assert starts.limiter.calls_by_tag(now) == {"team-b": 1}
