"""A notification as a CloudEvent 1.0 in structured JSON mode."""

import json
from datetime import datetime
from typing import Final

from scriptix_operator.api.names import API_VERSION, PLURAL
from scriptix_operator.api.status import HistoryEntry, PendingNotification, TrainingStatus
from scriptix_operator.api.times import format_time
from scriptix_operator.core.model.text import one_line
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.notifications import NotificationType, notification_id

__all__ = ["CONTENT_TYPE", "cloud_event", "event_type"]

CONTENT_TYPE: Final = "application/cloudevents+json; charset=utf-8"
NAME, TEXT = 253, 512
"""Characters of names and texts: status may have been written by hand."""
ENDS = frozenset({NotificationType.SUCCEEDED, NotificationType.FAILED})


def event_type(entry: PendingNotification) -> str:
    """The type of a CloudEvent, such as `io.scriptix.training.started.v1`."""
    return f"io.scriptix.training.{one_line(entry.type, NAME).lower()}.v1"


def cloud_event(training: Training, entry: PendingNotification) -> bytes:
    """The body of a request; at most some 8 KB.

    Facts of the run are included as far as status still shows the run: another run may have
    replaced it, while the sink was unreachable.
    """
    namespace, name = training.key.namespace, training.key.name
    data: dict[str, object] = {
        "namespace": namespace,
        "name": name,
        "uid": training.uid,
        "modelId": training.spec.model_id,
        "runId": _name(entry.run_id),
        "reason": _name(entry.reason),
        "message": one_line(entry.message, TEXT),
        **_run_facts(training.status, entry),
    }
    event = {
        "specversion": "1.0",
        "id": notification_id(training.uid, entry),
        "source": f"/apis/{API_VERSION}/namespaces/{namespace}/{PLURAL}/{name}",
        "type": event_type(entry),
        "subject": f"{namespace}/{name}",
        "time": _time(entry.at),
        "datacontenttype": "application/json",
        "data": {field: value for field, value in data.items() if value not in {None, ""}},
    }
    present = {field: value for field, value in event.items() if value is not None}
    return json.dumps(present, separators=(",", ":"), ensure_ascii=False).encode()


def _run_facts(status: TrainingStatus, entry: PendingNotification) -> dict[str, object]:
    has_ended = entry.type in ENDS
    if status.run is not None and status.run.id == entry.run_id:
        facts: dict[str, object] = {
            "modelKey": _name(status.model.key) if status.model else None,
            "startedAt": _time(status.started_at),
        }
        if has_ended:
            rate = status.metrics.word_error_rate if status.metrics else None
            facts |= _end_facts(status.finished_at, rate, status.run.retry_at)
        return facts
    past = next((past for past in status.history if past.id == entry.run_id), HistoryEntry())
    facts = {"startedAt": _time(past.started_at)}
    return facts | (_end_facts(past.finished_at, past.word_error_rate) if has_ended else {})


def _end_facts(
    finished_at: datetime | None, word_error_rate: str | None, retry_at: datetime | None = None
) -> dict[str, object]:
    return {
        "finishedAt": _time(finished_at),
        "wordErrorRate": _name(word_error_rate),
        "retryAt": _time(retry_at),
    }


def _name(text: str | None) -> str | None:
    return None if text is None else one_line(text, NAME)


def _time(at: datetime | None) -> str | None:
    return None if at is None else format_time(at)
