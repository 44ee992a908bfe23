"""Which resources are reconciled, when and side by side; reconciles and lists are faked."""

import asyncio
import logging
import math
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

import pytest

from scriptix_operator.api.times import format_time
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.reconcile.vocabulary import StartQueued
from scriptix_operator.core.scheduling.calls import Answer, Call, CallPermit
from scriptix_operator.core.scheduling.poll_scheduler import PollPriority, PollRequest
from scriptix_operator.core.scheduling.start_queue import queue_entry_of
from scriptix_operator.core.status.conditions import derive_status
from scriptix_operator.core.status.events import EventRecord
from scriptix_operator.engine import controller as engine
from scriptix_operator.engine import resync, state_reporter
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.controller import MAX_RETRY, PARALLEL_RECONCILES, Controller
from scriptix_operator.engine.coverage import Coverage
from scriptix_operator.engine.schedulers import KeySchedulers
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.engine.work_queue import WorkQueue
from scriptix_operator.kube.connection import connect
from scriptix_operator.kube.errors import GoneError, KubeError, RefusedError, UnavailableError
from scriptix_operator.kube.events import Events
from scriptix_operator.kube.leadership import LeadershipLostError
from scriptix_operator.kube.reachability import Reachability
from scriptix_operator.kube.trainings import Raw, dump_status
from scriptix_operator.telemetry.health import Problems
from scriptix_operator.telemetry.metrics import Metrics
from tests.unit.core.builders import EIGHT, a_training, followed
from tests.unit.kube.clusters import a_cluster
from tests.unit.log_lines import fields_of

TIMEOUT = 10.0
"""Seconds after which a wait that would never end fails its test."""
HOUR = 3600.0


def _raw(name: str, *, version: int = 1, model: int = 7, **metadata: Any) -> Raw:  # noqa: ANN401
    return {
        "metadata": {
            "namespace": "team-a",
            "name": name,
            "uid": f"uid-of-{name}",
            "generation": 1,
            "resourceVersion": str(version),
            "creationTimestamp": "2025-01-16T08:00:00Z",
            **metadata,
        },
        "spec": {"modelId": model},
    }


def _key(name: str) -> TrainingKey:
    return TrainingKey("team-a", name)


class Hand(Clock):
    """The real clocks, plus the time that a test adds."""

    ahead = 0.0

    def monotonic(self) -> float:
        """Seconds."""
        return super().monotonic() + self.ahead


