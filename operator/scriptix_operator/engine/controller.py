"""The engine: takes in what the watch sees, and steps what is due, on one timer."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
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
from scriptix_operator.engine.coverage import Coverage
from scriptix_operator.engine.resync import Resync
from scriptix_operator.engine.schedulers import KeySchedulers
from scriptix_operator.engine.shutdown import Shutdown
from scriptix_operator.engine.store import TrainingStore, is_older
from scriptix_operator.engine.unreadable_reporter import UnreadableReporter
from scriptix_operator.engine.work_queue import WorkQueue
from scriptix_operator.kube.errors import GoneError, KubeError
from scriptix_operator.kube.events import Events
from scriptix_operator.kube.trainings import ALL, Raw, UnreadableError, key_of, parse_training
from scriptix_operator.telemetry.health import Problems
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["Controller"]

PARALLEL_RECONCILES = 64
"""Models worked on at once; most of their time they wait for a reply."""
PARALLEL_DELETION_EVENTS = 8
"""Events about deleted resources sent at once: thousands may go with their namespace, and the
Lease has to be renewed over the same connections."""
PATIENCE = 1.0
"""Seconds that the dispatcher waits at most, for a slot or a due time, before it shows a sign of
life."""
REPORT_INTERVAL = 5.0
"""Seconds between counts of the resources by phase."""
LEDGER_INTERVAL = 5.0
"""Seconds between the times that a refused ledger is asked for again."""
FIRST_RETRY, MAX_RETRY = 1.0, 60.0
"""Seconds before a step that the cluster or a bug has spoilt is tried again; doubles."""

logger = logging.getLogger(__name__)


async def _nothing() -> None:
    """Do nothing."""


async def _report_nothing(raw: Raw, text: str) -> None:
    """Do nothing."""


@dataclass(slots=True)
class _Busy:
    """A step under way."""

    wanted_again: bool = False


@dataclass(slots=True)
class Controller:
    """Reconciles every resource when it is due.

    Args:
        reconcile: One reconcile of a resource, as Reconciler.reconcile.
        list_all: All resources of a namespace, or of all of them, as the API server gives them, as
            Trainings.all.
        coverage: What the store may be missing; namespaces that are not listed are not served.
        problems: Where it reports what it cannot list or parse.
        work_queue: Due times, on the same clock; the schedulers set them, too.
        resync_interval: Seconds between full lists, the second source beside the watch: a gap in
            a watch loses deletions.
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
    serve: Callable[[frozenset[str]], None] = lambda _: None
    """Has these namespaces watched: those whose list succeeds."""
    retry_ledger: Callable[[], Awaitable[None]] = _nothing
    """Asks again for a ledger that the cluster has refused, as StartLedger.retry_refused."""
    beside: Callable[[], Coroutine[Any, Any, None]] = _nothing
    """Works beside the steps until cancelled, as Serving.run."""
    report_left_alone: Callable[[Raw, str], Awaitable[None]] = _report_nothing
    """Says of a resource why it is left alone, as Recorder.tell_left_alone."""
    shutdown: Shutdown = field(default_factory=Shutdown)
    """Once it has begun, a cancellation of `run` waits for the starts under way."""
    start_wait: float = 0.0
    """Seconds of that wait at most."""
    _resync: Resync = field(init=False)
    _reporter: UnreadableReporter = field(init=False)
    _due: dict[int, dict[TrainingKey, float]] = field(default_factory=dict)
    """By model that is being worked on: who is due there next, and since when."""
    _busy: dict[TrainingKey, _Busy] = field(default_factory=dict)
    _failures: dict[TrainingKey, int] = field(default_factory=dict)
    _deletion_events: asyncio.Semaphore = field(init=False)
    _tasks: asyncio.TaskGroup | None = None

    def __post_init__(self) -> None:
        """Make what belongs to the running event loop."""
        self._deletion_events = asyncio.Semaphore(PARALLEL_DELETION_EVENTS)
        self._reporter = UnreadableReporter(self.report_left_alone)
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
        )

    async def run(self, beat: Callable[[], None]) -> None:
        """Work until cancelled, and in a shutdown until no start is under way either.

        Args:
            beat: Called every two seconds at least while the dispatcher works.
        """
        async with asyncio.TaskGroup() as self._tasks:
            self._tasks.create_task(self._resync.run())
            self._tasks.create_task(self._report_forever())
            self._tasks.create_task(self._reporter.run())
            self._tasks.create_task(self._tick_forever())
            self._tasks.create_task(self._retry_ledger_forever())
            # Not before each namespace was tried: a resource that is seen first must not take over
            # the run, or the model, of one that is seen last.
            while not await _in_time(self._resync.ready.wait()):
                beat()
            self._tasks.create_task(self.beside())
            try:
                await self._dispatch(self._tasks, beat)
            except asyncio.CancelledError:
                if self.shutdown.is_begun:
                    await self._finish_starts(beat)
                raise

    def relist(self) -> None:
        """List all namespaces soon: the watch of one fails, which may be refused by now."""
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
            return  # our own write as the watch echoes it, or a list without news
        newest = self.coverage.unreadable_version(key) if known is None else known.resource_version
        if newest is not None and is_older(version, newest):
            return  # a page of a list that was made before the watch event
        try:
            training = parse_training(raw)
        except UnreadableError as error:
            # Not this operator's to judge: it stays as it is until somebody edits it.
            self._drop(key)
            if self.coverage.put_unreadable(key, raw):
                logger.error("left alone, it cannot be read: %s", error)  # noqa: TRY400 - no traceback
                self._reporter.put(raw, error.text)
            return
        self._forget_unreadable(key)
        if self.store.put(training):
            if training.is_being_deleted:
                self.schedulers.leave(key)  # others move up now
            self._trigger(key)

    def _listed(self, scope: str) -> None:
        """Begin with a namespace, and go on with those that its list has kept waiting."""
        has_gap = self.coverage.gap() is not None
        for training in self.store:
            is_new = scope in {ALL, training.key.namespace}
            is_waiting = reason_of(training.status) == Reason.WAITING_FOR_NAMESPACES
            if is_new or (is_waiting and not has_gap):
                self._trigger(training.key)

    def _trigger(self, key: TrainingKey) -> None:
        if not self.coverage.is_listed(key.namespace):
            return  # the first complete list wakes it
        busy = self._busy.get(key)
        if busy is not None:
            busy.wanted_again = True
        else:
            self.work_queue.set(key, 0.0)

    def _forget(self, key: TrainingKey, last: TrainingStatus | None = None) -> None:
        """Drop a resource that was deleted, and say so if its training goes on.

        Args:
            key: The resource.
            last: Its last status where the watch has it: a write of ours may be under way.
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
        """Drop all that is known of a resource; returns its last version."""
        self.work_queue.drop(key)
        self.schedulers.leave(key)
        self._failures.pop(key, None)
        return self.store.remove(key)

    async def _publish_deletion(self, training: Training) -> None:
        async with self._deletion_events:
            events = deletion_events(training.status)
            await self.events.publish(training, events, self.clock.now())

    async def _dispatch(self, tasks: asyncio.TaskGroup, beat: Callable[[], None]) -> None:
        slots = asyncio.Semaphore(PARALLEL_RECONCILES)
        while True:
            beat()
            if not await _in_time(slots.acquire()):
                continue
            due = await self.work_queue.next(PATIENCE)
            model = None if due is None else self._give_to_worker(*due)
            if model is None:
                slots.release()
                continue
            worker = tasks.create_task(self._work_on(model))
            worker.add_done_callback(lambda _: slots.release())

    async def _finish_starts(self, beat: Callable[[], None]) -> None:
        """Wait until the starts under way are recorded; a lost Lease cancels that."""
        if not self.shutdown.starts:
            return
        # Taken over: else a lost Lease could not be told from the signal, and would not be raised.
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
        """Put a resource in line for its model.

        Returns:
            The model, where nobody works on it yet.
        """
        training = self.store.get(key)
        if training is None:
            return None
        model, since = training.spec.model_id, self.clock.monotonic() - latency
        has_worker = model in self._due
        self._due.setdefault(model, {}).setdefault(key, since)
        return None if has_worker else model

    async def _work_on(self, model: int) -> None:
        """Step who is due at a model, one after the other.

        So two claims on it are never decided at once, and however many there are, they keep no
        more than one slot.
        """
        line = self._due[model]
        while line and not self.shutdown.is_begun:
            key = next(iter(line))
            since = line.pop(key)
            training = self.store.get(key)
            if training is not None and training.spec.model_id != model:
                self._trigger(key)  # made anew meanwhile, with another model
            elif training is not None:
                await self._reconcile(key, self.clock.monotonic() - since)
        del self._due[model]

    async def _reconcile(self, key: TrainingKey, latency: float) -> None:
        busy = self._busy[key] = _Busy()
        outcome, seconds = "Done", None
        try:
            seconds = await self.reconcile(key)
            self._failures.pop(key, None)
        except GoneError as error:
            # The watch will tell of the deletion. Until then it is not given up.
            outcome, seconds = "Gone", MAX_RETRY
            logger.debug("%s: %s", key, error)
        except (KubeError, UnreadableError) as error:
            outcome, seconds = "Postponed", self._retry_in(key)
            logger.warning("%s: step postponed for %.0f s: %s", key, seconds, error)
        except Exception:
            # One resource's bug must not stop the others: said loudly, counted, tried again.
            outcome, seconds = "Error", self._retry_in(key)
            self.metrics.reconcile_failed()
            logger.exception("%s: step failed; tried again in %.0f s", key, seconds)
        finally:
            del self._busy[key]
            self.metrics.reconciled(outcome, latency)
        if outcome != "Done":
            self.schedulers.requeue_failed(key)
        if self.store.get(key) is None:
            self._drop(key)  # deleted meanwhile; the step may have left traces of it since
        elif busy.wanted_again:
            self.work_queue.set(key, 0.0)
        elif seconds is not None:
            # Its lane may expect it before that.
            self.work_queue.bring_forward(key, seconds)

    def _retry_in(self, key: TrainingKey) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return backoff(FIRST_RETRY, failures - 1, MAX_RETRY)

    async def _report_forever(self) -> None:
        while True:
            self.metrics.phases(self.store.phases())
            self.metrics.stalled(self.store.stalled())
            self._report_unreadable()
            self.schedulers.drop_unused()
            self.metrics.queued(self.schedulers.queued())
            self.metrics.poll_interval_ratio(self.schedulers.poll_interval_ratio())
            self.metrics.circuits_open(self.schedulers.open_circuits())
            await asyncio.sleep(REPORT_INTERVAL)

    def _report_unreadable(self) -> None:
        keys = sorted({*self.coverage.unreadable, *self.store.unreadable()})
        self.metrics.unreadable(len(keys))
        if keys:
            text = f"{len(keys)} resources cannot be read in full, {keys[0]} first."
            self.problems.report("Resources", text)
        else:
            self.problems.clear("Resources")

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(DISPATCH_TIMEOUT)
            self.schedulers.tick()

    async def _retry_ledger_forever(self) -> None:
        while True:
            await asyncio.sleep(LEDGER_INTERVAL)
            await self.retry_ledger()


def _last_status(raw: Raw) -> TrainingStatus | None:
    """The status that a resource had when it was removed; None where it cannot be read."""
    try:
        return parse_training(raw).status
    except UnreadableError:
        return None


async def _in_time(waited_for: Awaitable[object]) -> bool:
    """Wait, but not so long that the dispatcher would look dead."""
    try:
        async with asyncio.timeout(PATIENCE):
            await waited_for
    except TimeoutError:
        return False
    return True
