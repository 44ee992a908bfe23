"""Whether a poll is a stale read, which decides nothing (docs/start-protocol.md)."""

from collections.abc import Iterator
from datetime import datetime

from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.ledger.ledger import LatestRun
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.reconcile.vocabulary import ModelPolled

__all__ = ["is_stale", "recorded_starts"]


def is_stale(training: Training, seen: ModelPolled) -> bool:
    """Whether a newer run of the model is known than the one that the poll shows.

    Newer runs are known from the statuses of all resources with this model, and from the ledger,
    which remembers the starts of deleted resources.
    """
    baseline = training.status.run.baseline if training.status.run else None
    starts = [*recorded_starts(training.status)]
    if baseline is not None and baseline.started_training_at is not None:
        starts.append(baseline.started_training_at)
    for competitor in seen.competitors:
        starts += recorded_starts(competitor.status)
    known = max(starts, default=None)
    latest_run = seen.latest_run
    if latest_run is not None and latest_run.at is None and training.status.history:
        latest_run = None  # an API without run start times: later starts are in this history
    latest_runs = (LatestRun(at=known), latest_run)
    return any(
        latest_run is not None and latest_run.outdates(seen.model) for latest_run in latest_runs
    )


def recorded_starts(status: TrainingStatus) -> Iterator[datetime]:
    """The run start times that polls have shown of a resource's runs.

    Run start times in replies to starts do not count: another replica may have written them.
    """
    for run in (status.run, *status.history):
        if run is not None and run.started_training_at is not None:
            yield run.started_training_at
