"""The runs of a training in one shape: the present run and those of the history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation

from scriptix_operator.api.reasons import Phase
from scriptix_operator.api.status import HistoryEntry, LearningPoint, Metrics
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.conditions import phase_of

__all__ = ["METRICS", "RunView", "find_run", "number", "runs_of"]

METRICS = (
    ("WER", "word_error_rate", "%", True),
    ("CER", "character_error_rate", "%", True),
    ("Improvement", "accuracy_improvement", "%", False),
    ("Training hours", "training_hours", "", None),
)
"""Label, field, unit, and whether less is better (None: neither)."""


@dataclass(frozen=True, slots=True)
class RunView:
    """One run.

    Attributes:
        id: The identity of the run.
        requested_by: The value that requested the run; empty for the first run.
        outcome: Succeeded, Failed, Unknown, or the phase of a run that is not over.
        reason: Why the run failed; empty otherwise.
        started_at: When the run started.
        finished_at: When the run ended.
        progress: Percent.
        metrics: The metrics, as far as the API has reported them.
        curve: The word error rate by epoch.
    """

    id: str
    requested_by: str
    outcome: str
    reason: str
    started_at: datetime | None
    finished_at: datetime | None
    progress: int | None
    metrics: Metrics
    curve: Sequence[LearningPoint]

    @property
    def duration(self) -> timedelta | None:
        """How long the run took; None while it is not over."""
        if self.started_at is None or self.finished_at is None:
            return None
        return self.finished_at - self.started_at

    def metric(self, field: str) -> Decimal | None:
        """A metric as a number, if the API has reported one."""
        return number(getattr(self.metrics, field))


def number(text: str | None) -> Decimal | None:
    """A decimal string as a number; None where it is none."""
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        return None


def runs_of(training: Training) -> list[RunView]:
    """All runs that status knows, newest first."""
    past = [_past(entry) for entry in training.status.history]
    present = _present(training)
    return past if present is None else [present, *past]


def find_run(training: Training, run_id: str) -> RunView | None:
    """A run by its id, or by a beginning of the id that only one run has."""
    found = [run for run in runs_of(training) if run.id.startswith(run_id)]
    exact = [run for run in found if run.id == run_id]
    return exact[0] if exact else found[0] if len(found) == 1 else None


def _present(training: Training) -> RunView | None:
    status = training.status
    if status.run is None:
        return None
    phase = phase_of(training.spec, status)
    return RunView(
        id=status.run.id,
        requested_by=status.run.token or status.run.requested_at,
        outcome=phase.value,
        reason=status.failure.reason if status.failure is not None else "",
        started_at=status.started_at,
        finished_at=status.finished_at if phase in {Phase.SUCCEEDED, Phase.FAILED} else None,
        progress=status.progress,
        metrics=status.metrics or Metrics(),
        curve=status.learning_curve,
    )


def _past(entry: HistoryEntry) -> RunView:
    metrics = entry.metrics or Metrics(word_error_rate=entry.word_error_rate)
    return RunView(
        id=entry.id,
        requested_by=entry.token or entry.requested_at,
        outcome=entry.outcome,
        reason=entry.reason or "",
        started_at=entry.started_at,
        finished_at=entry.finished_at,
        progress=entry.progress,
        metrics=metrics,
        curve=entry.learning_curve,
    )
