"""Trainings and runs for programs: the objects that `-o json` and `-o yaml` print."""

from datetime import datetime
from typing import Any

from kubectl_scriptix.runs import METRICS, RunView
from scriptix_operator.api.times import format_time
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.conditions import phase_of, reason_of

__all__ = ["run_record", "time_text", "training_record"]


def time_text(moment: datetime | None) -> str | None:
    """A time as Kubernetes writes it."""
    return None if moment is None else format_time(moment)


def training_record(training: Training) -> dict[str, Any]:
    """A training."""
    status = training.status
    return {
        "name": training.key.name,
        "namespace": training.key.namespace,
        "modelId": training.spec.model_id,
        "phase": phase_of(training.spec, status).value,
        "reason": reason_of(status),
        "message": status.message,
        "progress": status.progress,
        "stage": status.stage,
        "estimatedCompletionAt": time_text(status.estimated_completion_at),
        "queuePosition": None if status.queue is None else status.queue.position,
        "wordErrorRate": None if status.metrics is None else status.metrics.word_error_rate,
    }


def run_record(run: RunView) -> dict[str, Any]:
    """A run."""
    return {
        "name": run.id,
        "requestedBy": run.requested_by,
        "outcome": run.outcome,
        "reason": run.reason or None,
        "startedAt": time_text(run.started_at),
        "finishedAt": time_text(run.finished_at),
        "metrics": {field: getattr(run.metrics, field) for _, field, _, _ in METRICS},
    }
