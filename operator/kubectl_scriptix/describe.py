"""The story of a run, as `describe` tells it."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from kubectl_scriptix.runs import METRICS, RunView, runs_of
from kubectl_scriptix.tables import progress_bar
from kubectl_scriptix.times import ago, at_and_in, short_duration
from kubectl_scriptix.why import explain
from scriptix_operator.core.model.training import Training

__all__ = ["describe", "event_lines", "metric_lines"]


def describe(training: Training, events: Sequence[Any], now: datetime) -> str:
    """The training, its present run, its metrics, its earlier runs and its events."""
    return "\n".join(_lines(training, events, now)) + "\n"


def _lines(training: Training, events: Sequence[Any], now: datetime) -> Iterator[str]:
    status, model = training.status, training.status.model
    yield f"Training:  {training.key}"
    name = "" if model is None or model.name is None else f" ({model.name})"
    yield f"Model:     {training.spec.model_id}{name}"
    yield f"Created:   {ago(training.created_at, now)}"
    yield ""
    yield explain(training, now)
    runs = runs_of(training)
    if status.run is not None:
        yield ""
        yield from _run(runs[0], training, now)
    if status.metrics is not None:
        yield ""
        yield "Metrics:"
        yield from metric_lines(runs[0])
    if status.log is not None and status.log.config_maps:
        text = status.log.message or f"{status.log.entries} entries"
        yield ""
        yield f"Log:       {status.log.state or 'of the run before'}: {text}"
    if status.history:
        yield ""
        yield f"Earlier runs: {len(status.history)}; `history {training.key.name}` lists them."
    if events:
        yield ""
        yield "Events:"
        yield from event_lines(events, now)


def _run(run: RunView, training: Training, now: datetime) -> Iterator[str]:
    status = training.status
    yield f"Run:       {run.id}"
    yield f"Requested: {run.requested_by or 'by the resource itself'}"
    if run.started_at is not None:
        yield f"Started:   {at_and_in(run.started_at, now)}"
    if run.finished_at is not None:
        took = run.duration
        yield f"Finished:  {at_and_in(run.finished_at, now)}" + (
            "" if took is None else f", after {short_duration(took)}"
        )
    if run.progress is not None:
        stage = "" if status.stage is None else f"  {status.stage}"
        yield f"Progress:  {progress_bar(run.progress)}{stage}"


def metric_lines(run: RunView) -> Iterator[str]:
    """The metrics of a run that the API has reported."""
    for label, field, unit, _ in METRICS:
        value = run.metric(field)
        if value is not None:
            rating = f" ({run.metrics.rating})" if label == "WER" and run.metrics.rating else ""
            yield f"  {label + ':':<16} {value}{unit}{rating}"


def event_lines(events: Sequence[Any], now: datetime) -> Iterator[str]:
    """One line for each event, oldest first."""
    for event in events:
        at = event.last_timestamp or event.event_time
        times = "" if (event.count or 1) == 1 else f" (x{event.count})"
        yield f"  {ago(at, now):>10}  {event.type:<7} {event.reason}{times}: {event.message}"