class Bench:
    """A controller, with faked reconciles and lists.

    Args:
        events: The watched namespaces; none: all.
    """

    def __init__(self, events: Events, *namespaces: str) -> None:
        self.coverage = Coverage(namespaces)
        self.clock = Hand()
        self.metrics = Metrics()
        self.problems = Problems()
        self.served: list[frozenset[str]] = []
        """The watched namespaces, after each change."""
        self.store = TrainingStore()
        limit = (Limit(1, HOUR),)
        self.work_queue = WorkQueue(self.clock.monotonic)
        self.schedulers = KeySchedulers(
            dict.fromkeys(Call, limit), self.work_queue, self.clock, lambda: 0.5
        )
        self.listed: list[Raw] = []
        self.may_list = asyncio.Event()
        self.may_list.set()
        self.list_begun = asyncio.Event()
        self.lists = 0
        self.list_from: Callable[[str], AsyncIterator[Raw]] = self._list
        self.may_step = asyncio.Event()
        self.may_step.set()
        self.steps: list[str] = []
        self.at_once: Counter[int] = Counter()
        self.most_at_once: Counter[int] = Counter()
        self.on_step: Callable[[TrainingKey], Awaitable[float | None]] = self._rest
        self.reachability = Reachability()
        self.trials = 0
        self.engine = Controller(
            reconcile=self._step,
            list_all=self._list_from,
            store=self.store,
            coverage=self.coverage,
            schedulers=self.schedulers,
            events=events,
            clock=self.clock,
            metrics=self.metrics,
            problems=self.problems,
            work_queue=self.work_queue,
            resync_interval=HOUR,
            installation="ours",
            serve=self._serve,
            reachability=self.reachability,
            trial=self._try,
            report_left_alone=self._tell,
        )
        self.left_alone: list[str] = []
        """The resources that were reported as skipped."""

    async def _try(self) -> None:
        self.trials += 1

    async def _tell(self, raw: Raw, text: str) -> bool:
        assert "cannot read spec.modelId" in text
        self.left_alone.append(raw["metadata"]["name"])
        return False

    def _serve(self, namespaces: frozenset[str]) -> None:
        if self.served[-1:] != [namespaces]:
            self.served.append(namespaces)

    def seen(self, name: str, kind: str = "ADDED", **facts: Any) -> None:  # noqa: ANN401
        """Deliver a watch event of a resource."""
        self.engine.seen(kind, _raw(name, **facts))

    def queue_up(self, name: str) -> CallPermit | StartQueued:
        """Request the only start."""
        permit = self.schedulers.acquire_start("key", queue_entry_of(a_training(name=name), EIGHT))
        assert isinstance(permit, CallPermit | StartQueued)
        return permit

    async def until(self, holds: Callable[[], bool]) -> None:
        """Run the event loop until a condition holds."""
        async with asyncio.timeout(TIMEOUT):
            while True:
                if holds():
                    return
                await asyncio.sleep(0)

    async def derive_status(self) -> None:
        """Run everything that needs no time to pass."""
        for _ in range(200):
            await asyncio.sleep(0)

    def _list_from(self, scope: str) -> AsyncIterator[Raw]:
        return self.list_from(scope)

    async def _list(self, _scope: str) -> AsyncIterator[Raw]:
        listed = tuple(self.listed)
        self.lists += 1
        self.list_begun.set()
        await self.may_list.wait()
        for raw in listed:
            yield raw

    async def _step(self, key: TrainingKey) -> float | None:
        training = self.store.get(key)
        assert training is not None
        model = training.spec.model_id
        self.steps.append(key.name)
        self.at_once[model] += 1
        self.most_at_once[model] = max(self.most_at_once[model], self.at_once[model])
        try:
            await self.may_step.wait()
            return await self.on_step(key)
        finally:
            self.at_once[model] -= 1

    async def _rest(self, _key: TrainingKey) -> float | None:
        return None


@asynccontextmanager
async def _bench(*namespaces: str) -> AsyncIterator[Bench]:
    # No server listens there: events are best effort.
    async with connect(a_cluster("http://127.0.0.1:9")) as api:
        yield Bench(Events(api, "operator-0"), *namespaces)


@asynccontextmanager
async def _running(bench: Bench) -> AsyncIterator[None]:
    task = asyncio.create_task(bench.engine.run(lambda: None))
    try:
        await bench.derive_status()  # the first list is processed, unless the test has stopped it
        yield
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=TIMEOUT)
        assert task.cancelled()


async def test_nothing_is_reconciled_before_all_resources_are_known() -> None:
    """Otherwise the first resource listed could adopt the run of the last one."""
    async with _bench() as bench:
        bench.may_list.clear()
        bench.listed = [_raw("a"), _raw("b")]
        async with _running(bench):
            bench.seen("b")
            await bench.derive_status()
            assert bench.steps == []
            bench.may_list.set()
            await bench.until(lambda: len(bench.steps) == 2)
            assert sorted(bench.steps) == ["a", "b"]


async def test_failed_list_is_retried_and_awaited() -> None:
    async with _bench() as bench:

        async def fails_once(_scope: str) -> AsyncIterator[Raw]:
            bench.lists += 1
            if bench.lists == 1:
                raise UnavailableError("list: 500")
            yield _raw("a")

        bench.list_from = fails_once
        async with _running(bench):
            await bench.until(lambda: bench.steps == ["a"])
        assert bench.lists == 2


async def test_one_reconcile_at_a_time_for_each_model() -> None:
    async with _bench() as bench, _running(bench):
        bench.may_step.clear()
        for number in range(3):
            bench.seen(f"same-{number}", model=7)
            bench.seen(f"own-{number}", model=10 + number)
        await bench.until(lambda: len(bench.steps) == 4)
        await bench.derive_status()
        assert sorted(bench.steps) == ["own-0", "own-1", "own-2", "same-0"]
        bench.may_step.set()
        await bench.until(lambda: len(bench.steps) == 6)
        assert bench.most_at_once[7] == 1


