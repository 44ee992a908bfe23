"""core/status/cloud_event.py: the body of a notification."""

import json
from typing import Any

from scriptix_operator.api.base import replace
from scriptix_operator.api.status import PendingNotification, TrainingStatus
from scriptix_operator.core.status.cloud_event import cloud_event
from scriptix_operator.core.status.notifications import NotificationType, notification_id
from tests.unit.core.builders import EIGHT, a_training, whole_status

ENDED = PendingNotification(
    type="Succeeded", run_id="run-1", reason="TrainingSucceeded", message="Trained.", at=EIGHT
)


def body(entry: PendingNotification, status: TrainingStatus) -> dict[str, Any]:
    """The body about a training with this status."""
    return dict(json.loads(cloud_event(a_training(status=status), entry)))


def test_event_has_the_attributes_of_cloudevents_and_the_run() -> None:
    status = whole_status()
    assert body(ENDED, status) == {
        "specversion": "1.0",
        "id": notification_id("uid-of-team-a-cardiology", ENDED),
        "source": ("/apis/scriptix.io/v1alpha1/namespaces/team-a/custommodeltrainings/cardiology"),
        "type": "io.scriptix.training.succeeded.v1",
        "subject": "team-a/cardiology",
        "time": "2025-01-16T08:00:00Z",
        "datacontenttype": "application/json",
        "data": {
            "namespace": "team-a",
            "name": "cardiology",
            "uid": "uid-of-team-a-cardiology",
            "modelId": 7,
            "modelKey": "custom_model_7",
            "runId": "run-1",
            "reason": "TrainingSucceeded",
            "message": "Trained.",
            "startedAt": "2025-01-16T08:00:00Z",
            "finishedAt": "2025-01-16T16:00:00Z",
            "wordErrorRate": "12.5",
        },
    }


def test_facts_of_a_replaced_run_come_from_history() -> None:
    past = whole_status().history[0]
    status = replace(
        whole_status(), history=(replace(past, finished_at=EIGHT, word_error_rate="9.9"),)
    )
    data = body(replace(ENDED, run_id="run-0"), status)["data"]
    assert (data["finishedAt"], data["wordErrorRate"]) == ("2025-01-16T08:00:00Z", "9.9")
    assert "modelKey" not in data
    assert "finishedAt" not in body(replace(ENDED, run_id="run-9"), status)["data"]


def test_types_are_those_of_the_documentation() -> None:
    kinds = [body(replace(ENDED, type=kind), whole_status())["type"] for kind in NotificationType]
    names = ["started", "succeeded", "failed", "blocked", "stalled"]
    assert kinds == [f"io.scriptix.training.{name}.v1" for name in names]


def test_body_is_bounded_however_long_the_texts_are() -> None:
    long = "\U0001f600\n" * 9000
    entry = PendingNotification(type=long, run_id=long, reason=long, message=long, at=EIGHT)
    status = whole_status()
    assert status.model is not None
    status = replace(status, model=replace(status.model, key=long))
    assert len(cloud_event(a_training(name="n" * 52, status=status), entry)) < 8192
