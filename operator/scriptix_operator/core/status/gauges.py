"""The gauges of one resource: a function of its status, so a restart changes nothing."""

from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.model.training import Training

__all__ = ["NO_GAUGES", "Gauges", "gauges_of"]


class Gauges(NamedTuple):
    """Values of a resource's gauges; None: the series does not exist."""

    progress: int | None = None
    """Progress of the run in status, percent."""
    word_error_rate: float | None = None
    """WER of the newest run that has one, percent."""


NO_GAUGES = Gauges()
"""Gauges of a resource that is gone or being deleted: its run is not polled any more."""


def gauges_of(training: Training) -> Gauges:
    """The gauges of a resource."""
    if training.is_being_deleted:
        return NO_GAUGES
    status = training.status
    return Gauges(status.progress, _word_error_rate(status))


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