async def test_shutdown_begins_no_reconcile_and_awaits_starts() -> None:
    async with _bench() as bench:
        replies = {"a": asyncio.Event(), "never-recorded": asyncio.Event()}

        async def start(key: TrainingKey) -> float | None:
            with bench.engine.shutdown.start_under_way():
                await replies[key.name].wait()
            return None

        async with _running(bench):
            bench.on_step = start
            bench.seen("never-recorded", model=8)
            bench.seen("a", model=7)
            await bench.until(lambda: len(bench.steps) == 2)
            bench.seen("due-after-a", model=7)
            await bench.derive_status()
            bench.engine.start_wait = 0.1
            bench.engine.shutdown.begin()
            replies["a"].set()
        assert sorted(bench.steps) == ["a", "never-recorded"]


async def test_lost_lease_ends_the_shutdown_and_is_raised() -> None:
    async with _bench() as bench:
        lost = asyncio.Event()

        async def hold() -> None:
            await lost.wait()
            raise LeadershipLostError("another leads")

        async def start(_key: TrainingKey) -> float | None:
            with bench.engine.shutdown.start_under_way():
                await asyncio.Event().wait()
            return None

        async def lead() -> None:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(hold())
                await bench.engine.run(lambda: None)

        async def work() -> int:
            with pytest.raises(ExceptionGroup) as caught:
                await lead()
            assert caught.group_contains(LeadershipLostError)
            return cast("asyncio.Task[int]", asyncio.current_task()).cancelling()

        bench.listed = [_raw("a")]
        bench.on_step, bench.engine.start_wait = start, HOUR
        working = asyncio.create_task(work())
        await bench.until(lambda: bench.steps == ["a"])
        bench.engine.shutdown.begin()
        working.cancel()
        await bench.derive_status()
        lost.set()
        # A pending cancellation would interrupt the release of the Lease.
        assert await asyncio.wait_for(working, TIMEOUT) == 0


async def test_many_resources_on_one_model_do_not_hold_up_the_others() -> None:
    async with _bench() as bench, _running(bench):
        bench.may_step.clear()
        for number in range(PARALLEL_RECONCILES + 10):
            bench.seen(f"same-{number}", model=7)
        await bench.derive_status()
        bench.seen("bystander", model=8)
        await bench.until(lambda: "bystander" in bench.steps)
        bench.may_step.set()
        await bench.until(lambda: len(bench.steps) == PARALLEL_RECONCILES + 11)


async def test_resource_edited_during_its_reconcile_is_requeued() -> None:
    async with _bench() as bench, _running(bench):
        bench.may_step.clear()
        bench.seen("a")
        await bench.until(lambda: bench.steps == ["a"])
        bench.seen("a", "MODIFIED", version=2, generation=2)
        bench.may_step.set()
        await bench.until(lambda: bench.steps == ["a", "a"])
        bench.seen("a", "MODIFIED", version=3, generation=2)  # a write of status
        await bench.derive_status()
        assert bench.steps == ["a", "a"]


def _fail_in_the_start_queue(bench: "Bench") -> None:
    """Have each reconcile join the start queue, whose only start is taken, and then fail."""

    async def queue_up(key: TrainingKey) -> float | None:
        bench.queue_up(key.name)
        raise UnavailableError("the API server is away")

    bench.queue_up("the-only-start")
    bench.on_step = queue_up


async def test_reconcile_waits_for_another_write_of_the_resource() -> None:
    async with _bench() as bench, _running(bench):
        async with bench.engine.locks.of(_key("a")):
            bench.seen("a")
            await bench.derive_status()
            assert bench.steps == []
        await bench.until(lambda: bench.steps == ["a"])


async def test_resource_deleted_during_its_reconcile_leaves_the_queue() -> None:
    async with _bench() as bench, _running(bench):
        _fail_in_the_start_queue(bench)
        bench.may_step.clear()
        bench.seen("a")
        await bench.until(lambda: bench.steps == ["a"])
        bench.seen("a", "DELETED")
        bench.may_step.set()
        await bench.derive_status()
        assert isinstance(bench.queue_up("z"), StartQueued)
        assert not bench.schedulers.of("key").is_queued(_key("a"))


