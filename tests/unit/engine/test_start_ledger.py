"""engine/start_ledger.py, ledger_document.py: one process, under failures of reads and writes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.status import Baseline, Intent
from scriptix_operator.core.ledger.ledger import (
    LatestRun,
    Ledger,
    StartOutcome,
    pruned,
    with_start_begun,
)
from scriptix_operator.core.ledger.observed_limits import KEPT, StoredLimit
from scriptix_operator.core.model.training import Training
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.ledger_document import (
    ATTEMPTS,
    LedgerChangedError,
    RebuildPendingError,
)
from scriptix_operator.engine.start_ledger import StartLedger
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.kube.errors import RefusedError, UnavailableError
from scriptix_operator.telemetry.metrics import Metrics
from tests.unit.core.builders import EIGHT, KEY, a_run, a_status, a_training, at
from tests.unit.engine.fake_ledger import FakeLedgerConfigMap, Fault

TIMEOUT = 10.0
"""Seconds after which a wait that would never end fails its test."""
HOUR = timedelta(hours=1)


def intending(model_id: int = 7, **facts: object) -> Training:
    """A resource with an intent to start its model."""
    run = a_run(
        intent=Intent(attempt=1, at=EIGHT, key_fingerprint=KEY.fingerprint),
        baseline=Baseline(training_status=2),
        key_fingerprint=KEY.fingerprint,
        key_source=KEY.source,
        claimed_at=EIGHT,
        **facts,
    )
    return a_training(name=f"model-{model_id}", model_id=model_id, status=a_status(run=run))


@dataclass
class Time(Clock):
    """A clock that the test sets."""

    moment: datetime = EIGHT

    def now(self) -> datetime:
        """Wall time."""
        return self.moment

    def monotonic(self) -> float:
        """Seconds."""
        return self.moment.timestamp()


@dataclass
class Bench:
    """Processes that share a ConfigMap."""

    config_map: FakeLedgerConfigMap = field(default_factory=FakeLedgerConfigMap)
    store: TrainingStore = field(default_factory=TrainingStore)
    time: Time = field(default_factory=Time)
    metrics: Metrics = field(default_factory=Metrics)
    gap: str | None = None
    """The gaps in the coverage of resources."""

    def process(self) -> StartLedger:
        """Another process."""
        return StartLedger(
            self.config_map, self.store, lambda: self.gap, HOUR, self.time, self.metrics
        )

    async def leader(self) -> StartLedger:
        """A process that has taken the ledger over; its write for that is not counted."""
        process = self.process()
        await process.document.ready()
        self.config_map.writes.clear()
        self.config_map.write_begun.clear()
        self.config_map.reads = 0
        return process

    def counted(self, outcome: str) -> float:
        """The number of writes of this outcome, by the metrics."""
        name = "scriptix_ledger_writes_total"
        return self.metrics.registry.get_sample_value(name, {"outcome": outcome}) or 0.0


@pytest.fixture
async def bench() -> Bench:
    """Return a bench; async for the events of its ConfigMap."""
    return Bench()


async def start(process: StartLedger, model_id: int = 7) -> None:
    """Read the ledger, begin and resolve a start."""
    entry = await process.begin(intending(model_id), await process.document.ready())
    await process.resolve(StartOutcome(entry, acted=True))


def in_tasks(*calls: Awaitable[Any]) -> list["asyncio.Future[Any]"]:
    """Begin all tasks."""
    return [asyncio.ensure_future(call) for call in calls]


async def ended(*tasks: "asyncio.Future[Any]") -> list[Any]:
    """Wait for them; returns results and exceptions."""
    async with asyncio.timeout(TIMEOUT):
        return await asyncio.gather(*tasks, return_exceptions=True)


# Take-over.


async def test_leader_writes_the_ledger_before_any_decision(bench: Bench) -> None:
    ledger, entry = with_start_begun(Ledger(serial=5), intending(), EIGHT)
    bench.config_map.put(ledger)
    process = bench.process()
    assert await process.document.ready() == 1
    assert process.in_flight(7) == entry
    assert (len(bench.config_map.writes), bench.config_map.ledger.serial) == (1, ledger.serial + 1)
    assert await process.document.ready() == 1
    assert (bench.config_map.reads, len(bench.config_map.writes)) == (1, 1)


async def test_concurrent_requests_take_the_ledger_over_once(bench: Bench) -> None:
    process = bench.process()
    assert await asyncio.gather(*(process.document.ready() for _ in range(50))) == [1] * 50
    assert (bench.config_map.reads, len(bench.config_map.writes)) == (1, 1)


async def test_unread_ledger_is_unknown(bench: Bench) -> None:
    process = bench.process()
    assert (process.in_flight(7), process.latest_run(7)) == (None, None)
    assert process.charges_of(KEY.fingerprint, KEY.source) == ([], [])


async def test_expired_ledger_content_is_not_taken_over(bench: Bench) -> None:
    ledger, entry = with_start_begun(Ledger(), intending(), EIGHT)
    ledger = replace(ledger, in_flight_starts={}, latest_runs={7: LatestRun(at=EIGHT)})
    bench.config_map.put(ledger)
    bench.time.moment = at(hours=1)
    process = await bench.leader()
    assert process.charges_of(KEY.fingerprint, KEY.source) == ([], [])
    left = bench.config_map.ledger
    assert left == Ledger(serial=entry.serial + 1, writer=left.writer)


async def test_failed_take_over_is_repeated_by_the_next_request(bench: Bench) -> None:
    process = bench.process()
    bench.config_map.write_faults.append(Fault.LOST)
    with pytest.raises(UnavailableError):
        await process.document.ready()
    await process.document.ready()
    await start(process)
    bench.config_map.read_faults.append(Fault.LOST)
    with pytest.raises(UnavailableError):
        await bench.process().document.ready()


async def test_problem_is_cleared_after_a_refusal(bench: Bench) -> None:
    process = bench.process()
    bench.config_map.write_faults += [Fault.REFUSED]
    with pytest.raises(RefusedError):
        await process.document.ready()
    await process.document.retry_refused()
    assert process.problems.outstanding() != []
    bench.time.moment += timedelta(seconds=30)
    await process.document.retry_refused()
    assert process.problems.outstanding() == []
    await process.document.retry_refused()
    assert len(bench.config_map.writes) == 2


async def test_refused_ledger_is_read_once_for_all_resources(
    bench: Bench,
) -> None:
    process = bench.process()
    bench.config_map.write_faults += [Fault.REFUSED, Fault.REFUSED]
    for _ in range(3):
        with pytest.raises(RefusedError, match="write: 403"):
            await process.document.ready()
    assert len(bench.config_map.writes) == 1
    bench.time.moment += timedelta(seconds=30)
    for _ in range(3):
        with pytest.raises(RefusedError):
            await process.document.ready()
    assert len(bench.config_map.writes) == 2
    bench.time.moment += timedelta(seconds=30)
    await start(process)


async def test_take_over_that_always_conflicts_is_given_up(bench: Bench) -> None:
    bench.config_map.put(Ledger())
    bench.config_map.open.clear()
    task = asyncio.create_task(bench.process().document.ready())
    for _ in range(ATTEMPTS):
        await bench.config_map.write_begun.wait()
        bench.config_map.write_begun.clear()
        bench.config_map.touch()
        bench.config_map.open.set()
        await asyncio.sleep(0)
        bench.config_map.open.clear()
    (error,) = await ended(task)
    assert isinstance(error, UnavailableError)
    assert len(bench.config_map.writes) == ATTEMPTS
    assert bench.counted("conflict") == ATTEMPTS


@pytest.mark.parametrize("there", [None, "garbage"])
async def test_rebuilt_ledger_is_reported(
    bench: Bench, there: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    bench.config_map.put(there)
    training = intending()
    bench.store.put(training)
    process = await bench.leader()
    entry = process.in_flight(7)
    assert entry is not None
    assert (entry.uid, entry.serial) == (training.uid, int(EIGHT.timestamp() * 1000) + 1)
    assert bench.config_map.ledger.in_flight_starts == {7: entry}
    said = [record.getMessage() for record in caplog.records]
    assert said[-1] == "the start ledger is rebuilt from the status of all resources"
    assert (said[0] == "the start ledger cannot be read (not JSON)") == (there is not None)


@pytest.mark.parametrize("there", [None, "garbage"])
async def test_lost_ledger_is_rebuilt_from_all_resources_only(
    bench: Bench, there: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    bench.config_map.put(there)
    process = bench.process()
    bench.gap = "namespace team-b not listed"
    for _ in range(3):
        with pytest.raises(RebuildPendingError, match="namespace team-b not listed"):
            await process.document.ready()
    # For thousands of requests the cluster is read once, and the cause is logged once.
    assert (bench.config_map.reads, bench.config_map.writes) == (1, [])
    assert len(caplog.records) == 1
    assert "namespace team-b not listed" in caplog.text
    bench.gap = None
    bench.store.put(intending())
    await process.document.ready()
    assert bench.config_map.ledger.in_flight_starts.keys() == {7}


async def test_readable_ledger_is_taken_over_beside_a_gap(bench: Bench) -> None:
    ledger, entry = with_start_begun(Ledger(), intending(), EIGHT)
    bench.config_map.put(ledger)
    bench.gap = "namespace team-b not listed"
    process = await bench.leader()
    assert process.in_flight(7) == entry
    await start(process, 8)


async def test_ledger_deleted_beside_a_gap_opens_no_start(bench: Bench) -> None:
    process = await bench.leader()
    bench.gap = "namespace team-b not listed"
    bench.config_map.put(None)
    with pytest.raises(RebuildPendingError):
        await process.begin(intending(), 1)
    with pytest.raises(RebuildPendingError):
        await process.document.ready()
    assert bench.config_map.text is None


# Begin and resolve.


async def test_a_start_takes_two_writes(bench: Bench) -> None:
    process = await bench.leader()
    await start(process)
    assert (len(bench.config_map.writes), bench.config_map.reads) == (2, 0)
    assert bench.counted("written") == 3


async def test_in_flight_start_is_visible_before_its_caller_continues(bench: Bench) -> None:
    process = await bench.leader()
    entry = await process.begin(intending(), 1)
    assert bench.config_map.ledger.in_flight_starts == {7: entry} == {7: process.in_flight(7)}
    own, before = process.charges_of(KEY.fingerprint, KEY.source)
    assert ([charge.serial for charge in own], before) == ([entry.serial], [])
    await process.resolve(StartOutcome(entry, acted=True, run_start_time=at(minutes=1)))
    assert process.in_flight(7) is None
    assert process.latest_run(7) == LatestRun(at=at(minutes=1))
    assert bench.config_map.ledger.latest_runs == {7: LatestRun(at=at(minutes=1))}


async def test_many_starts_at_once_share_a_write(bench: Bench) -> None:
    process = await bench.leader()
    bench.config_map.open.clear()
    calls = in_tasks(*(process.begin(intending(number), 1) for number in range(1, 51)))
    await bench.config_map.write_begun.wait()
    bench.config_map.open.set()
    entries = await ended(*calls)
    assert [process.in_flight(number) for number in range(1, 51)] == entries
    # Starts that arrive during the first write share the second.
    assert [len(ledger.in_flight_starts) for ledger in bench.config_map.writes] == [1, 50]


async def test_model_has_one_in_flight_start_at_most_in_the_ledger(bench: Bench) -> None:
    process = await bench.leader()
    entry = await process.begin(intending(), 1)
    with pytest.raises(LedgerChangedError, match="a start of model 7 has no known outcome yet"):
        await process.begin(intending(id="run-2"), 1)
    assert process.in_flight(7) == entry
    assert len(bench.config_map.writes) == 1


async def test_of_two_starts_of_one_model_in_one_write_one_is_refused(bench: Bench) -> None:
    process = await bench.leader()
    bench.config_map.open.clear()
    calls = in_tasks(
        process.begin(intending(1), 1),
        process.begin(intending(), 1),
        process.begin(intending(id="run-2"), 1),
        process.begin(intending(2), 1),
    )
    await bench.config_map.write_begun.wait()
    bench.config_map.open.set()
    outcomes = await ended(*calls)
    refused = [isinstance(outcome, LedgerChangedError) for outcome in outcomes]
    assert refused == [False, False, True, False]
    assert bench.config_map.ledger.in_flight_starts.keys() == {1, 2, 7}


async def test_unchanged_ledger_is_not_written(bench: Bench) -> None:
    process = await bench.leader()
    _, entry = with_start_begun(Ledger(serial=99), intending(), EIGHT)
    await process.resolve(StartOutcome(entry, acted=False))
    assert bench.config_map.writes == []


async def test_read_during_a_write_sees_the_old_ledger(bench: Bench) -> None:
    """Without the in-flight start, its intent would count as never sent."""
    process = await bench.leader()
    entry = await process.begin(intending(), 1)
    bench.config_map.open.clear()
    bench.config_map.write_begun.clear()
    other = asyncio.create_task(process.begin(intending(8), 1))
    await bench.config_map.write_begun.wait()
    assert process.in_flight(7) == entry
    assert len(process.charges_of(KEY.fingerprint, KEY.source)[0]) == 1
    bench.config_map.open.set()
    await other
    await process.resolve(StartOutcome(entry, acted=True))
    bench.config_map.write_faults.append(Fault.LOST)
    with pytest.raises(UnavailableError):
        await process.begin(intending(9), 1)
    assert process.latest_run(7) == LatestRun(superseded=True)
    assert process.in_flight(8) is not None


async def test_run_start_time_expires_with_its_last_charge(
    bench: Bench,
) -> None:
    """Otherwise a model without run start times would seem stale until another start."""
    process = await bench.leader()
    await start(process)
    assert process.latest_run(7) == LatestRun(superseded=True)
    bench.time.moment = at(minutes=59, seconds=59)
    assert process.latest_run(7) is not None
    bench.time.moment = at(hours=1)
    assert process.latest_run(7) is None


# Other leaders.


async def test_previous_leader_opens_no_start(bench: Bench) -> None:
    old, revision = await bench.leader(), 1
    new = await bench.leader()
    with pytest.raises(LedgerChangedError, match="taken over or written"):
        await old.begin(intending(), revision)
    assert bench.config_map.ledger.in_flight_starts == {}
    assert bench.counted("conflict") == 1
    # The old leader has taken over again: decisions on the earlier revision are refused.
    assert await old.document.ready() == revision + 1
    entry = await old.begin(intending(), revision + 1)
    with pytest.raises(LedgerChangedError):
        await new.begin(intending(), 1)
    assert new.in_flight(7) == entry


async def test_conflict_does_not_keep_a_start_in_flight(bench: Bench) -> None:
    process = await bench.leader()
    entry = await process.begin(intending(), 1)
    bench.config_map.touch()
    await process.resolve(StartOutcome(entry, acted=False))
    assert bench.config_map.ledger.in_flight_starts == {}
    assert bench.counted("conflict") == 1


async def test_begin_and_resolve_in_one_write_are_independent(bench: Bench) -> None:
    process = await bench.leader()
    entry = await process.begin(intending(), 1)
    bench.config_map.open.clear()
    bench.config_map.write_begun.clear()
    first = asyncio.create_task(process.begin(intending(1), 1))
    await bench.config_map.write_begun.wait()
    calls = in_tasks(
        process.begin(intending(8), 1), process.resolve(StartOutcome(entry, acted=False))
    )
    await asyncio.sleep(0)
    bench.config_map.touch()
    bench.config_map.open.set()
    one, another, done = await ended(first, *calls)
    assert isinstance(one, LedgerChangedError)
    assert isinstance(another, LedgerChangedError)
    assert done is None
    assert bench.config_map.ledger.in_flight_starts == {}


async def test_resolve_that_always_conflicts_is_given_up(bench: Bench) -> None:
    process = await bench.leader()
    entry = await process.begin(intending(), 1)
    write = bench.config_map.write

    async def requeue_failed(ledger: Ledger, version: str | None) -> str:
        if ledger.in_flight_starts == {}:
            bench.config_map.touch()
        return await write(ledger, version)

    bench.config_map.write = requeue_failed  # type: ignore[method-assign]
    with pytest.raises(UnavailableError, match="others keep writing"):
        await process.resolve(StartOutcome(entry, acted=False))
    assert bench.config_map.ledger.in_flight_starts == {7: entry}
    assert bench.counted("conflict") == ATTEMPTS


async def test_deleted_ledger_is_rebuilt_and_the_start_aborted(
    bench: Bench,
) -> None:
    process = await bench.leader()
    bench.store.put(intending(8))
    bench.config_map.put(None)
    with pytest.raises(LedgerChangedError):
        await process.begin(intending(), 1)
    assert bench.config_map.ledger.in_flight_starts.keys() == {8}


# Lost replies.


async def test_lost_reply_is_resolved_by_reading_the_ledger(bench: Bench) -> None:
    process = await bench.leader()
    bench.config_map.write_faults.append(Fault.REPLY_LOST)
    entry = await process.begin(intending(), 1)
    assert bench.config_map.ledger.in_flight_starts == {7: entry}
    assert (len(bench.config_map.writes), bench.config_map.reads) == (1, 1)
    await process.resolve(StartOutcome(entry, acted=True))
    assert bench.counted("conflict") == 0
    assert await process.document.ready() == 1


Meanwhile = Callable[[FakeLedgerConfigMap], None]


def read_back_fails(config_map: FakeLedgerConfigMap) -> None:
    config_map.read_faults.append(Fault.LOST)


def turns_to_garbage(config_map: FakeLedgerConfigMap) -> None:
    config_map.put("garbage")


def is_deleted(config_map: FakeLedgerConfigMap) -> None:
    config_map.put(None)


def others_write(config_map: FakeLedgerConfigMap) -> None:
    config_map.put(Ledger(serial=1))


@pytest.mark.parametrize("fault", [Fault.LOST, Fault.REPLY_LOST])
@pytest.mark.parametrize("meanwhile", [read_back_fails, turns_to_garbage, is_deleted, others_write])
async def test_unknown_write_causes_a_take_over_with_a_new_revision(
    bench: Bench, fault: Fault, meanwhile: Meanwhile
) -> None:
    process = await bench.leader()
    write = bench.config_map.write

    async def disturbed(ledger: Ledger, version: str | None) -> str:
        try:
            return await write(ledger, version)
        finally:
            meanwhile(bench.config_map)

    bench.config_map.write = disturbed  # type: ignore[method-assign]
    bench.config_map.write_faults.append(fault)
    with pytest.raises(UnavailableError):
        await process.begin(intending(), 1)
    assert bench.counted("failed") == 1
    bench.config_map.write = write  # type: ignore[method-assign]
    before = bench.config_map.version
    assert await process.document.ready() == 2
    # The abandoned PUT may still arrive: the version that it names is gone.
    assert bench.config_map.version > before
    was_kept = fault is Fault.REPLY_LOST and meanwhile is read_back_fails
    assert (process.in_flight(7) is not None) == was_kept
    with pytest.raises(LedgerChangedError):
        await process.begin(intending(8), 1)


async def test_conflict_with_our_own_write_is_ignored(bench: Bench) -> None:
    """The HTTP client repeats a PUT when its connection is cut: the first one took effect."""
    process = await bench.leader()
    bench.config_map.write_faults.append(Fault.REPEATED)
    entry = await process.begin(intending(), 1)
    assert bench.config_map.ledger.in_flight_starts == {7: entry}
    assert await process.document.ready() == 1
    await process.resolve(StartOutcome(entry, acted=True))


async def test_equal_write_of_another_leader_is_foreign(bench: Bench) -> None:
    """Both read the same ledger, and begin the same start at the same time: one succeeds."""
    one, other = await bench.leader(), bench.process()
    revision = await other.document.ready()
    one.document._version = other.document._version
    one.document.ledger = other.document.ledger
    await other.begin(intending(), revision)
    with pytest.raises(LedgerChangedError):
        await one.begin(intending(), await one.document.ready())


async def test_refused_write_causes_a_new_take_over(bench: Bench) -> None:
    """The next request gets a lasting refusal before it writes an intent."""
    process = await bench.leader()
    bench.config_map.write_faults += [Fault.REFUSED, Fault.REFUSED]
    with pytest.raises(RefusedError):
        await process.begin(intending(), 1)
    assert (process.in_flight(7), bench.counted("failed")) == (None, 1)
    with pytest.raises(RefusedError):
        await process.document.ready()
    bench.time.moment += timedelta(seconds=30)
    await process.begin(intending(), await process.document.ready())


async def errors_of_a_shared_write(bench: Bench, fault: Fault) -> list[Any]:
    """The results of three starts that shared a failing write."""
    process = await bench.leader()
    bench.config_map.open.clear()
    first = asyncio.create_task(process.begin(intending(1), 1))
    await bench.config_map.write_begun.wait()
    calls = in_tasks(*(process.begin(intending(number), 1) for number in (2, 3, 4)))
    await asyncio.sleep(0)
    bench.config_map.write_faults += [Fault.NONE, fault]
    bench.config_map.open.set()
    _, *errors = await ended(first, *calls)
    return errors


async def test_failed_shared_write_raises_for_each_caller(
    bench: Bench,
) -> None:
    errors = await errors_of_a_shared_write(bench, Fault.REFUSED)
    assert [type(error) for error in errors] == [RefusedError] * 3
    assert len({id(error) for error in errors}) == 3
    assert {str(error) for error in errors} == {"write: 403"}


async def test_unknown_shared_write_is_read_back_once(bench: Bench) -> None:
    errors = await errors_of_a_shared_write(bench, Fault.LOST)
    assert [type(error) for error in errors] == [UnavailableError] * 3
    assert (bench.config_map.reads, len(bench.config_map.writes)) == (1, 2)


async def test_bug_in_the_write_is_raised_and_blocks_no_caller(bench: Bench) -> None:
    process = await bench.leader()
    bench.config_map.open.clear()
    first = asyncio.create_task(process.begin(intending(1), 1))
    await bench.config_map.write_begun.wait()
    calls = in_tasks(*(process.begin(intending(number), 1) for number in (2, 3)))
    await asyncio.sleep(0)
    bench.config_map.write_faults += [Fault.NONE, Fault.BUG]
    bench.config_map.open.set()
    _, writer, waiter = await ended(first, *calls)
    assert isinstance(writer, ZeroDivisionError)
    assert isinstance(waiter, UnavailableError)
    assert await process.document.ready() == 2


async def test_cancelled_writer_blocks_no_waiting_caller(
    bench: Bench,
) -> None:
    process = await bench.leader()
    bench.config_map.open.clear()
    first = asyncio.create_task(process.begin(intending(1), 1))
    await bench.config_map.write_begun.wait()
    bench.config_map.write_begun.clear()
    calls = in_tasks(process.begin(intending(2), 1), process.begin(intending(3), 1))
    await asyncio.sleep(0)
    first.cancel()
    await bench.config_map.write_begun.wait()  # the next start writes, together with the third
    calls[0].cancel()
    bench.config_map.open.set()
    gone, writer, waiter = await ended(first, *calls)
    assert isinstance(gone, asyncio.CancelledError)
    assert isinstance(writer, asyncio.CancelledError)
    assert isinstance(waiter, UnavailableError)
    assert await process.document.ready() > 1


# Observed limits.


def observed_limits(count: int, when: datetime = EIGHT) -> tuple[StoredLimit, ...]:
    """A limit, observed at this time."""
    return (StoredLimit(seconds=3600.0, count=count, at=when, clean_windows=24.0),)


async def test_observed_limits_are_kept_for_the_next_process(bench: Bench) -> None:
    process = await bench.leader()
    await process.learn(KEY.fingerprint, "start", observed_limits(3))
    assert process.observed_limits(KEY.fingerprint) == {"start": observed_limits(3)}
    assert process.observed_limits("another") == {}
    later = bench.process()
    assert later.observed_limits(KEY.fingerprint) == {}  # the ledger was not read
    await later.document.ready()
    assert later.observed_limits(KEY.fingerprint) == process.observed_limits(KEY.fingerprint)


async def test_observed_limits_need_no_current_ledger(bench: Bench) -> None:
    """Another process wrote the ledger meanwhile: it is read, and the limit is added."""
    process = await bench.leader()
    entry = await process.begin(intending(), 1)
    bench.config_map.touch()
    await process.learn(KEY.fingerprint, "start", observed_limits(3))
    assert bench.config_map.ledger.limits == {KEY.fingerprint: {"start": observed_limits(3)}}
    assert bench.config_map.ledger.in_flight_starts == {7: entry}


async def test_old_observed_limits_are_dropped_by_the_next_write(bench: Bench) -> None:
    process = await bench.leader()
    await process.learn("old", "start", observed_limits(3))
    bench.time.moment = EIGHT + KEPT
    await process.learn(KEY.fingerprint, "start", observed_limits(3, bench.time.moment))
    assert bench.config_map.ledger.limits.keys() == {KEY.fingerprint}


async def test_known_observed_limits_are_not_written_again(bench: Bench) -> None:
    process = await bench.leader()
    for _ in range(2):
        await process.learn(KEY.fingerprint, "start", observed_limits(3))
    assert len(bench.config_map.writes) == 1


async def test_unsaved_observed_limit_is_reported(bench: Bench) -> None:
    process = await bench.leader()
    bench.config_map.write_faults.append(Fault.REFUSED)
    with pytest.raises(RefusedError):
        await process.learn(KEY.fingerprint, "start", observed_limits(3))
    assert process.observed_limits(KEY.fingerprint) == {}


def test_fake_config_map_keeps_its_content() -> None:
    ledger, _ = with_start_begun(Ledger(), intending(), EIGHT)
    assert pruned(FakeLedgerConfigMap(ledger).ledger, EIGHT, HOUR) == ledger
