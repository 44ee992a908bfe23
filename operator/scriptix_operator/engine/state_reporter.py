"""Reports the present state of all resources and API keys: in the metrics, and as a problem."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from scriptix_operator.core.cluster.served_by import left_for, seconds_left
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.coverage import Coverage
from scriptix_operator.engine.schedulers import KeySchedulers
from scriptix_operator.engine.store import TrainingStore
from scriptix_operator.engine.work_queue import WorkQueue
from scriptix_operator.telemetry.health import Problems
from scriptix_operator.telemetry.metrics import Metrics

__all__ = ["StateReporter"]

INTERVAL = 5.0
"""Seconds between two reports: no reconcile and no scrape goes through all resources and keys."""
SOURCE = "Resources"


@dataclass(frozen=True, slots=True)
class StateReporter:
    """Reports at intervals.

    Args:
        waiting_for_worker: Counts the due resources that wait for the worker of their model; they
            are not in the work queue any more.
        installation: This installation, by its namespace.
    """

    store: TrainingStore
    coverage: Coverage
    schedulers: KeySchedulers
    work_queue: WorkQueue
    waiting_for_worker: Callable[[], int]
    clock: Clock
    metrics: Metrics
    problems: Problems
    installation: str

    async def run(self) -> NoReturn:
        """Report until cancelled."""
        while True:
            self.report()
            await asyncio.sleep(INTERVAL)

    def report(self) -> None:
        """Report once; the API keys that are not used any more are forgotten."""
        self.metrics.phases(self.store.phases())
        self.metrics.waiting(self.store.waiting())
        self.metrics.blocked(self.store.blocked())
        self.metrics.stages(self.store.stages())
        self.metrics.stalled(self.store.stalled())
        self.metrics.workqueue_depth(self.work_queue.due() + self.waiting_for_worker())
        self._report_unreadable()
        self.metrics.keys(self.schedulers.states())

    def _report_unreadable(self) -> None:
        now = self.clock.now()
        keys = sorted(
            {
                *(
                    key
                    for key, served_by in self.coverage.servers().items()
                    if seconds_left(served_by, self.installation, now) is None
                ),
                *(
                    training.key
                    for training in self.store.unreadable()
                    if left_for(training, self.installation, now) is None
                ),
            }
        )
        self.metrics.unreadable(len(keys))
        if keys:
            text = f"{len(keys)} resources cannot be read in full, {keys[0]} first."
            self.problems.report(SOURCE, text)
        else:
            self.problems.clear(SOURCE)