async def test_failed_reconcile_keeps_its_start_queue_position() -> None:
    async with _bench() as bench, _running(bench):
        _fail_in_the_start_queue(bench)
        bench.seen("a")
        await bench.until(lambda: bench.steps == ["a"])
        await bench.derive_status()
        assert bench.schedulers.of("key").is_queued(_key("a"))


async def test_a_resource_being_deleted_leaves_the_start_queue_at_once() -> None:
    async with _bench() as bench:
        for name in ("the-only-start", "a"):
            bench.queue_up(name)
        bench.seen("a")
        bench.seen("a", "MODIFIED", version=2, deletionTimestamp="2025-01-16T09:00:00Z")
        assert bench.store.get(_key("a")) is not None
        assert isinstance(bench.queue_up("z"), StartQueued)
        assert not bench.schedulers.of("key").is_queued(_key("a"))


@pytest.mark.parametrize("has_said", [False, True], ids=["at once", "held by a finalizer"])
async def test_last_status_says_whether_the_release_was_announced(
    monkeypatch: pytest.MonkeyPatch,
    has_said: bool,  # noqa: FBT001 - both ways
) -> None:
    """The reply to that write may be in flight when the resource is removed."""
    published: list[tuple[TrainingKey, str]] = []

    async def publish(
        _: Events, training: Training, transition_events: tuple[EventRecord, ...], __: datetime
    ) -> None:
        published.extend((training.key, item.reason) for item in transition_events)

    monkeypatch.setattr(Events, "publish", publish)
    running = a_training(name="a", status=followed())
    last = derive_status(replace(running, is_being_deleted=has_said), followed(), EIGHT)
    async with _bench() as bench, _running(bench):
        known = {**_raw("a"), "status": dump_status(derive_status(running, followed(), EIGHT))}
        bench.engine.seen("ADDED", known)
        bench.engine.seen("DELETED", {**_raw("a", version=2), "status": dump_status(last)})
        await bench.derive_status()
    assert published == ([] if has_said else [(_key("a"), "ReleasedRunningTraining")])


async def test_failed_reconcile_takes_no_share_of_the_polls() -> None:
    async with _bench() as bench, _running(bench):

        async def poll(key: TrainingKey) -> float | None:
            bench.schedulers.acquire_poll("key", key, PollRequest(PollPriority.RUNNING, HOUR))
            if key.name == "b":
                raise UnavailableError("the API server is away")
            return None

        bench.on_step = poll
        for model, name in enumerate(("a", "b"), 7):
            bench.seen(name, model=model)
        await bench.until(lambda: sorted(bench.steps) == ["a", "b"])
        await bench.derive_status()
        assert bench.schedulers.states()["key"].poll_interval_ratio == pytest.approx(1)


async def test_key_schedulers_skip_absent_resources_automatically(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "DISPATCH_TIMEOUT", 0.0)
    async with _bench() as bench:
        permit, *_ = [
            bench.schedulers.acquire_poll(
                "key", _key(name), PollRequest(PollPriority.RUNNING, HOUR)
            )
            for name in ("a", "b", "c")
        ]
        assert isinstance(permit, CallPermit)
        bench.schedulers.complete("key", permit, Answer(7))
        for name in ("b", "c"):
            bench.work_queue.drop(_key(name))
        async with _running(bench):
            await bench.derive_status()
            bench.seen("c")
            await bench.until(lambda: bench.steps == ["c"])
            bench.clock.ahead = HOUR + 6
            await bench.until(lambda: bench.steps == ["c", "c"])


async def test_unreadable_resource_leaves_the_start_queue() -> None:
    async with _bench() as bench:
        for name in ("the-only-start", "a"):
            bench.queue_up(name)
        bench.seen("a")
        bench.seen("a", "MODIFIED", version=2, model=-1)
        assert bench.store.get(_key("a")) is None
        assert isinstance(bench.queue_up("z"), StartQueued)
        assert not bench.schedulers.of("key").is_queued(_key("a"))


