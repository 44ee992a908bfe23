"""The gauges of one resource: a function of its status, so a restart changes nothing."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from scriptix_operator.api.reasons import Outcome
from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.conditions import has_ended, is_followed

__all__ = ["NO_GAUGES", "Gauges", "gauges_of"]


class Gauges(NamedTuple):
    """Values of a resource's gauges; None: the series does not exist."""

    progress: float | None = None
    """Progress of the run in status, 0 to 1."""
    word_error_rate: float | None = None
    """WER of the newest run that has one, percent."""
    published_at: datetime | None = None
    """End of the newest run whose result was published, as the result ConfigMap has it. Status does
    not record when the ConfigMap was written, which is seconds after the end."""
    completes_at: datetime | None = None
    """Median estimate of the end of the run, while the run is polled."""
    queue_position: int | None = None
    """Position in the start queue, from 1."""
    starts_at: datetime | None = None
    """When the start of the queued run is expected."""


NO_GAUGES = Gauges()
"""Gauges of a resource that is gone or being deleted: its run is not polled any more."""


def gauges_of(training: Training) -> Gauges:
    """The gauges of a resource."""
    if training.is_being_deleted:
        return NO_GAUGES
    status = training.status
    progress = None if status.progress is None else status.progress / 100
    queue = status.queue
    return Gauges(
        progress=progress,
        word_error_rate=_word_error_rate(status),
        published_at=_published_at(status),
        completes_at=status.estimated_completion_at if is_followed(status) else None,
        queue_position=None if queue is None else queue.position,
        starts_at=None if queue is None else queue.estimated_start_at,
    )


def _published_at(status: TrainingStatus) -> datetime | None:
    """The end of the newest published run; while a rerun waits or runs, that of an earlier one."""
    if has_ended(status) and status.failure is None:
        return status.finished_at
    newest = next((past for past in status.history if past.outcome == Outcome.SUCCEEDED), None)
    return None if newest is None else newest.finished_at


def _word_error_rate(status: TrainingStatus) -> float | None:
    """The newest word error rate; while a rerun waits or runs, that of the previous run."""
    own = status.metrics.word_error_rate if status.metrics else None
    for text in (own, *(past.word_error_rate for past in status.history)):
        if text is not None:
            return _number(text)
    return None


def _number(text: str) -> float | None:
    try:
        value = Decimal(text)
    except InvalidOperation:  # a status edited by hand
        return None
    return float(value) if value.is_finite() else None
