"""Whether a look is older than what is known: such a one decides nothing (DESIGN §4)."""

from collections.abc import Iterator
from datetime import datetime

from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.ledger import Mark
from scriptix_operator.core.observation import ModelSeen
from scriptix_operator.core.training import Training

__all__ = ["is_stale"]


def is_stale(training: Training, seen: ModelSeen) -> bool:
    """Whether a training of the model is known that the look does not show yet.

    It may be known from the statuses of all resources with this model, or from the ledger, which
    remembers the starts of resources that are gone.
    """
    baseline = training.status.run.baseline if training.status.run else None
    markers = [*_recorded(training.status), baseline.started_training_at if baseline else None]
    for rival in seen.rivals:
        markers += _recorded(rival.status)
    known = max((marker for marker in markers if marker is not None), default=None)
    mark = seen.mark
    if mark is not None and mark.at is None and training.status.history:
        mark = None  # an API without markers: what was started since is in this very history
    marks = (Mark(at=known), mark)
    return any(mark is not None and mark.outdates(seen.model) for mark in marks)


def _recorded(status: TrainingStatus) -> Iterator[datetime | None]:
    if status.run is not None and status.run.ownership is not None:
        yield status.started_at
    for entry in status.history:
        yield entry.started_at