async def test_missing_resource_is_kept_until_the_watch_deletes_it() -> None:
    async with _bench() as bench, _running(bench):

        async def not_found(_key: TrainingKey) -> float | None:
            raise GoneError("write status: 404")

        bench.on_step = not_found
        bench.seen("a")
        await bench.until(lambda: bench.steps == ["a"])
        await bench.derive_status()
        bench.clock.ahead = MAX_RETRY
        bench.seen("b", model=8)
        await bench.until(lambda: sorted(bench.steps) == ["a", "a", "b"])


async def test_list_does_not_restore_a_deleted_resource() -> None:
    async with _bench() as bench:
        bench.seen("a")
        bench.listed = [_raw("a")]
        bench.may_list.clear()
        async with _running(bench):
            await bench.list_begun.wait()
            bench.seen("a", "DELETED")
            bench.may_list.set()
            await bench.derive_status()
            assert list(bench.store) == []
            assert bench.steps == []


async def test_list_does_not_drop_a_recreated_resource() -> None:
    async with _bench() as bench:
        bench.seen("listed", uid="old")
        bench.seen("not-listed", uid="old")
        bench.listed = [_raw("listed", uid="old")]
        bench.may_list.clear()
        async with _running(bench):
            await bench.list_begun.wait()
            for name in ("listed", "not-listed"):
                bench.seen(name, "DELETED", uid="old", version=5)
                bench.seen(name, uid="new", version=6)
            bench.may_list.set()
            await bench.derive_status()
            assert {training.uid for training in bench.store} == {"new"}
            assert sorted(set(bench.steps)) == ["listed", "not-listed"]


async def test_list_drops_resources_whose_deletion_was_missed() -> None:
    async with _bench() as bench:
        bench.seen("gone")
        bench.listed = [_raw("there")]
        async with _running(bench):
            await bench.until(lambda: bench.steps == ["there"])
            assert {training.key for training in bench.store} == {_key("there")}


# Several namespaces.


class Lists:
    """The API server's replies to lists, by namespace."""

    def __init__(self, bench: Bench, **listed: tuple[Raw, ...]) -> None:
        self.listed = {name.replace("_", "-"): raws for name, raws in listed.items()}
        self.refused: set[str] = set()
        """Namespaces whose list fails after the resources above."""
        self.error: KubeError = RefusedError("list: 403 forbidden")
        self.slow: set[str] = set()
        """Namespaces whose list does not end."""
        bench.list_from = self.all

    async def all(self, namespace: str) -> AsyncIterator[Raw]:
        """List a namespace."""
        for raw in self.listed[namespace]:
            yield raw
        if namespace in self.slow:
            await asyncio.Event().wait()
        if namespace in self.refused:
            raise self.error


@pytest.mark.parametrize("fault", ["refused", "slow"])
async def test_namespace_that_is_not_listed_delays_no_other(
    fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resync, "START_PATIENCE", 0.0)
    async with _bench("team-a", "team-b") as bench:
        foreign = _raw("b", namespace="team-b", model=8)
        lists = Lists(bench, team_a=(_raw("a"),), team_b=(foreign,))
        getattr(lists, fault).add("team-b")
        async with _running(bench):
            await bench.until(lambda: bench.steps == ["a"])
            # Its known resources are not reconciled yet, but the others see them.
            bench.seen("b", namespace="team-b", model=8, version=2)
            await bench.derive_status()
            assert bench.steps == ["a"]
            assert len(list(bench.store)) == 2
            assert bench.coverage.unlisted == ("team-b",)


async def test_namespace_is_served_once_its_list_is_complete(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resync, "FIRST_RETRY", 0.0)
    caplog.set_level(logging.INFO)
    async with _bench("team-a", "team-b") as bench:
        lists = Lists(bench, team_a=(), team_b=(_raw("b", namespace="team-b"),))
        lists.refused.add("team-b")
        async with _running(bench):
            await bench.derive_status()
            assert bench.steps == []
            assert _listed(bench, "team-b") == 0
            assert bench.problems.sentences() == [
                "For 0s: Namespace team-b cannot be listed: list: 403 forbidden."
            ]
            assert bench.served == [{"team-a"}]
            lists.refused.clear()
            await bench.until(lambda: bench.steps == ["b"])
            assert (_listed(bench, "team-a"), _listed(bench, "team-b")) == (1, 1)
            assert bench.problems.sentences() == []
            assert bench.served[1:] == [{"team-a", "team-b"}]
    said = [(record.getMessage(), fields_of(record)) for record in caplog.records]
    assert said == [
        ("namespace team-b cannot be listed: list: 403 forbidden", {"namespace": "team-b"}),
        ("namespace team-b can be listed again", {"namespace": "team-b"}),
    ]


