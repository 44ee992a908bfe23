"""engine/metered_calls.py: the metrics of a call, and the limits observed in its reply."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from scriptix_operator.core.ledger.ledger import Ledger
from scriptix_operator.core.ledger.observed_limits import StoredLimit
from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.write_throttle import CONFIRM, KEEP_AGAIN
from scriptix_operator.core.scheduling.calls import Call, CallPermit
from scriptix_operator.core.scheduling.failure_window import LEAST_CALLS
from scriptix_operator.engine.metered_calls import MeteredCalls, OnRateInfo
from scriptix_operator.engine.quota_restore import QuotaRestore
from scriptix_operator.engine.schedulers import KeySchedulers
from scriptix_operator.engine.start_ledger import StartLedger
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.engine.work_queue import WorkQueue
from scriptix_operator.scriptix.errors import ScriptixError, error_of
from scriptix_operator.telemetry.metrics import Metrics
from tests.unit.core.builders import EIGHT
from tests.unit.engine.clocks import Time
from tests.unit.engine.fake_ledger import FakeLedgerConfigMap, Fault, complete
from tests.unit.log_lines import fields_of

KEY, OTHER_KEY = ApiKey("k", "Secret/team-a/api-key"), ApiKey("o", "Secret/team-b/api-key")
RESOURCE = TrainingKey("team-a", "speech")
LIMITS = {call: (Limit(10, 3600.0),) for call in Call}
FLAWED = RateLimitInfo(flaw="X-RateLimit-Limit: many is no number")


@dataclass
class Bench:
    """Metered calls on a clock, with their metrics."""

    time: Time = field(default_factory=Time)
    config_map: FakeLedgerConfigMap = field(default_factory=lambda: FakeLedgerConfigMap(Ledger()))
    metrics: Metrics = field(default_factory=Metrics)
    takes: float = 2.0
    """The duration of a call in seconds."""

    def __post_init__(self) -> None:
        """Create the schedulers and the calls."""
        self.schedulers = KeySchedulers(
            LIMITS, WorkQueue(self.time.monotonic), self.time, lambda: 1.0
        )
        ledger = StartLedger(
            self.config_map, TrainingStore(), complete, timedelta(hours=1), self.time, Metrics()
        )
        quota_restore = QuotaRestore(self.schedulers, ledger, self.time)
        self.calls = MeteredCalls(self.schedulers, quota_restore, self.time, self.metrics)

    def acquire(self, call: Call, key: ApiKey = KEY) -> CallPermit:
        """Acquire the permit of a call."""
        limiter = self.schedulers.of(key.fingerprint).limiters[call]
        return CallPermit(call, RESOURCE, limiter.acquire(self.time.monotonic()))

    async def call(
        self,
        call: Call = Call.STATUS,
        failure: CallFailure | None = None,
        published: RateLimitInfo | None = None,
        *,
        key: ApiKey = KEY,
        model_id: int = 7,
    ) -> str:
        """Make a call with this outcome."""
        permit = self.acquire(call, key)
        return await self.calls.make(model_id, key, permit, self.reply(failure, published))

    def reply(
        self, failure: CallFailure | None, published: RateLimitInfo | None
    ) -> Callable[[OnRateInfo], Awaitable[str]]:
        """The reply of a call."""

        async def send(on_rate_info: OnRateInfo) -> str:
            self.time.seconds += self.takes
            if published is not None:
                on_rate_info(published)
            if failure is not None:
                raise error_of(failure)
            return "the reply"

        return send

    def shown(self, series: str, **labels: str) -> float | None:
        """The value in a scrape."""
        return self.metrics.registry.get_sample_value(series, labels)

    def in_flight(self, call: Call) -> int:
        """The number of calls in flight."""
        return self.schedulers.of(KEY.fingerprint).limiters[call].in_flight


@pytest.fixture
def bench() -> Bench:
    """Return a bench."""
    return Bench()


def refused(wait: float = 3598.0) -> CallFailure:
    """A rate-limited call."""
    return CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=wait)


@pytest.mark.parametrize("call", Call)
async def test_reply_is_passed_on_counted_and_timed(bench: Bench, call: Call) -> None:
    assert await bench.call(call) == "the reply"
    assert bench.in_flight(call) == 0
    assert bench.schedulers.of(KEY.fingerprint).limiters[call].calls_by_tag(102.0).total() == 1
    requests = "scriptix_api_requests_total"
    assert bench.shown(requests, operation=call.value, code="2xx") == 1
    assert bench.shown("scriptix_api_request_duration_seconds_sum", operation=call.value) == 2


@pytest.mark.parametrize("kind", FailureKind)
async def test_failure_is_passed_on_and_counted(bench: Bench, kind: FailureKind) -> None:
    failure = CallFailure(kind, "no", 418)
    with pytest.raises(ScriptixError) as raised:
        await bench.call(Call.START, failure)
    assert raised.value.failure == failure
    assert bench.shown("scriptix_api_requests_total", operation="start", code="418") == 1
    assert bench.in_flight(Call.START) == 0
    charges_of = (
        bench.schedulers.of(KEY.fingerprint).limiters[Call.START].calls_by_tag(102.0).total()
    )
    assert charges_of == (kind is not FailureKind.NOT_SENT)


async def test_bug_in_a_call_completes_its_permit(bench: Bench) -> None:
    """While one start is in flight no other may be sent."""

    async def send(on_rate_info: OnRateInfo) -> str:
        del on_rate_info
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await bench.calls.make(7, KEY, bench.acquire(Call.START), send)
    assert bench.in_flight(Call.START) == 0
    assert bench.shown("scriptix_api_requests_total", operation="start", code="none") == 1


async def fail(bench: Bench, *failures: CallFailure) -> None:
    """Poll models 0, 1, and so on, with these failures."""
    for model_id, failure in enumerate(failures):
        with pytest.raises(ScriptixError):
            await bench.call(failure=failure, model_id=model_id)


UNANSWERED = (CallFailure(FailureKind.AMBIGUOUS, "HTTP 500", 500),) * LEAST_CALLS


async def test_unanswered_polls_open_the_circuit(bench: Bench) -> None:
    await fail(bench, *UNANSWERED)
    assert bench.schedulers.of(KEY.fingerprint).breaker.open_circuit is not None


async def test_circuit_that_opens_and_closes_is_logged_once_each(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await fail(bench, *UNANSWERED, *UNANSWERED)  # open since 08:00:06
    for _ in range(2):
        await bench.call()
    said = [(record.levelname, record.getMessage()) for record in caplog.records]
    opened = f"{KEY.source}: the circuit breaker is open since 2025-01-16T08:00:20Z: HTTP 500"
    closed = (
        f"{KEY.source}: the circuit breaker is closed, after it was open since 2025-01-16T08:00:20Z"
    )
    assert said == [("WARNING", opened), ("INFO", closed)]
    assert {str(fields_of(record)) for record in caplog.records} == {
        str({"keyFingerprint": KEY.fingerprint})
    }


async def test_circuit_that_is_open_for_another_cause_is_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    rejected = CallFailure(FailureKind.UNAUTHORIZED, "HTTP 401", 401)
    await fail(bench, *UNANSWERED, rejected, rejected)
    said = [record.getMessage().rpartition(": ")[2] for record in caplog.records]
    assert said == ["HTTP 500", "HTTP 401"]


async def test_limit_inferred_from_a_refusal_is_kept_and_reported(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await bench.calls.quota_restore.ledger.document.ready()
    with pytest.raises(ScriptixError):
        await bench.call(Call.START, refused(), RateLimitInfo(limit=3, remaining=0, reset=3598.0))
    observed_limits = StoredLimit(seconds=3600.0, count=3, at=EIGHT, clean_windows=24.0)
    assert bench.config_map.ledger.limits == {KEY.fingerprint: {"start": (observed_limits,)}}
    assert bench.calls.quota_restore.ledger.observed_limits(KEY.fingerprint) == {
        "start": (observed_limits,)
    }
    assert bench.shown("scriptix_limits_observed_total", operation="start") == 1
    [record] = caplog.records
    assert record.getMessage() == f"{KEY.source}: limit of start calls is now 3/1h"
    assert fields_of(record) == {"operation": "start", "keyFingerprint": KEY.fingerprint}


async def test_confirmed_limit_is_not_logged_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.calls.quota_restore.ledger.document.ready()
    caplog.set_level(logging.INFO)
    for _ in range(2):
        await bench.call(published=RateLimitInfo(limit=3, reset=60.0))
        bench.time.seconds += CONFIRM
    assert bench.shown("scriptix_limits_observed_total", operation="status") == 2
    assert len(caplog.records) == 1


async def test_limit_that_is_as_configured_again_is_removed(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await bench.call(published=RateLimitInfo(limit=3, reset=60.0))
    bench.time.seconds += KEEP_AGAIN
    await bench.call(published=RateLimitInfo(limit=10, reset=60.0))
    assert bench.config_map.ledger.limits == {}
    assert caplog.records[-1].getMessage().endswith("limit of status calls is now as configured")
    assert bench.shown("scriptix_limits_observed_total", operation="status") == 2


async def test_unchanged_limits_are_not_written(bench: Bench) -> None:
    await bench.calls.quota_restore.ledger.document.ready()
    for _ in range(3):
        await bench.call(published=RateLimitInfo(limit=3, reset=60.0))
        await bench.call(Call.LOG)
    writes = [ledger.limits for ledger in bench.config_map.writes if ledger.limits]
    assert len(writes) == 1


async def test_unsaved_observed_limit_fails_no_call(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    await bench.calls.quota_restore.ledger.document.ready()
    bench.config_map.write_faults.append(Fault.REFUSED)
    assert await bench.call(published=RateLimitInfo(limit=3, reset=60.0)) == "the reply"
    assert caplog.records[-1].getMessage() == (
        "an observed limit is not kept across a restart: write: 403"
    )
    limiter = bench.schedulers.of(KEY.fingerprint).limiters[Call.STATUS]
    assert limiter.limits(bench.time.monotonic()) == (Limit(3, 3600.0),)


async def test_invalid_rate_limit_info_is_reported_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    for call, key in ((Call.STATUS, KEY), (Call.LOG, KEY), (Call.STATUS, OTHER_KEY)):
        for _ in range(2):
            await bench.call(call, published=FLAWED, key=key)
    await bench.call(published=RateLimitInfo(limit=10, reset=60.0))
    said = [record.getMessage() for record in caplog.records]
    text = "ignoring invalid rate-limit headers: X-RateLimit-Limit: many is no number"
    assert said == [f"{key.source}: {text}" for key in (KEY, KEY, OTHER_KEY)]
    assert {record.levelname for record in caplog.records} == {"WARNING"}
