"""engine/unreadable_reporter.py: the reason why a resource is skipped is reported once."""

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from scriptix_operator.api.times import format_time
from scriptix_operator.core.cluster.served_by import SILENCE
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.status.events import EventRecord
from scriptix_operator.engine import unreadable_reporter as unreadable
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.status_writer import StatusWriter
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.engine.unreadable_reporter import UnreadableReporter
from scriptix_operator.kube.configmaps import ConfigMaps
from scriptix_operator.kube.errors import (
    ConflictError,
    GoneError,
    KubeError,
    RefusedError,
    UnavailableError,
)
from scriptix_operator.kube.events import Events, Subject
from scriptix_operator.kube.trainings import Raw, Trainings
from scriptix_operator.telemetry.metrics import Metrics

KEY = TrainingKey("team-a", "odd")
TIMEOUT = 10.0
"""Seconds after which a wait that would never end fails its test."""


def a_raw(name: str = "odd", **metadata: object) -> dict[str, Any]:
    """A resource as the API server gives it."""
    given = {"namespace": "team-a", "name": name, "uid": "u", "resourceVersion": "1", **metadata}
    return {"metadata": given, "status": {"run": "odd", "phase": "Running"}}


@dataclass
class Cluster:
    """One resource, and the events about it."""

    raw: dict[str, Any] = field(default_factory=a_raw)
    patches: list[Mapping[str, Any]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)

    async def patch_status(
        self, key: TrainingKey, uid: str, resource_version: str, patch: Mapping[str, Any]
    ) -> Raw:
        """Merge a patch as Trainings.patch_status does."""
        assert (key, uid, resource_version) == (KEY, "u", "1")
        self.patches.append(patch)
        self.raw["status"].update(patch)
        return self.raw

    async def publish_about(self, subject: Subject, item: EventRecord, now: datetime) -> None:
        """Record an event as Events.publish_about does."""
        del now
        assert (subject.key, item.is_warning) == (KEY, True)
        self.events.append(f"{item.reason}: {item.message}")

    def status_writer(self) -> StatusWriter:
        """A recorder that writes here."""
        trainings, events = cast("Trainings", self), cast("Events", self)
        config_maps = cast("ConfigMaps", None)
        return StatusWriter(
            trainings, config_maps, events, TrainingStore(), Clock(), Metrics(), "ours"
        )


async def test_reason_is_written_once_with_one_event() -> None:
    cluster = Cluster()
    for _ in range(2):  # the second reporter is another process
        for _ in range(2):
            await cluster.status_writer().report_left_alone(cluster.raw, "why")
    assert len(cluster.patches) == 1
    assert cluster.raw["status"]["run"] == "odd"
    cluster.raw["metadata"]["generation"] = 5
    await cluster.status_writer().report_left_alone(cluster.raw, "why")
    assert cluster.raw["status"]["observedGeneration"] == 5
    assert cluster.events == ["Unreadable: why"]
    await cluster.status_writer().report_left_alone(cluster.raw, "why else")
    assert cluster.events == ["Unreadable: why", "Unreadable: why else"]


@pytest.mark.parametrize(
    "raw",
    [a_raw(deletionTimestamp="2025-01-16T08:00:00Z"), {**a_raw(), "status": "odd"}],
    ids=["being deleted", "status is no object"],
)
async def test_nothing_is_written_where_it_is_useless(raw: Raw) -> None:
    cluster = Cluster()
    await cluster.status_writer().report_left_alone(raw, "why")
    assert (cluster.patches, cluster.events) == ([], [])


async def published(errors: dict[str, deque[KubeError]], *dropped: str) -> list[str]:
    """The resources that a reporter reports, until the third one is reported."""
    tried: list[str] = []
    done = asyncio.Event()

    async def tell(raw: Raw, text: str) -> bool:
        name = raw["metadata"]["name"]
        tried.append(f"{name}: {text}")
        if errors.get(name):
            raise errors[name].popleft()
        if name == "last":
            done.set()
        return False

    reporter = UnreadableReporter(tell)
    for name in ("first", "second", "last"):
        reporter.put(a_raw(name), "why")
    for name in dropped:
        reporter.drop(TrainingKey("team-a", name))
    task = asyncio.create_task(reporter.run())
    async with asyncio.timeout(TIMEOUT):
        await done.wait()
    task.cancel()
    await asyncio.wait({task})
    return tried


async def test_failed_report_is_retried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unreadable, "FIRST_RETRY", 0.0)
    errors = {"last": deque[KubeError]([UnavailableError("500"), UnavailableError("500")])}
    assert await published(errors, "first") == ["second: why", *["last: why"] * 3]


async def test_outdated_version_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreadable, "FIRST_RETRY", 0.0)
    errors = {
        "first": deque[KubeError]([ConflictError("409")]),
        "second": deque[KubeError]([GoneError("404")]),
        "last": deque[KubeError]([UnavailableError("500")]),
    }
    assert await published(errors) == ["first: why", "second: why", "last: why", "last: why"]


async def test_refused_report_is_not_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unreadable, "FIRST_RETRY", 0.0)
    errors = {
        "first": deque[KubeError]([RefusedError("422")]),
        "last": deque[KubeError]([UnavailableError("500")]),
    }
    assert await published(errors, "second") == ["first: why", "last: why", "last: why"]


async def test_report_waits_while_another_installation_serves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(unreadable, "MAX_RETRY", 0.0)
    tried, done = [], asyncio.Event()

    async def tell(raw: Raw, text: str) -> bool:
        del raw
        tried.append(text)
        if len(tried) == 3:
            done.set()
        return len(tried) < 3

    reporter = UnreadableReporter(tell)
    reporter.put(a_raw(), "why")
    task = asyncio.create_task(reporter.run())
    async with asyncio.timeout(TIMEOUT):
        await done.wait()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(tried) == 3
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.parametrize(
    ("namespace", "age", "waits"),
    [
        pytest.param("theirs", timedelta(), True, id="another's"),
        pytest.param("theirs", SILENCE + timedelta(minutes=1), False, id="silent"),
        pytest.param("ours", timedelta(), False, id="ours"),
        pytest.param({"odd": 1}, timedelta(), False, id="unreadable"),
    ],
)
async def test_report_waits_for_the_installation_that_serves(
    namespace: object, age: timedelta, *, waits: bool
) -> None:
    cluster = Cluster()
    renewed_at = format_time(Clock().now() - age)
    cluster.raw["status"]["servedBy"] = {"namespace": namespace, "renewedAt": renewed_at}
    assert await cluster.status_writer().report_left_alone(cluster.raw, "why") is waits
    assert len(cluster.patches) == len(cluster.events) == (0 if waits else 1)
