"""engine/quota_publisher.py: the quota left is written when it has changed."""

import logging
from dataclasses import dataclass, field

import pytest

from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.scheduling.calls import Answer, Call, CallPermit
from scriptix_operator.core.scheduling.quota_document import parse
from scriptix_operator.engine.quota_publisher import QuotaPublisher
from scriptix_operator.engine.schedulers import KeySchedulers
from scriptix_operator.engine.work_queue import WorkQueue
from scriptix_operator.telemetry.metrics import Metrics
from tests.unit.core.builders import a_training
from tests.unit.engine.clocks import Time
from tests.unit.engine.fake_quota import FakeQuotaConfigMap

LIMITS = dict.fromkeys(Call, (Limit(5, 3600.0),))
KEY = a_training().key


@dataclass
class Bench:
    """A publisher, and an API key whose calls it publishes."""

    time: Time = field(default_factory=Time)
    config_map: FakeQuotaConfigMap = field(default_factory=FakeQuotaConfigMap)
    metrics: Metrics = field(default_factory=Metrics)

    def __post_init__(self) -> None:
        """Build the publisher."""
        work_queue = WorkQueue(self.time.monotonic)
        self.schedulers = KeySchedulers(LIMITS, work_queue, self.time, lambda: 0.5)
        self.publisher = QuotaPublisher(self.config_map, self.schedulers, self.metrics)

    def call(self) -> None:
        """Make a call that counts."""
        permit = self.schedulers.acquire_log("key", KEY, has_ended=True)
        assert isinstance(permit, CallPermit)
        self.schedulers.complete("key", permit, Answer(7))

    def used(self) -> list[int]:
        """The used log calls in each document that was written."""
        documents = map(parse, self.config_map.texts)
        return [one.keys["key"].operations["log"].limits[0].used for one in documents]

    def counted(self, outcome: str) -> float | None:
        """The number of writes with an outcome."""
        name = "scriptix_quota_writes_total"
        return self.metrics.registry.get_sample_value(name, {"outcome": outcome})


async def test_quota_is_written_again_only_when_it_has_changed() -> None:
    bench = Bench()
    bench.call()
    await bench.publisher.publish()
    bench.time.seconds += 800.0  # the next log call fits again
    await bench.publisher.publish()
    bench.time.seconds += 30.0
    await bench.publisher.publish()
    assert bench.used() == [1, 1]
    bench.call()
    await bench.publisher.publish()
    assert bench.used() == [1, 1, 2]
    assert (bench.counted("written"), bench.counted("failed")) == (3, 0)


async def test_refused_quota_write_is_logged_once_and_retried(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.call()
    bench.config_map.is_refusing = True
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            await bench.publisher.publish()
        assert caplog.messages == ["the quota left is not published: write: 403"]
        bench.config_map.is_refusing = False
        await bench.publisher.publish()
    assert caplog.messages[1:] == ["the quota left is published again"]
    assert bench.used() == [1]
    assert (bench.counted("written"), bench.counted("failed")) == (1, 3)
