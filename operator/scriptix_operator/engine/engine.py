"""The engine: takes in what the watch sees, and steps what is due, on one timer."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scriptix_operator.core.news import news_of_deletion
from scriptix_operator.core.training import Training, TrainingKey
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.lanes import Lanes
from scriptix_operator.engine.roster import Roster
from scriptix_operator.engine.stepper import Stepper
from scriptix_operator.engine.timer import Timer
from scriptix_operator.kube.errors import KubeError
from scriptix_operator.kube.events import Events
from scriptix_operator.kube.trainings import Trainings, UnreadableError, key_of, parse_training
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["Engine"]

PARALLEL_STEPS = 64
"""Steps at once; most of their time they wait for a reply."""
PATIENCE = 1.0
"""Seconds that the timer waits at most before it shows a sign of life."""
REPORT_INTERVAL = 5.0
"""Seconds between counts of the resources by phase."""
FIRST_RETRY, MAX_RETRY = 1.0, 60.0
"""Seconds before a step that the cluster or a bug has spoilt is tried again; doubles."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Busy:
    """A step under way."""

    wanted_again: bool = False


@dataclass(slots=True)
class Engine:
    """Steps every resource when it is due.

    Args:
        sweep_interval: Seconds between full lists, the second source beside the watch: a gap in
            a watch loses deletions.
    """

    stepper: Stepper
    trainings: Trainings
    roster: Roster
    lanes: Lanes
    events: Events
    clock: Clock
    metrics: Metrics
    sweep_interval: float
    timer: Timer = field(init=False)
    _busy: dict[TrainingKey, _Busy] = field(default_factory=dict)
    _failures: dict[TrainingKey, int] = field(default_factory=dict)
    _tasks: asyncio.TaskGroup | None = None

    def __post_init__(self) -> None:
        """Make the timer on this engine's clock."""
        self.timer = Timer(self.clock.monotonic)

    async def run(self, beat: Callable[[], None]) -> None:
        """Work until cancelled.

        Args:
            beat: Called at least each second while the timer works.
        """
        async with asyncio.TaskGroup() as self._tasks:
            self._tasks.create_task(self._sweep_forever())
            self._tasks.create_task(self._report_forever())
            await self._dispatch(self._tasks, beat)

    def seen(self, kind: str | None, raw: Mapping[str, Any]) -> None:
        """Take in a resource as the watch or a list gives it; `kind` is the watch event's type."""
        key = key_of(raw)
        if kind == "DELETED":
            known = self.roster.get(key)
            if known is not None and known.uid == raw["metadata"]["uid"]:
                self._forget(key)
            return
        try:
            training = parse_training(raw)
        except UnreadableError as error:
            # Not this operator's to judge: it stays as it is until somebody edits it.
            logger.error("left alone, it cannot be read: %s", error)  # noqa: TRY400 - no traceback
            self.roster.remove(key)
            self.timer.drop(key)
            return
        if self.roster.put(training):
            self._wake(key)

    def _wake(self, key: TrainingKey) -> None:
        busy = self._busy.get(key)
        if busy is not None:
            busy.wanted_again = True
        else:
            self.timer.set(key, 0.0)

    def _forget(self, key: TrainingKey) -> None:
        known = self.roster.remove(key)
        self.timer.drop(key)
        self.lanes.leave(key)
        self._failures.pop(key, None)
        self.metrics.forget_training(key.namespace, key.name)
        if known is not None and self._tasks is not None:
            self._tasks.create_task(self._say_goodbye(known))

    async def _say_goodbye(self, training: Training) -> None:
        await self.events.publish(training, news_of_deletion(training.status), self.clock.now())

    async def _dispatch(self, tasks: asyncio.TaskGroup, beat: Callable[[], None]) -> None:
        slots = asyncio.Semaphore(PARALLEL_STEPS)
        while True:
            beat()
            if not await _acquired(slots):
                continue
            due = await self.timer.next(PATIENCE)
            if due is None:
                slots.release()
                continue
            key, lag = due
            self._busy[key] = _Busy()
            tasks.create_task(self._step(key, lag)).add_done_callback(lambda _: slots.release())

    async def _step(self, key: TrainingKey, lag: float) -> None:
        outcome, seconds = "Done", None
        try:
            seconds = await self.stepper.step(key)
            self._failures.pop(key, None)
        except (KubeError, UnreadableError) as error:
            outcome, seconds = "Postponed", self._retry_in(key)
            logger.warning("%s: step postponed for %.0f s: %s", key, seconds, error)
        except Exception:
            # One resource's bug must not stop the others: said loudly, counted, tried again.
            outcome, seconds = "Error", self._retry_in(key)
            self.metrics.step_failed()
            logger.exception("%s: step failed; tried again in %.0f s", key, seconds)
        finally:
            busy = self._busy.pop(key)
            self.metrics.step_done(outcome, lag)
        if self.roster.get(key) is None:
            return
        if busy.wanted_again:
            self.timer.set(key, 0.0)
        elif seconds is not None:
            self.timer.set(key, seconds)

    def _retry_in(self, key: TrainingKey) -> float:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return float(min(FIRST_RETRY * 2 ** min(failures - 1, 16), MAX_RETRY))

    async def _report_forever(self) -> None:
        while True:
            self.metrics.phases(self.roster.phases())
            await asyncio.sleep(REPORT_INTERVAL)

    async def _sweep_forever(self) -> None:
        while True:
            wait = self.sweep_interval
            try:
                await self._sweep()
            except KubeError as error:
                wait = min(wait, MAX_RETRY)
                logger.warning("full list postponed for %.0f s: %s", wait, error)
            await asyncio.sleep(wait)

    async def _sweep(self) -> None:
        known_before = set(self.roster)
        listed = await self.trainings.list()
        for raw in listed:
            self.seen(None, raw)
        for key in known_before - {key_of(raw) for raw in listed}:
            self._forget(key)


async def _acquired(slots: asyncio.Semaphore) -> bool:
    """Wait for a free slot, but not so long that the dispatcher would look dead."""
    try:
        async with asyncio.timeout(PATIENCE):
            return await slots.acquire()
    except TimeoutError:
        return False