async def test_unreachable_api_server_is_not_logged_for_each_namespace(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resync, "FIRST_RETRY", 0.0)
    caplog.set_level(logging.INFO)
    async with _bench("team-a", "team-b") as bench:
        lists = Lists(bench, team_a=(), team_b=(_raw("b", namespace="team-b"),))
        lists.refused.add("team-b")
        bench.reachability.failed(0.0, "reset")
        caplog.clear()
        async with _running(bench):
            await bench.derive_status()
            assert _listed(bench, "team-b") == 0
            assert not caplog.records
            lists.refused.clear()
            bench.reachability.answered()
            await bench.until(lambda: bench.steps == ["b"])


def _listed(bench: Bench, namespace: str) -> float | None:
    name = "scriptix_namespace_listed"
    return bench.metrics.registry.get_sample_value(name, {"namespace": namespace})


async def test_list_that_is_not_complete_removes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync, "FIRST_RETRY", 0.0)
    async with _bench("team-a", "team-b") as bench:
        for namespace in ("team-a", "team-b"):
            for name in ("first-page", "second-page"):
                bench.seen(name, namespace=namespace, uid=namespace)
        page = tuple(_raw("first-page", namespace=n, uid=n) for n in ("team-a", "team-b"))
        lists = Lists(bench, team_a=page[:1], team_b=page[1:])
        lists.refused.add("team-b")
        async with _running(bench):
            await bench.derive_status()
            kept = {str(training.key) for training in bench.store}
            assert kept == {"team-a/first-page", "team-b/first-page", "team-b/second-page"}
            lists.refused.clear()
            await bench.until(lambda: len(list(bench.store)) == 2)


async def test_a_bug_in_one_list_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with _bench("team-a", "team-b") as bench:
        Lists(bench, team_a=(_raw("a"),))
        async with _running(bench):
            await bench.until(lambda: bench.steps == ["a"])
    assert "namespace team-b cannot be listed: " in caplog.text
    assert "Traceback" in caplog.text


