"""The controller: takes in watch events and lists, and reconciles the resources that are due."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from scriptix_operator.api.reasons import Reason
from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.scheduling.fair_queue import DISPATCH_TIMEOUT
from scriptix_operator.core.status.conditions import reason_of
from scriptix_operator.core.status.events import deletion_events
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.cluster_breaker import ClusterBreaker
from scriptix_operator.engine.coverage import Coverage
from scriptix_operator.engine.resource_locks import ResourceLocks
from scriptix_operator.engine.resync import Resync
from scriptix_operator.engine.schedulers import KeySchedulers
from scriptix_operator.engine.shutdown import Shutdown
from scriptix_operator.engine.state_reporter import StateReporter
from scriptix_operator.engine.store import TrainingStore, is_older
from scriptix_operator.engine.unreadable_reporter import UnreadableReporter
from scriptix_operator.engine.work_queue import WorkQueue
from scriptix_operator.kube.errors import GoneError, KubeError, UnavailableError
from scriptix_operator.kube.events import Events
from scriptix_operator.kube.reachability import Reachability
from scriptix_operator.kube.trainings import ALL, Raw, UnreadableError, key_of, parse_training
from scriptix_operator.log_fields import FieldLogger, field_logger
from scriptix_operator.telemetry.health import Problems
from scriptix_operator.telemetry.metric_types import ReconcileResult
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["Controller"]

PARALLEL_RECONCILES = 64
"""Models reconciled at once; most of the time their workers wait for a reply."""
PARALLEL_DELETION_EVENTS = 8
"""Events about deleted resources sent at once: a namespace may be deleted with thousands of them,
and the Lease has to be renewed over the same connections."""
PATIENCE = 1.0
"""Seconds that the dispatcher waits at most, for a free worker or a due time, before it shows a
sign of life."""
LEDGER_INTERVAL = 5.0
"""Seconds between attempts to read a ledger that the cluster has refused."""
FIRST_RETRY, MAX_RETRY = 1.0, 60.0
"""Seconds before a reconcile that failed, by the cluster or a bug, is retried; doubles."""

logger = field_logger(__name__)


async def _nothing() -> None:
    """Do nothing."""


async def _report_nothing(raw: Raw, text: str) -> bool:
    """Do nothing."""
    del raw, text
    return False


@dataclass(slots=True)
class _Busy:
    """A reconcile under way."""

    wanted_again: bool = False


@dataclass(slots=True)
class Controller:
    """Reconciles every resource when it is due.

    Args:
        reconcile: One reconcile of a resource, as Reconciler.reconcile.
        list_all: Lists the resources of one namespace or of all, as Trainings.all.
        coverage: What the store may be missing; namespaces that are not listed are not served.
        problems: Takes reports of namespaces that cannot be listed and resources that cannot be
            parsed.
        work_queue: Due times, on the same clock; the schedulers set them, too.
        resync_interval: Seconds between full lists: a watch that is interrupted loses deletions.
        installation: This installation, by its namespace.
    """

    reconcile: Callable[[TrainingKey], Awaitable[float | None]]
    list_all: Callable[[str], AsyncIterator[Raw]]
    store: TrainingStore
    coverage: Coverage
    schedulers: KeySchedulers
    events: Events
    clock: Clock
    metrics: Metrics
    problems: Problems
    work_queue: WorkQueue
    resync_interval: float
    installation: str
    serve: Callable[[frozenset[str]], None] = lambda _: None
    """Sets the namespaces to watch: those whose list succeeds."""
    retry_ledger: Callable[[], Awaitable[None]] = _nothing
    """Reads a ledger again that the cluster has refused, as LedgerDocument.retry_refused."""
    beside: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    """Run beside the reconciles until cancelled, such as InstallationWatch.run."""
    report_left_alone: Callable[[Raw, str], Awaitable[bool]] = _report_nothing
    """Reports in status why a resource is skipped, as StatusWriter.report_left_alone."""
    reachability: Reachability = field(default_factory=Reachability)
    """Whether the API server replies."""
    trial: Callable[[], Awaitable[None]] = _nothing
    """Makes one cheap request to the API server."""
    shutdown: Shutdown = field(default_factory=Shutdown)
    """After the shutdown has begun, a cancellation of `run` waits for the starts under way."""
    start_wait: float = 0.0
    """Seconds that `run` waits for starts under way, at most."""
    locks: ResourceLocks = field(default_factory=ResourceLocks)
    """Exclude other writes of status while a resource is reconciled."""
    _resync: Resync = field(init=False)
    _reporter: UnreadableReporter = field(init=False)
    _breaker: ClusterBreaker = field(init=False)
    _state_reporter: StateReporter = field(init=False)
    _due: dict[int, dict[TrainingKey, float]] = field(default_factory=dict)
    """By model that has a worker: its due resources, each with its due time in monotonic
    seconds."""
    _busy: dict[TrainingKey, _Busy] = field(default_factory=dict)
    _failures: dict[TrainingKey, int] = field(default_factory=dict)
    _deletion_events: asyncio.Semaphore = field(init=False)
    _tasks: asyncio.TaskGroup | None = None

    def __post_init__(self) -> None:
        """Create what belongs to the running event loop."""
        self._deletion_events = asyncio.Semaphore(PARALLEL_DELETION_EVENTS)
        self._reporter = UnreadableReporter(self.report_left_alone)
        self._breaker = ClusterBreaker(
            reachability=self.reachability,
            trial=self.trial,
            clock=self.clock.monotonic,
            resume=self._resume,
        )
        self._state_reporter = StateReporter(
            store=self.store,
            coverage=self.coverage,
            schedulers=self.schedulers,
            work_queue=self.work_queue,
            waiting_for_worker=lambda: sum(map(len, self._due.values())),
            clock=self.clock,
            metrics=self.metrics,
            problems=self.problems,
            installation=self.installation,
        )
        self._resync = Resync(
            list_all=self.list_all,
            seen=lambda raw: self.seen(None, raw),
            forget=self._forget,
            listed=self._listed,
            store=self.store,
            coverage=self.coverage,
            metrics=self.metrics,
            problems=self.problems,
            serve=self.serve,
            interval=self.resync_interval,
            reachability=self.reachability,
        )

    async def run(self, beat: Callable[[], None]) -> None:
        """Work until cancelled; in a shutdown, also until no start is under way.

        Args:
            beat: Called at least every two seconds while the dispatcher works.
        """
        async with asyncio.TaskGroup() as self._tasks:
            self._tasks.create_task(self._breaker.run())
            self._tasks.create_task(self._resync.run())
            self._tasks.create_task(self._state_reporter.run())
            self._tasks.create_task(self._reporter.run())
            self._tasks.create_task(self._tick_forever())
            self._tasks.create_task(self._retry_ledger_forever())
            # Each namespace is listed first: a resource that is seen early must not take over the
            # run, or the model, of one that is seen late.
            while not await _in_time(self._resync.ready.wait()):
                beat()
            # A scrape just after a takeover shows all resources, not none for some seconds.
            self._state_reporter.report()
            for run in self.beside:
                self._tasks.create_task(run())
            try:
                await self._dispatch(self._tasks, beat)
            except asyncio.CancelledError:
                if self.shutdown.is_begun:
                    await self._finish_starts(beat)
                raise

    def relist(self) -> None:
        """List all namespaces soon: one whose watch fails may be forbidden now."""
        self._resync.hurry()

    def seen(self, kind: str | None, raw: Raw) -> None:
        """Take in a resource as the watch or a list gives it; `kind` is the watch event's type."""
        key, metadata = key_of(raw), raw["metadata"]
        known = self.store.get(key)
        is_same = known is not None and known.uid == metadata["uid"]
        if kind == "DELETED":
            if is_same or self.coverage.unreadable.get(key) == metadata["uid"]:
                self._forget(key, _last_status(raw))
            return
        version = metadata["resourceVersion"]
        if is_same and known is not None and known.resource_version == version:
            return  # the watch event of our own write, or a list without changes
        newest = self.coverage.unreadable_version(key) if known is None else known.resource_version
        if newest is not None and is_older(version, newest):
            return  # a page of a list that was made before the watch event
        try:
            training = parse_training(raw)
        except UnreadableError as error:
            # Nothing can be decided for the resource until a user edits it.
            self._drop(key)
            if self.coverage.put_unreadable(key, raw):
                logger.about(key).error("skipping unreadable resource: %s", error)
                self._reporter.put(raw, error.text)
            return
        self._forget_unreadable(key)
        if self.store.put(training):
            if training.is_being_deleted:
                self.schedulers.forget(key)  # the queue entries behind it move up
            self._trigger(key)

    def _listed(self, scope: str) -> None:
        """Reconcile the resources of a listed namespace, and those that waited for its list."""
        has_gap = self.coverage.gap() is not None
        for training in self.store:
            is_new = scope in {ALL, training.key.namespace}
            is_waiting = reason_of(training.status) == Reason.WAITING_FOR_NAMESPACES
            if is_new or (is_waiting and not has_gap):
                self._trigger(training.key)

    def _trigger(self, key: TrainingKey) -> None:
        if not self.coverage.is_listed(key.namespace):
            return  # the first complete list triggers it
        self.schedulers.reconcile_when_due(key)
        busy = self._busy.get(key)
        if busy is not None:
            busy.wanted_again = True
        else:
            self.work_queue.set(key, 0.0)

    def _forget(self, key: TrainingKey, last: TrainingStatus | None = None) -> None:
        """Drop a deleted resource; publish an event if its remote run continues.

        Args:
            key: The resource.
            last: Its last status, if the watch event has it: a write of ours may be under way.
        """
        self._forget_unreadable(key)
        known = self._drop(key)
        if known is None or self._tasks is None:
            return
        known = known if last is None else known.with_status(last)
        if deletion_events(known.status):
            self._tasks.create_task(self._publish_deletion(known))

    def _forget_unreadable(self, key: TrainingKey) -> None:
        self.coverage.forget_unreadable(key)
        self._reporter.drop(key)

    def _drop(self, key: TrainingKey) -> Training | None:
        """Drop all in-process state of a resource; returns its last version."""
        self.work_queue.drop(key)
        self.schedulers.forget(key)
        self._failures.pop(key, None)
        self._breaker.forget(key)
        return self.store.remove(key)

    def _resume(self, failed: tuple[TrainingKey, ...], since: float) -> int:
        """Make due what an unreachable API server has held up; returns how many are overdue.

        Args:
            failed: The resources whose reconcile has failed meanwhile.
            since: Seconds since the API server became unreachable.
        """
        self._reporter.retry()
        for key in failed:
            self._failures.pop(key, None)
            self.work_queue.set(key, -since)  # before the others: there is something to record
        overdue = self.work_queue.due()
        logger.info("resuming after the API server was unreachable: %d reconciles", overdue)
        return overdue

    async def _publish_deletion(self, training: Training) -> None:
        async with self._deletion_events:
            events = deletion_events(training.status)
            await self.events.publish(training, events, self.clock.now())

    async def _dispatch(self, tasks: asyncio.TaskGroup, beat: Callable[[], None]) -> None:
        slots = asyncio.Semaphore(PARALLEL_RECONCILES)
        while True:
            beat()
            if not await _in_time(self._breaker.wait()) or not await _in_time(slots.acquire()):
                continue
            due = await self.work_queue.next(PATIENCE)
            model = None if due is None else self._give_to_worker(*due)
            if model is None:
                slots.release()
                continue
            self._breaker.begun()
            worker = tasks.create_task(self._work_on(model))
            worker.add_done_callback(lambda _: slots.release())

    async def _finish_starts(self, beat: Callable[[], None]) -> None:
        """Wait until the starts under way are recorded; a lost Lease cancels that."""
        if not self.shutdown.starts:
            return
        # The cancellation is taken over: otherwise a lost Lease could not be distinguished from the
        # signal, and would not be raised.
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        wait = self.start_wait
        logger.info("starts under way: %d; waiting %g s at most", self.shutdown.starts, wait)
        try:
            async with asyncio.timeout(wait):
                while not await _in_time(self.shutdown.wait_for_starts()):
                    beat()
        except TimeoutError:
            logger.warning(
                "starts cut off: %d; the next leader resolves them", self.shutdown.starts
            )

    def _give_to_worker(self, key: TrainingKey, latency: float) -> int | None:
        """Hand a due resource to the worker of its model.

        A resource that is due for a poll only is not reconciled before the poll has a permit.

        Returns:
            The model, if it has no worker yet.
        """
        training = self.store.get(key)
        if training is None:
            return None
        wait = self.schedulers.await_poll(key)
        if wait is not None:
            self.work_queue.bring_forward(key, wait)
            return None
        model, since = training.spec.model_id, self.clock.monotonic() - latency
        has_worker = model in self._due
        self._due.setdefault(model, {}).setdefault(key, since)
        return None if has_worker else model

    async def _work_on(self, model: int) -> None:
        """Reconcile the due resources of one model, one after the other.

        So two competing trainings are never decided at once, and all competing trainings of a model
        occupy one worker.
        """
        due = self._due[model]
        while due and not self.shutdown.is_begun:
            key = next(iter(due))
            since = due.pop(key)
            training = self.store.get(key)
            if training is not None and training.spec.model_id != model:
                self._trigger(key)  # re-created meanwhile, with another model
            elif training is not None:
                await self._reconcile(key, self.clock.monotonic() - since)
        del self._due[model]

    async def _reconcile(self, key: TrainingKey, latency: float) -> None:
        busy = self._busy[key] = _Busy()
        begun, result, seconds = self.clock.monotonic(), ReconcileResult.SUCCESS, None
        try:
            async with self.locks.of(key):
                seconds = await self.reconcile(key)
            self._failures.pop(key, None)
        except GoneError as error:
            # The resource is dropped when the watch reports its deletion, not before.
            result, seconds = ReconcileResult.GONE, MAX_RETRY
            self._log(key).debug("%s", error)
        except (KubeError, UnreadableError) as error:
            result, seconds = ReconcileResult.POSTPONED, self._retry_in(key)
            is_outage = isinstance(error, UnavailableError) and self._breaker.note(key)
            level = logging.DEBUG if is_outage else logging.WARNING  # an outage is logged once
            self._log(key).log(level, "reconcile postponed for %.0f s: %s", seconds, error)
        except Exception:
            # A bug with one resource must not stop the others: it is logged, counted and retried.
            result, seconds = ReconcileResult.ERROR, self._retry_in(key)
            log = self._log(key)
            log.exception("reconcile failed; retrying in %.0f s", seconds)
        finally:
            del self._busy[key]
            self.metrics.reconciled(result, latency, self.clock.monotonic() - begun)
        if result is not ReconcileResult.SUCCESS:
            # The resource keeps its queue entry only.
            is_queued = self.schedulers.is_queued(key)
            self.schedulers.finish_reconcile(key, is_queued=is_queued)
        if self.store.get(key) is None:
            self._drop(key)  # deleted meanwhile; the reconcile may have stored state since
        elif busy.wanted_again:
            self.schedulers.reconcile_when_due(key)
            self.work_queue.set(key, 0.0)
        elif seconds is not None:
            # Its key scheduler may have made it due earlier.
            self.work_queue.bring_forward(key, seconds)

    def _log(self, key: TrainingKey) -> FieldLogger:
        return logger.about(self.store.get(key) or key)

    def _retry_in(self, key: TrainingKey) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return backoff(FIRST_RETRY, failures - 1, MAX_RETRY)

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(DISPATCH_TIMEOUT)
            self.schedulers.tick()

    async def _retry_ledger_forever(self) -> None:
        while True:
            await asyncio.sleep(LEDGER_INTERVAL)
            await self.retry_ledger()


def _last_status(raw: Raw) -> TrainingStatus | None:
    """The status of a resource when it was removed; None if it cannot be read."""
    try:
        return parse_training(raw).status
    except UnreadableError:
        return None


async def _in_time(waited_for: Awaitable[object]) -> bool:
    """Wait, but not longer than the dispatcher may go without a sign of life."""
    try:
        async with asyncio.timeout(PATIENCE):
            await waited_for
    except TimeoutError:
        return False
    return True
