"""engine/quota_restore.py: limits and charges of earlier processes."""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from scriptix_operator.api.status import LogStatus
from scriptix_operator.core.ledger.ledger import Ledger, StartCharge
from scriptix_operator.core.ledger.observed_limits import StoredLimit
from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.scheduling.calls import Call
from scriptix_operator.engine.quota_restore import QuotaRestore
from scriptix_operator.engine.schedulers import KeySchedulers
from scriptix_operator.engine.start_ledger import StartLedger
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.engine.work_queue import WorkQueue
from scriptix_operator.telemetry.metrics import Metrics
from tests.unit.core.builders import EIGHT, a_run, a_training, followed
from tests.unit.engine.clocks import Time
from tests.unit.engine.fake_ledger import FakeLedgerConfigMap, Fault, complete

SOURCE, OTHER_SOURCE = "Secret/team-a/api-key", "Secret/team-b/api-key"
KEY, OTHER_KEY = ApiKey("k", SOURCE), ApiKey("o", SOURCE)
LIMITS = dict.fromkeys(Call, (Limit(2, 3600.0),))
OBSERVED = StoredLimit(seconds=3600.0, count=1, at=EIGHT, clean_windows=24.0)


class ChargedLedger(StartLedger):
    """A ledger with the starts that the bench names."""

    bench: "Bench"

    def charges_of(
        self, fingerprint: str, key_source: str
    ) -> tuple[list[StartCharge], list[StartCharge]]:
        """Return the starts, for any key and source."""
        del fingerprint, key_source
        return self.bench.own, self.bench.before


@dataclass
class Bench:
    """A new process at eight, with what the ledger has of earlier ones.

    Args:
        own: Starts made with KEY.
        before: Starts made with the keys that its Secret held before.
    """

    own: list[StartCharge] = field(default_factory=list)
    before: list[StartCharge] = field(default_factory=list)
    time: Time = field(default_factory=Time)
    config_map: FakeLedgerConfigMap = field(
        default_factory=lambda: FakeLedgerConfigMap(
            Ledger(limits={KEY.fingerprint: {"start": (OBSERVED,), "gone": (OBSERVED,)}})
        )
    )

    def __post_init__(self) -> None:
        """Create the schedulers and the ledger."""
        self.schedulers = KeySchedulers(
            LIMITS, WorkQueue(self.time.monotonic), self.time, lambda: 1.0
        )
        ledger = ChargedLedger(
            self.config_map, TrainingStore(), complete, timedelta(hours=1), self.time, Metrics()
        )
        ledger.bench = self
        self.quota_restore = QuotaRestore(self.schedulers, ledger, self.time)

    def wait(self, key: ApiKey = KEY) -> float:
        """Seconds until the next start fits."""
        return self.schedulers.wait(key.fingerprint, Call.START)

    def limits(self) -> tuple[Limit, ...]:
        """The limits of starts."""
        limiter = self.schedulers.of(KEY.fingerprint).limiters[Call.START]
        return limiter.limits(self.time.monotonic())


def a_charge(ago: float, namespace: str = "team-a") -> StartCharge:
    """A start of another process, so many seconds before eight."""
    at = EIGHT - timedelta(seconds=ago)
    return StartCharge(
        serial=1, id="u/r/1", model_id=7, namespace=namespace, key_source=SOURCE, at=at
    )


# Observed limits.


async def test_observed_limits_are_restored_after_earlier_calls() -> None:
    bench = Bench()
    bench.schedulers.of(KEY.fingerprint)
    await bench.quota_restore.restore(KEY)
    assert bench.limits() == (Limit(1, 3600.0),)


async def test_unreadable_ledger_is_read_again_before_the_next_call() -> None:
    bench = Bench()
    bench.config_map.read_faults.append(Fault.LOST)
    await bench.quota_restore.restore(KEY)
    assert bench.limits() == (Limit(2, 3600.0),)
    await bench.quota_restore.restore(KEY)
    assert bench.limits() == (Limit(1, 3600.0),)
    reads = bench.config_map.reads
    await bench.quota_restore.restore(KEY)
    assert bench.config_map.reads == reads


async def test_restored_limit_is_kept_as_it_was() -> None:
    bench = Bench(time=Time(7200.0))
    await bench.quota_restore.restore(KEY)
    await bench.quota_restore.keep_limits(KEY, Call.START)
    assert bench.config_map.ledger.limits[KEY.fingerprint]["start"] == (OBSERVED,)


async def test_log_calls_in_statuses_are_counted_once() -> None:
    bench = Bench()
    run = a_run(ownership="Owned", claimed_at=EIGHT, key_fingerprint=KEY.fingerprint)
    status = followed(run=run, log=LogStatus(recent_calls=(EIGHT,)))
    bench.quota_restore.ledger.store.put(a_training(status=status))
    for _ in range(2):
        await bench.quota_restore.restore(KEY)
    limiter = bench.schedulers.of(KEY.fingerprint).limiters[Call.LOG]
    assert limiter.calls_by_tag(bench.time.monotonic()).total() == 1


# Starts.


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
    bench = Bench([a_charge(ago) for ago in charges])
    bench.quota_restore.restore_starts(KEY)
    assert bench.wait() == wait
    bench.time.seconds += 3599.0
    limiter = bench.schedulers.of(KEY.fingerprint).limiters[Call.START]
    assert limiter.wait(bench.time.monotonic(), 1) == (1 if -60 in charges else 0)


def test_starts_of_a_key_from_two_sources_are_counted_once() -> None:
    bench = Bench([a_charge(900)])
    for source in (SOURCE, SOURCE, OTHER_SOURCE):
        bench.quota_restore.restore_starts(ApiKey("k", source))
    assert bench.wait() == 0
    bench.before = [a_charge(600)]
    for _ in range(2):
        bench.quota_restore.restore_starts(ApiKey("k", "third"))
    assert bench.wait() == 2700
    bench.own = []
    bench.quota_restore.restore_starts(OTHER_KEY)
    assert bench.wait(OTHER_KEY) == 0


def test_starts_of_other_processes_count_by_namespace() -> None:
    bench = Bench([a_charge(600, "team-b")])
    bench.quota_restore.restore_starts(KEY)
    limiter = bench.schedulers.of(KEY.fingerprint).limiters[Call.START]
    assert limiter.calls_by_tag(bench.time.monotonic()) == {"team-b": 1}