async def test_resource_that_cannot_be_parsed_is_known_while_it_exists(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with _bench() as bench:
        bad = _raw("bad", model=-1)
        for _ in range(2):
            bench.engine.seen(None, bad)
        assert len(caplog.records) == 1
        assert bench.coverage.unreadable == {_key("bad"): "uid-of-bad"}
        bench.seen("bad", "DELETED", uid="of-another")
        assert bench.coverage.unreadable
        bench.seen("bad", "DELETED")
        assert not bench.coverage.unreadable
        bench.engine.seen(None, bad)
        bench.seen("bad", version=2)
        assert not bench.coverage.unreadable
        bench.seen("bad", "MODIFIED", version=3, model=-1)
        bench.seen("gone", model=-1)
        bench.listed = [_raw("bad", version=3, model=-1)]
        async with _running(bench):
            assert bench.coverage.unreadable == {_key("bad"): "uid-of-bad"}


async def test_unparseable_resource_is_reported_while_it_lasts() -> None:
    async with _bench() as bench:
        for name in ("bad", "fixed", "gone"):
            bench.seen(name, model=-1)
        bench.seen("fixed", version=2)
        bench.seen("gone", "DELETED", model=-1)
        async with _running(bench):
            await bench.until(lambda: bench.left_alone == ["bad"])
            bench.listed = [_raw("bad", model=-1), _raw("fixed", version=2)]
            bench.engine.relist()
            bench.seen("bad", "MODIFIED", model=-1, version=3)
            await bench.until(lambda: bench.left_alone == ["bad", "bad"])


@pytest.mark.parametrize(
    ("namespace", "counted"), [("ours", 2), ("theirs", 0)], ids=["served here", "served elsewhere"]
)
async def test_unreadable_resources_of_others_are_not_counted(namespace: str, counted: int) -> None:
    async with _bench() as bench:
        served_by = {"namespace": namespace, "renewedAt": format_time(bench.clock.now())}
        bench.listed = [
            {**_raw("bad", model=-1), "status": {"servedBy": served_by}},
            {**_raw("odd"), "status": {"servedBy": served_by, "progress": "45%"}},
        ]
        for raw in bench.listed:
            bench.engine.seen("ADDED", raw)
        async with _running(bench):
            sample = bench.metrics.registry.get_sample_value
            assert sample("scriptix_trainings_unreadable") == counted
            sources = [problem.source for problem in bench.problems.outstanding()]
            assert ("Resources" in sources) is bool(counted)


async def test_change_of_readable_fields_causes_a_reconcile() -> None:
    odd = {**_raw("a", version=2), "status": {"progress": "45%"}}
    async with _bench() as bench:
        bench.listed = [_raw("a")]
        async with _running(bench):
            await bench.until(lambda: bench.steps == ["a"])
            bench.engine.seen("MODIFIED", odd)
            await bench.until(lambda: bench.steps == ["a", "a"])
            assert [one.key for one in bench.store.unreadable()] == [_key("a")]
            bench.seen("a", "MODIFIED", version=3)
            await bench.until(lambda: bench.steps == ["a", "a", "a"])
            assert bench.store.unreadable() == []


@pytest.mark.parametrize("older", [7, -1], ids=["was readable", "was unreadable"])
@pytest.mark.parametrize("newer", [7, -1], ids=["is readable", "is unreadable"])
async def test_older_version_replaces_no_newer_one(older: int, newer: int) -> None:
    """A page of a list may be older than later watch events; 9 is before 10."""
    async with _bench() as bench:
        bench.seen("a", "MODIFIED", version=10, model=newer)
        bench.engine.seen(None, _raw("a", version=9, model=older))
        assert (bench.store.get(_key("a")) is not None) == (newer == 7)
        assert bool(bench.coverage.unreadable) == (newer != 7)
        assert bench.coverage.unreadable_version(_key("a")) == (None if newer == 7 else "10")
        bench.engine.seen(None, _raw("a", version=11, model=older))
        assert (bench.store.get(_key("a")) is not None) == (older == 7)


async def test_starts_that_waited_for_a_namespace_continue_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resync, "FIRST_RETRY", 0.0)
    published = {"type": "Succeeded", "status": "Unknown", "message": "-"}
    times = {"lastTransitionTime": "2025-01-16T08:00:00Z", "observedGeneration": 1}
    waiting = {
        **_raw("waiting"),
        "status": {"conditions": [{**published, **times, "reason": "WaitingForNamespaces"}]},
    }
    async with _bench("team-a", "team-b") as bench:
        lists = Lists(bench, team_a=(waiting, _raw("other", model=8)), team_b=())
        lists.refused.add("team-b")
        async with _running(bench):
            await bench.until(lambda: sorted(bench.steps) == ["other", "waiting"])
            bench.steps.clear()
            lists.refused.clear()
            await bench.until(lambda: bench.steps == ["waiting"])


async def test_namespace_that_loses_permission_keeps_its_resources(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resync, "FIRST_RETRY", 0.0)
    monkeypatch.setattr(resync, "PATIENT_FAILURES", math.inf)  # the refusal alone causes the state
    async with _bench("team-a", "team-b") as bench:
        lists = Lists(bench, team_a=(), team_b=(_raw("b", namespace="team-b"),))
        async with _running(bench):
            await bench.until(lambda: bench.steps == ["b"])
            lists.refused.add("team-b")
            # The watch fails first: the next list is due in an hour.
            bench.engine.relist()
            await bench.until(lambda: bench.served[-1] == {"team-a"})
            bench.seen("b", "MODIFIED", namespace="team-b", version=2, generation=2)
            await bench.until(lambda: bench.steps == ["b", "b"])
            assert bench.coverage.unlisted == ()
            lists.refused.clear()
            await bench.until(lambda: bench.served[-1] == {"team-a", "team-b"})


