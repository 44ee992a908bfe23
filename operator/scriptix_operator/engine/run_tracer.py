"""Writes the trace of each run when the run is over; after a takeover again, for recent runs."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from scriptix_operator.core.follow.run_trace import (
    RunTrace,
    completed_trace,
    is_recorded,
    run_trace,
)
from scriptix_operator.core.model.training import Training
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.store import TrainingStore

__all__ = ["RunTracer"]

RECENT = timedelta(days=1)
"""A takeover writes the traces of runs again that have ended within this time: the traces that the
former leader held back when it ended are among them."""
BATCH, PAUSE = 100, 10.0
"""Traces that a takeover writes at once, and the seconds until the next ones: the exporter's queue
holds 2048 spans, which is some 200 traces, and is sent every five seconds."""


@dataclass(frozen=True, slots=True)
class RunTracer:
    """Writes traces.

    Args:
        write: Takes a trace; neither waits nor raises.
    """

    write: Callable[[RunTrace], None]
    store: TrainingStore
    clock: Clock

    def status_changed(self, before: Training, after: Training) -> None:
        """Write the trace that a change of status completes, if it does."""
        trace = completed_trace(before, after)
        if trace is not None:
            self.write(trace)

    async def run(self) -> None:
        """Write the traces of recent runs again, a batch at a time."""
        since = self.clock.now() - RECENT
        recent = [
            training
            for training in self.store
            if is_recorded(training.status)
            and training.status.finished_at is not None
            and training.status.finished_at >= since
        ]
        for batch in _batches(recent):
            for training in batch:
                self.write(run_trace(training))
            await asyncio.sleep(PAUSE)


def _batches(trainings: list[Training]) -> list[list[Training]]:
    return [trainings[at : at + BATCH] for at in range(0, len(trainings), BATCH)]
