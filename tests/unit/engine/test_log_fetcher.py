"""engine/log_fetcher.py: the outcome of a log fetch that is due.

The API, the keys and the store are faked; the metered calls and their quotas are real.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from scriptix_operator.api.reasons import FailureReason, LogState
from scriptix_operator.api.status import LogStatus, TrainingStatus
from scriptix_operator.core.ledger.ledger import Ledger
from scriptix_operator.core.ledger.observed_limits import StoredLimit
from scriptix_operator.core.logs.collector import Collected
from scriptix_operator.core.logs.segments import EMPTY
from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.model.owner import Owner
from scriptix_operator.core.model.remote import (
    CallFailure,
    FailureKind,
    LogEntry,
    LogReply,
    RateLimitInfo,
)
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.reconcile.call_results import (
    LogExtent,
    LogStored,
    LogUnavailable,
    WriteFailure,
)
from scriptix_operator.core.scheduling.calls import Call
from scriptix_operator.core.status.failures import failure
from scriptix_operator.engine.log_fetcher import LARGE, LogFetcher
from scriptix_operator.engine.metered_calls import MeteredCalls, OnRateInfo
from scriptix_operator.engine.quota_restore import QuotaRestore
from scriptix_operator.engine.schedulers import KeySchedulers
from scriptix_operator.engine.start_ledger import StartLedger
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.engine.work_queue import WorkQueue
from scriptix_operator.kube.configmaps import NameTaken
from scriptix_operator.kube.errors import RefusedError, UnavailableError
from scriptix_operator.kube.logstore import LogStore, OpenLog, SavedLog
from scriptix_operator.kube.secrets import Keys, KeyUnavailableError
from scriptix_operator.scriptix.client import ScriptixClient
from scriptix_operator.scriptix.errors import error_of
from scriptix_operator.telemetry.metrics import Metrics
from tests.unit.core.builders import EIGHT, a_run, a_training, at, call_failed, followed
from tests.unit.engine.clocks import Time
from tests.unit.engine.fake_ledger import FakeLedgerConfigMap, complete
from tests.unit.log_lines import fields_of

KEY = ApiKey("k", "Secret/team-a/api-key")
STORED = LogStatus(config_maps=("cardiology-log",), entries=2, bytes=99)
LOG = (
    LogEntry(at(hours=-1), "INFO", "epoch 1/20 - WER: 60.0%"),  # of the previous run
    LogEntry(at(hours=1), "INFO", "epoch 2/20 - WER: 45.2%"),
)
BLOCKED = KeyUnavailableError(failure(FailureReason.SECRET_NOT_FOUND, "no Secret"))


@dataclass
class EngineDependencies:
    """The faked API, keys and store, with their recorded calls."""

    answer: CallFailure | None = None
    published: RateLimitInfo | None = None
    no_key: KeyUnavailableError | None = None
    unreadable: Exception | None = None
    trouble: Exception | None = None
    total: int | None = None
    entries: tuple[LogEntry, ...] = LOG
    saved: list[tuple[Owner, LogStatus, str, int, list[str]]] = field(default_factory=list)
    calls: int = 0
    on_call: Callable[[], None] = lambda: None
    is_slow: bool = False
    is_saving: asyncio.Event = field(default_factory=asyncio.Event)
    may_save: asyncio.Event = field(default_factory=asyncio.Event)

    async def log(
        self, model_id: int, key: ApiKey, add: Callable[[LogEntry], None], *, on_rate: OnRateInfo
    ) -> LogReply:
        """Answer as ScriptixClient.log does."""
        assert (model_id, key) == (7, KEY)
        self.calls += 1
        self.on_call()
        if self.published is not None:
            on_rate(self.published)
        if self.answer is not None:
            raise error_of(self.answer)
        for entry in self.entries:
            add(entry)
        return LogReply(len(self.entries), self.total)

    async def resolve(self, training: Training) -> ApiKey:
        """Return the key as Keys.resolve does."""
        del training
        if self.no_key is not None:
            raise self.no_key
        return KEY

    async def open(self, owner: Owner, previous: LogStatus | None) -> OpenLog:
        """Read the stored log as LogStore.open does."""
        if self.unreadable is not None:
            raise self.unreadable
        return OpenLog(owner, EMPTY, None, frozenset(), previous or LogStatus())

    async def save(
        self, stored_log: OpenLog, new: Collected, *, run_id: str, max_bytes: int
    ) -> SavedLog:
        """Store the log as LogStore.save does."""
        self.is_saving.set()
        if self.is_slow:
            await self.may_save.wait()
        if self.trouble is not None:
            raise self.trouble
        lines = [line.text for line in new.lines]
        self.saved.append((stored_log.owner, stored_log.previous, run_id, max_bytes, lines))
        return SavedLog(STORED, 1)


class Bench:
    """A fetcher of four logs an hour."""

    def __init__(self, ledger: Ledger | None = None) -> None:
        self.dependencies, self.time = EngineDependencies(), Time()
        limits = {call: (Limit(4, 3600.0),) for call in Call}
        self.schedulers = KeySchedulers(
            limits, WorkQueue(self.time.monotonic), self.time, lambda: 1.0
        )
        config_map, window = FakeLedgerConfigMap(ledger or Ledger()), timedelta(hours=1)
        self.store = TrainingStore()
        starts = StartLedger(config_map, self.store, complete, window, self.time, Metrics())
        self.fetcher = LogFetcher(
            client=cast("ScriptixClient", self.dependencies),
            keys=cast("Keys", self.dependencies),
            schedulers=self.schedulers,
            calls=MeteredCalls(
                self.schedulers,
                QuotaRestore(self.schedulers, starts, self.time),
                self.time,
                Metrics(),
            ),
            log_store=cast("LogStore", self.dependencies),
            store=self.store,
            wait=120.0,
        )

    async def fetch(
        self, training: Training | None = None, failed_before: int = 0
    ) -> LogStored | LogUnavailable:
        """Fetch a log; the next poll is due in 42 seconds."""
        return await self.fetcher.fetch(training or RUNNING, failed_before, 42.0)


@pytest.fixture
def bench() -> Bench:
    """Return a bench."""
    return Bench()


def running(**facts: Any) -> Training:  # noqa: ANN401 - values of status fields
    """A resource whose run is followed."""
    return a_training(status=followed(**facts), log={"maxBytes": 70_000})


RUNNING = running()
ENDED = running(finished_at=at(hours=8))


def later(wait: float | None, state: LogState = LogState.COLLECTING) -> LogUnavailable:
    """A log fetch that failed; the call was made."""
    return LogUnavailable(wait, state, 42.0, was_called=True)


async def test_a_log_of_a_resource_deleted_since_is_not_stored(bench: Bench) -> None:
    bench.store.put(replace(RUNNING, is_being_deleted=True))
    assert await bench.fetch() == later(15.0)
    assert (bench.dependencies.calls, bench.dependencies.saved) == (1, [])


async def test_a_log_is_stored_and_its_learning_curve_read(bench: Bench) -> None:
    outcome = await bench.fetch()
    assert isinstance(outcome, LogStored)
    assert (outcome.log, outcome.due_in) == (STORED, 42.0)
    # Entries of this run, by their times.
    assert [(point.epoch, point.word_error_rate) for point in outcome.learning_curve] == [
        (2, "45.2")
    ]
    line = "2025-01-16T09:00:00Z INFO epoch 2/20 - WER: 45.2%"
    assert bench.dependencies.saved == [(RUNNING.owner, LogStatus(), "run-1", 70_000, [line])]
    assert outcome.extent == LogExtent(LogReply(2, None), of_run=1, known=1, skipped=1)


async def test_earlier_stored_log_is_passed_on(bench: Bench) -> None:
    await bench.fetch(running(log=STORED))
    assert bench.dependencies.saved[0][1] == STORED


async def test_total_of_the_api_is_passed_on(bench: Bench) -> None:
    bench.dependencies.total = 156
    outcome = await bench.fetch()
    assert isinstance(outcome, LogStored)
    assert outcome.extent.reply == LogReply(2, 156)


async def test_no_log_call_is_made_once_another_run_has_begun(bench: Bench) -> None:
    ended = running(finished_at=at(minutes=30), log=LogStatus(end_seen_at=at(minutes=30)))
    other = a_training(name="other", status=followed(run=a_run(claimed_at=at(minutes=31))))
    bench.store.put(other)
    outcome = await bench.fetch(ended)
    assert isinstance(outcome, LogUnavailable)
    assert (outcome.wait, outcome.state, bench.dependencies.calls) == (
        None,
        LogState.UNAVAILABLE,
        0,
    )


@pytest.mark.parametrize(("seconds", "kept"), [(119, 0), (120, 2)])
async def test_a_log_of_older_entries_only_is_taken_by_the_last_fetch(
    bench: Bench, seconds: float, kept: int
) -> None:
    # The log's clock is behind, or the run's entries are not written yet.
    run = a_run(ownership="Owned", claimed_at=at(hours=2))
    log = LogStatus(end_seen_at=EIGHT)
    ended = running(run=run, started_at=at(hours=2), finished_at=at(hours=2), log=log)
    bench.time.seconds = seconds
    outcome = await bench.fetch(ended)
    assert isinstance(outcome, LogStored)
    assert (outcome.extent.of_run, len(bench.dependencies.saved[0][-1])) == (kept, kept)
    assert outcome.asked_at == EIGHT + timedelta(seconds=seconds)


async def test_time_of_a_fetch_is_when_its_call_was_sent(bench: Bench) -> None:
    bench.dependencies.on_call = lambda: setattr(bench.time, "seconds", 130)  # a slow reply
    outcome = await bench.fetch()
    assert isinstance(outcome, LogStored)
    assert outcome.asked_at == EIGHT


async def test_a_log_without_a_run_is_a_bug(bench: Bench) -> None:
    with pytest.raises(ValueError, match="the status has no run"):
        await bench.fetch(a_training(status=TrainingStatus(finished_at=EIGHT)))


async def test_observed_limits_are_loaded_before_a_first_log_call() -> None:
    observed_limits = StoredLimit(seconds=3600.0, count=3, at=EIGHT, clean_windows=24.0)
    bench = Bench(Ledger(limits={KEY.fingerprint: {"start": (observed_limits,)}}))
    await bench.fetch(ENDED)
    limiter = bench.schedulers.of(KEY.fingerprint).limiters[Call.START]
    assert limiter.limits(0.0) == (Limit(3, 3600.0),)


# Temporary failures.


@pytest.mark.parametrize(
    ("failed_before", "wait"), [(0, 15), (1, 30), (3, 120), (8, 3600), (99, 3600)]
)
@pytest.mark.parametrize("reason", ["key", "answer", "log_store"])
async def test_failed_log_fetches_back_off(
    bench: Bench, reason: str, failed_before: int, wait: float
) -> None:
    match reason:
        case "key":
            bench.dependencies.no_key = BLOCKED
        case "answer":
            bench.dependencies.answer = CallFailure(FailureKind.AMBIGUOUS, "HTTP 500", 500)
        case _:
            bench.dependencies.trouble = UnavailableError("write: no answer")
    was_called = reason != "key"
    outcome = await bench.fetch(failed_before=failed_before)
    assert isinstance(outcome, LogUnavailable)
    assert (outcome.wait, outcome.was_called) == (wait, was_called)


@pytest.mark.parametrize(
    ("retry_after", "failed_before", "wait"),
    [
        pytest.param(1800.0, 0, 1800, id="as it says"),
        pytest.param(5.0, 1, 30, id="but no sooner than after any failure"),
        pytest.param(None, 1, 30, id="it says nothing"),
    ],
)
async def test_a_refused_log_is_tried_again_when_the_api_says(
    bench: Bench, retry_after: float | None, failed_before: int, wait: float
) -> None:
    bench.dependencies.answer = CallFailure(
        FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=retry_after
    )
    outcome = await bench.fetch(failed_before=failed_before)
    assert outcome == replace(
        later(wait), message="The operator could not fetch the log: HTTP 429."
    )


@pytest.mark.parametrize("is_from_gateway", [False, True], ids=["API", "gateway"])
@pytest.mark.parametrize("status", [404, 405])
async def test_refusal_of_a_missing_log_is_passed_on(
    bench: Bench, status: int, *, is_from_gateway: bool
) -> None:
    answer = call_failed(FailureKind.AMBIGUOUS, status=status, is_from_gateway=is_from_gateway)
    bench.dependencies.answer = answer
    text = f"The API has no log of this run: {answer.message}."
    assert await bench.fetch(failed_before=1) == replace(later(30), refusal=answer, message=text)


@pytest.mark.parametrize(
    ("kind", "status", "counts"),
    [
        pytest.param(FailureKind.AMBIGUOUS, 200, True, id="unusable"),
        pytest.param(FailureKind.NOT_FOUND, 200, True, id="an error in a 2xx"),
        pytest.param(FailureKind.RATE_LIMITED, 200, False, id="a limit in a 2xx"),
        pytest.param(FailureKind.AMBIGUOUS, 500, False, id="no 2xx"),
        pytest.param(FailureKind.AMBIGUOUS, None, False, id="no reply"),
    ],
)
async def test_success_that_cannot_be_used_is_counted(
    bench: Bench, kind: FailureKind, status: int | None, *, counts: bool
) -> None:
    answer = bench.dependencies.answer = call_failed(kind, status=status)
    outcome = await bench.fetch()
    assert isinstance(outcome, LogUnavailable)
    assert outcome.refusal == (answer if counts else None)
    assert outcome.message == f"The operator could not fetch the log: {answer.message}."


TAKEN = NameTaken("cardiology-log", "another resource's")
REFUSED = RefusedError("create ConfigMap team-a/cardiology-log: 403 exceeded quota")
AWAY = UnavailableError("get ConfigMap team-a/cardiology-log: no answer")


@pytest.mark.parametrize(
    ("error", "state", "write_failure"),
    [
        pytest.param(TAKEN, LogState.NAME_TAKEN, None, id="name taken"),
        pytest.param(REFUSED, LogState.COLLECTING, WriteFailure.REFUSED, id="refused"),
        pytest.param(AWAY, LogState.COLLECTING, WriteFailure.FAILED, id="unavailable"),
    ],
)
async def test_log_that_cannot_be_written_says_why(
    bench: Bench,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    state: LogState,
    write_failure: WriteFailure | None,
) -> None:
    bench.dependencies.trouble = error
    text = f"The operator could not store the log: {error}".removesuffix(".") + "."
    wait = None if error is TAKEN else 15.0
    assert await bench.fetch() == replace(
        later(wait, state), write_failure=write_failure, message=text
    )
    [record] = caplog.records
    assert record.getMessage() == f"the log is not stored: {error}"
    assert fields_of(record) == {
        "namespace": "team-a",
        "training": "cardiology",
        "modelId": 7,
        "run": "run-1",
        "operation": "log",
        "keyFingerprint": KEY.fingerprint,
    }


@pytest.mark.parametrize(
    ("error", "write_failure"),
    [(TAKEN, None), (REFUSED, WriteFailure.REFUSED), (AWAY, None)],
    ids=["name taken", "refused", "unavailable"],
)
async def test_no_log_call_is_made_while_the_store_is_unreadable(
    bench: Bench, error: Exception, write_failure: WriteFailure | None
) -> None:
    bench.dependencies.unreadable = error
    for _ in range(9):  # more than the quota has
        outcome = await bench.fetch()
        assert isinstance(outcome, LogUnavailable)
        assert (outcome.was_called, outcome.write_failure) == (False, write_failure)
    bench.dependencies.unreadable = None
    assert isinstance(await bench.fetch(), LogStored)
    assert bench.dependencies.calls == 1


async def test_a_bug_in_the_store_is_not_hidden(bench: Bench) -> None:
    bench.dependencies.trouble = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await bench.fetch()


# Quota.


async def test_no_log_call_is_made_without_quota(bench: Bench) -> None:
    assert isinstance(await bench.fetch(), LogStored)
    outcome = await bench.fetch()
    assert outcome == LogUnavailable(900.0, LogState.COLLECTING, 42.0, tried=False)
    assert bench.dependencies.calls == 1
    bench.time.seconds += 900
    assert isinstance(await bench.fetch(), LogStored)


async def test_a_run_that_has_ended_comes_first(bench: Bench) -> None:
    other = a_training(name="other", status=ENDED.status)
    await bench.fetch()
    assert await bench.fetch(other) == LogUnavailable(900.0, LogState.COLLECTING, 42.0, tried=False)
    bench.time.seconds += 900
    outcome = await bench.fetch()
    assert outcome == LogUnavailable(900.0, LogState.COLLECTING, 42.0, tried=False)
    assert isinstance(await bench.fetch(other), LogStored)


@pytest.mark.parametrize(
    ("finished_at", "retry_at"), [(at(hours=8), None), (at(hours=8), at(hours=9))]
)
async def test_a_run_has_ended_also_where_another_is_to_follow(
    bench: Bench, finished_at: datetime, retry_at: datetime | None
) -> None:
    run = a_run(ownership="Owned", claimed_at=EIGHT, retry_at=retry_at)
    for seconds in (0, 900, 1800):
        bench.time.seconds = seconds
        assert isinstance(await bench.fetch(), LogStored)
    bench.time.seconds = 2700
    assert not isinstance(await bench.fetch(), LogStored)  # three of four are for running runs
    ended = running(run=run, finished_at=finished_at)
    assert isinstance(await bench.fetch(ended), LogStored)


async def test_rate_limit_info_of_a_log_reply_is_used(bench: Bench) -> None:
    bench.dependencies.published = RateLimitInfo(limit=2, reset=60.0)
    await bench.fetch()
    limiter = bench.schedulers.of(KEY.fingerprint).limiters[Call.LOG]
    assert limiter.limits(bench.time.monotonic()) == (Limit(2, 3600.0),)


@pytest.mark.parametrize(("max_bytes", "waits"), [(LARGE, False), (LARGE + 1, True)])
async def test_logs_with_a_large_bound_alternate(
    bench: Bench,
    max_bytes: int,
    waits: bool,  # noqa: FBT001 - the expected value
) -> None:
    bench.dependencies.is_slow = True
    large = a_training(status=RUNNING.status, log={"maxBytes": max_bytes})
    first = asyncio.create_task(bench.fetch(large))
    await bench.dependencies.is_saving.wait()
    second = asyncio.create_task(bench.fetch(replace(large, uid="another")))
    for _ in range(100):  # many more cycles of the event loop than needed
        await asyncio.sleep(0)
    assert second.done() != waits
    bench.dependencies.may_save.set()
    assert isinstance(await first, LogStored)
    await second
