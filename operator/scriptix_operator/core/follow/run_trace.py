"""The trace of a run: its spans, from what status and the resource record.

The ids follow from the uid of the resource and the id of the run. So a trace that is written again,
as after a restart, is the same trace.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from scriptix_operator.api.reasons import Outcome, Ownership
from scriptix_operator.api.status import Run, TrainingStatus
from scriptix_operator.core.eta.timeline import MILESTONES
from scriptix_operator.core.model.progress import STAGES
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.conditions import is_over

__all__ = ["RunTrace", "Span", "completed_trace", "is_recorded", "run_trace"]

AttributeValue = str | int | float


class Span(NamedTuple):
    """A part of a run."""

    name: str
    begins_at: datetime
    ends_at: datetime
    attributes: Mapping[str, AttributeValue]
    id: int = 0
    """64 bits."""


@dataclass(frozen=True, slots=True)
class RunTrace:
    """The trace of a run."""

    id: int
    """128 bits."""
    run: Span
    """The whole; the parent of the parts."""
    parts: tuple[Span, ...]
    failure: str | None
    """Reason and message of a failed run."""


def completed_trace(before: Training, after: Training) -> RunTrace | None:
    """The trace that a change of status completes, if it does.

    A trace is complete once the run is over and its log is not fetched any more. A rerun before
    then ends the fetches; the trace is that of the status before the rerun.
    """
    is_same = _run_id(before.status) == _run_id(after.status)
    if is_recorded(after.status) and not (is_same and is_recorded(before.status)):
        return run_trace(after)
    was_left = is_over(before.status) and not is_recorded(before.status)
    return run_trace(before) if was_left and not is_same else None


def is_recorded(status: TrainingStatus) -> bool:
    """Whether a run is over, and status has all that its trace shows."""
    is_fetched = status.log is None or status.log.next_fetch_at is None
    return status.run is not None and is_over(status) and is_fetched


def run_trace(training: Training) -> RunTrace:
    """The trace of the run in status, which is over."""
    status, run = training.status, training.status.run
    if run is None or status.finished_at is None:
        raise ValueError(f"{training.key} has no run that is over")
    identity = f"{training.uid}/{run.id}"
    parts = tuple(_parts(training, run, status.finished_at))
    known = [time for part in parts for time in (part.begins_at, part.ends_at)]
    known += [time for time in (status.started_at, status.finished_at) if time is not None]
    whole = Span("run", min(known), max(known), _run_attributes(training, run))
    why = status.failure
    return RunTrace(
        id=_id(identity, 16),
        run=_with_id(whole, identity),
        parts=tuple(_with_id(part, identity) for part in parts),
        failure=None if why is None else f"{why.reason}: {why.message}",
    )


def _parts(training: Training, run: Run, finished_at: datetime) -> Iterator[Span]:
    status, log, published = training.status, training.status.log, training.status.published
    is_adopted = run.ownership == Ownership.ADOPTED
    claimed_at, began_at = run.claimed_at, status.started_at
    if claimed_at is not None and not is_adopted:
        yield _span("queue", _queued_at(training, run, claimed_at), claimed_at)
        if began_at is not None:
            yield _span("start", claimed_at, began_at, {"scriptix.run.attempt": run.attempt})
    # Milestones count from here, as in progressing.py.
    zero = began_at if is_adopted or claimed_at is None else claimed_at
    if zero is not None and began_at is not None:
        yield from _stages(zero, max(zero, began_at), finished_at, status.timeline)
    if log is not None and log.state is not None and log.last_fetched_at is not None:
        figures: dict[str, AttributeValue] = {
            "scriptix.log.state": log.state,
            "scriptix.log.entries": log.entries,
            "scriptix.log.bytes": log.bytes,
        }
        yield _span("log", log.end_seen_at or finished_at, log.last_fetched_at, figures)
    if published is not None and published.run_id == run.id and published.published_at is not None:
        yield _span("publish", finished_at, published.published_at)


def _queued_at(training: Training, run: Run, claimed_at: datetime) -> datetime:
    """Since when a run has waited for its start.

    Status keeps that time of reruns and retries. A first run waits from the creation of its
    resource.
    """
    is_first = not training.status.history
    return training.created_at if is_first else run.queued_at or claimed_at


def _stages(
    zero: datetime, began_at: datetime, finished_at: datetime, timeline: tuple[int, ...]
) -> Iterator[Span]:
    """One span for each stage that polls have shown.

    A stage whose beginning no poll has shown is part of the span before it.
    """
    seconds = {
        milestone: time for milestone, time in zip(MILESTONES, timeline, strict=False) if time >= 0
    }
    (_, first), *others = STAGES
    begins = [(first.value, began_at)]
    for percent, stage in others:
        if percent in seconds:
            begins.append((stage.value, zero + timedelta(seconds=seconds[percent])))
    for (stage_name, begins_at), (_, ends_at) in pairwise([*begins, ("", finished_at)]):
        yield _span(f"stage {stage_name}", begins_at, ends_at)


def _run_attributes(training: Training, run: Run) -> dict[str, AttributeValue]:
    status = training.status
    found: dict[str, AttributeValue | None] = {
        "k8s.namespace.name": training.key.namespace,
        "scriptix.training.name": training.key.name,
        "scriptix.training.uid": training.uid,
        "scriptix.model.id": training.spec.model_id,
        "scriptix.run.id": run.id,
        "scriptix.run.ownership": run.ownership,
        "scriptix.run.retries": run.retries,
        "scriptix.run.outcome": (Outcome.FAILED if status.failure else Outcome.SUCCEEDED).value,
        "scriptix.run.failure_reason": status.failure.reason if status.failure else None,
        "scriptix.run.word_error_rate": status.metrics.word_error_rate if status.metrics else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _span(
    name: str,
    begins_at: datetime,
    ends_at: datetime,
    attributes: Mapping[str, AttributeValue] | None = None,
) -> Span:
    """A span that does not end before it begins, as times of two clocks may."""
    return Span(name, begins_at, max(begins_at, ends_at), attributes or {})


def _with_id(span: Span, identity: str) -> Span:
    return span._replace(id=_id(f"{identity}/{span.name}", 8))


def _id(text: str, size: int) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size])


def _run_id(status: TrainingStatus) -> str | None:
    return None if status.run is None else status.run.id