@pytest.mark.parametrize("error", [GoneError("list: 404"), RefusedError("list: 403")])
async def test_namespaces_stay_watched_where_none_can_be_listed(
    error: KubeError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unreachable API server concerns no single namespace; the watch restarts automatically."""
    monkeypatch.setattr(resync, "FIRST_RETRY", 0.0)
    names = ("team-a", "team-b", "team-c")
    async with _bench(*names) as bench:
        lists = Lists(bench, team_a=(), team_b=(), team_c=())
        lists.error = error
        async with _running(bench):
            lists.refused |= {*names}
            bench.engine.relist()
            await bench.until(lambda: len(bench.problems.outstanding()) == len(names))
            await bench.derive_status()
            assert bench.served[-1] == {*names}
            assert all(problem.is_outage for problem in bench.problems.outstanding())
            lists.refused.remove("team-a")
            await bench.until(lambda: len(bench.problems.outstanding()) == len(names) - 1)
            assert not any(problem.is_outage for problem in bench.problems.outstanding())
            lists.refused.clear()
            await bench.until(lambda: bench.problems.outstanding() == [])
            assert bench.served[-1] == {*names}
            if isinstance(error, GoneError):
                assert bench.served == [{*names}]


async def test_one_served_namespace_clears_the_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resync, "FIRST_RETRY", 0.0)
    async with _bench("team-a", "team-b") as bench:
        lists = Lists(bench, team_a=(), team_b=())
        lists.refused |= {"team-a", "team-b"}
        async with _running(bench):
            await bench.until(lambda: len(bench.problems.outstanding()) == 2)
            lists.slow.add("team-b")  # the next list of the namespace does not end
            await bench.derive_status()
            lists.refused.remove("team-a")
            await bench.until(lambda: len(bench.problems.outstanding()) == 1)
            assert not bench.problems.outstanding()[0].is_outage


async def test_refused_ledger_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LEDGER_INTERVAL", 0.0)
    async with _bench() as bench:
        asked = asyncio.Event()

        async def ask() -> None:
            asked.set()

        bench.engine.retry_ledger = ask
        async with _running(bench), asyncio.timeout(TIMEOUT):
            await asked.wait()


# The metrics.


async def test_reconciles_are_counted_by_result_and_timed() -> None:
    async with _bench() as bench, _running(bench):
        errors: dict[str, Exception] = {
            "gone": GoneError("deleted"),
            "postponed": UnavailableError("the API server is away"),
            "error": ZeroDivisionError(),
        }

        async def reconcile(key: TrainingKey) -> float | None:
            bench.clock.ahead += 0.125
            if key.name in errors:
                raise errors[key.name]
            return None

        bench.on_step = reconcile
        for model, name in enumerate(("success", *errors), 7):
            bench.seen(name, model=model)
        await bench.until(lambda: len(bench.steps) == 4)
        await bench.derive_status()
        sample = bench.metrics.registry.get_sample_value
        for result in ("success", *errors):
            assert sample("scriptix_reconcile_total", {"result": result}) == 1
        assert (sample("scriptix_reconcile_duration_seconds_sum") or 0) >= 0.125 * 4


async def test_gauges_are_complete_once_all_resources_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(state_reporter, "INTERVAL", HOUR)
    async with _bench() as bench:
        bench.listed = [_raw("a"), _raw("b", model=8)]
        bench.may_step.clear()
        async with _running(bench):
            sample = bench.metrics.registry.get_sample_value
            await bench.until(lambda: sample("scriptix_trainings", {"phase": "Pending"}) == 2)
            assert sample("scriptix_trainings_waiting", {"reason": "Observed"}) == 2


async def test_report_counts_due_resources_and_those_that_wait_for_a_worker() -> None:
    async with _bench() as bench, _running(bench):
        bench.may_step.clear()
        for name in ("a", "b", "c"):
            bench.seen(name)
        await bench.until(lambda: bench.steps == ["a"])
        await bench.derive_status()
        bench.work_queue.set(_key("d"), 0.0)
        bench.work_queue.set(_key("e"), HOUR)
        bench.queue_up("a")
        bench.engine._state_reporter.report()
        sample = bench.metrics.registry.get_sample_value
        assert sample("scriptix_workqueue_depth") == 3
        assert sample("scriptix_trainings_waiting", {"reason": "Observed"}) == 3
        quota = {"operation": "start", "key": "key", "window": "1h"}
        assert sample("scriptix_api_quota_used", quota) == 1
