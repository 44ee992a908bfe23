"""Reports of resources of other installations, and renewals of the own ones."""

import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

import pytest

from scriptix_operator.api.reasons import EventReason
from scriptix_operator.api.status import ServedBy, TrainingStatus
from scriptix_operator.core.cluster.served_by import RENEWAL, SILENCE
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.events import EventRecord
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.installation_watch import (
    EVENTS_EACH,
    REFUSED_RETRY,
    InstallationWatch,
)
from scriptix_operator.engine.status_writer import StatusWriter
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.kube.errors import ConflictError, RefusedError, UnavailableError
from scriptix_operator.kube.events import Events
from scriptix_operator.kube.trainings import UnreadableError
from scriptix_operator.telemetry.health import Problems
from scriptix_operator.telemetry.metrics import Metrics
from tests.unit.core.builders import EIGHT, a_training, followed

OURS, OTHER = "scriptix-system", "elsewhere"


class Bench(Clock):
    """The dependencies of InstallationWatch, which record events and writes in lists."""

    def __init__(self) -> None:
        self.moment = EIGHT
        self.store, self.metrics, self.problems = TrainingStore(), Metrics(), Problems()
        self.published: list[str] = []
        self.written: list[str] = []
        self.fault: Exception | None = None
        self.installation_watch = InstallationWatch(
            installation=OURS,
            store=self.store,
            status_writer=cast("StatusWriter", self),
            events=cast("Events", self),
            clock=self,
            metrics=self.metrics,
            problems=self.problems,
        )

    def now(self) -> datetime:
        """Wall time."""
        return self.moment

    async def publish(
        self, training: Training, transition_events: tuple[EventRecord, ...], _now: datetime
    ) -> None:
        """Record an event, as Events.publish does."""
        assert [item.reason for item in transition_events] == [EventReason.SERVED_ELSEWHERE]
        self.published.append(training.key.name)

    async def write(self, training: Training, status: TrainingStatus) -> Training:
        """Record a write, as Recorder.record does."""
        assert status == training.status
        self.written.append(training.key.name)
        if self.fault is not None:
            raise self.fault
        return training

    def add(self, name: str, by: str) -> None:
        """Add a resource that an installation has written at eight."""
        served_by = ServedBy(namespace=by, renewed_at=EIGHT)
        self.store.put(a_training(name=name, status=followed(served_by=served_by)))

    @property
    def counted(self) -> float | None:
        """The value of the gauge."""
        return self.metrics.registry.get_sample_value("scriptix_trainings_served_elsewhere")


@pytest.fixture
def bench() -> Bench:
    """Return a bench."""
    return Bench()


async def test_skipped_resources_are_reported_while_another_serves(bench: Bench) -> None:
    for number in range(EVENTS_EACH + 5):
        bench.add(f"r{number:02}", OTHER)
    bench.add("served", OURS)
    for _ in range(2):
        await bench.installation_watch.refresh()
    assert bench.published == [f"r{number:02}" for number in range(EVENTS_EACH)]
    assert bench.counted == EVENTS_EACH + 5
    [problem] = bench.problems.outstanding()
    assert (problem.source, problem.subject, problem.is_outage) == ("Installations", OTHER, False)
    assert "25 resources are left alone" in problem.text

    bench.moment += SILENCE
    await bench.installation_watch.refresh()
    assert bench.counted == 0
    assert bench.problems.outstanding() == []

    bench.moment = EIGHT
    bench.published.clear()
    await bench.installation_watch.refresh()
    assert len(bench.published) == EVENTS_EACH


@pytest.mark.parametrize(
    ("fault", "tried"),
    [
        pytest.param(None, ["a", "b"], id="written"),
        pytest.param(ConflictError("409"), ["a", "b"], id="changed meanwhile"),
        pytest.param(
            UnreadableError(a_training().key, ()),
            ["a", "b"],
            id="cannot be read any more",
        ),
        pytest.param(RefusedError("422"), ["a", "b"], id="refused"),
        pytest.param(UnavailableError("no answer"), ["a"], id="the API server is unreachable"),
    ],
)
async def test_resources_served_here_are_renewed(
    bench: Bench, fault: Exception | None, tried: list[str]
) -> None:
    for name in ("a", "b"):
        bench.add(name, OURS)
    bench.add("other", OTHER)
    bench.moment += RENEWAL - timedelta(seconds=1)
    await bench.installation_watch.refresh()
    assert bench.written == []
    bench.moment += timedelta(seconds=1)
    bench.fault = fault
    await bench.installation_watch.refresh()
    assert bench.written == tried


async def test_refused_renewal_is_retried_later_and_logged_once(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    bench.add("a", OURS)
    bench.moment += RENEWAL
    bench.fault = RefusedError("422")
    tried = []
    for _ in range(3):
        await bench.installation_watch.refresh()
        bench.moment += REFUSED_RETRY / 2
        tried.append(len(bench.written))
    assert tried == [1, 1, 2]
    assert len(caplog.records) == 1
    [known] = bench.store
    bench.store.put(replace(known, resource_version="9"))
    await bench.installation_watch.refresh()
    assert (len(bench.written), len(caplog.records)) == (3, 2)
