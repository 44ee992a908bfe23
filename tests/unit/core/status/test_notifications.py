"""core/status/notifications.py: what is announced, and what is still to be sent."""

from datetime import timedelta
from typing import Any

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.status import PendingNotification, TrainingStatus
from scriptix_operator.core.requests.cancellation import cancel_request
from scriptix_operator.core.requests.requests import begin_run
from scriptix_operator.core.status.notifications import (
    LIFETIME,
    is_expired,
    notification_id,
    transitions,
    with_outbox,
    without_outbox,
)
from tests.unit.core.builders import EIGHT, a_run, a_status, a_training, at, followed

EMPTY = TrainingStatus()
RUNNING = followed()
ENDED = followed(finished_at=at(hours=8))
FAILED = followed(finished_at=at(hours=8), failure={"reason": "SystemError"})
STALLED = followed(progress_stalled_at=at(hours=2))


def blocked(reason: str = "SecretNotFound", **facts: Any) -> TrainingStatus:  # noqa: ANN401 - values of status fields
    """The status of a resource that waits for a human."""
    condition = {"type": "Stalled", "status": "True", "reason": reason, "message": "Fix it."}
    return a_status(failure={"reason": reason}, conditions=[condition], **facts)


def announced(old: TrainingStatus, new: TrainingStatus) -> list[str]:
    """What a change announces."""
    return [f"{one.type} {one.reason}" for one in transitions(old, new, EIGHT)]


ADOPTED = followed(run=a_run(ownership="Adopted"))
RETRIED = replace(FAILED, run=a_run(ownership="Owned", retry_at=at(hours=9)))
RERUN = followed(run=a_run(id="run-2", ownership="Owned"))
ANOTHER_BLOCK = blocked("Unauthorized")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(EMPTY, RUNNING, ["Started TrainingStarted"], id="started"),
        pytest.param(EMPTY, ADOPTED, ["Started TrainingAdopted"], id="adopted"),
        pytest.param(RUNNING, replace(RUNNING, progress=9), [], id="progress"),
        pytest.param(RUNNING, STALLED, ["Stalled ProgressStalled"], id="stalled"),
        pytest.param(STALLED, replace(STALLED, progress=9), [], id="stalled already"),
        pytest.param(RUNNING, ENDED, ["Succeeded "], id="succeeded"),
        pytest.param(RUNNING, FAILED, ["Failed SystemError"], id="failed"),
        pytest.param(RUNNING, RETRIED, ["Failed SystemError"], id="failed, with a retry"),
        pytest.param(RETRIED, replace(RETRIED, progress=9), [], id="failed already"),
        pytest.param(ENDED, RERUN, ["Started TrainingStarted"], id="rerun"),
        pytest.param(FAILED, ENDED, ["Succeeded "], id="judged again"),
        pytest.param(EMPTY, ENDED, ["Started TrainingStarted", "Succeeded "], id="both at once"),
        pytest.param(EMPTY, blocked(), ["Blocked SecretNotFound"], id="blocked"),
        pytest.param(blocked(), blocked(progress=1), [], id="blocked already"),
        pytest.param(blocked(), ANOTHER_BLOCK, ["Blocked Unauthorized"], id="another reason"),
        pytest.param(
            RUNNING,
            blocked(finished_at=EIGHT, run=RUNNING.run),
            ["Failed SecretNotFound"],
            id="Stalled of a failed run",
        ),
    ],
)
def test_notification_is_made_for_each_transition(
    old: TrainingStatus, new: TrainingStatus, expected: list[str]
) -> None:
    assert announced(old, new) == expected


def test_cancelled_rerun_announces_no_old_end() -> None:
    rerun = begin_run(a_training(run_token="v2", status=ENDED))
    assert announced(ENDED, rerun) == []
    assert announced(rerun, cancel_request(rerun)) == []


def test_outbox_keeps_what_is_not_handled() -> None:
    started = with_outbox(EMPTY, RUNNING, "uid", EIGHT, ())
    [entry] = started.pending_notifications
    ended = with_outbox(started, replace(ENDED, pending_notifications=()), "uid", at(hours=8), ())
    assert [one.type for one in ended.pending_notifications] == ["Started", "Succeeded"]
    done = with_outbox(ended, ended, "uid", at(hours=8), {notification_id("uid", entry)})
    assert done.pending_notifications == ended.pending_notifications[1:]
    assert with_outbox(done, done, "uid", at(hours=8), ()) is done


def test_outbox_is_bounded_and_drops_the_oldest() -> None:
    status = EMPTY
    for number in range(20):
        run = a_run(id=f"run-{number}", ownership="Owned")
        status = with_outbox(status, followed(run=run), "uid", EIGHT, ())
    runs = [one.run_id for one in status.pending_notifications]
    assert runs == [f"run-{number}" for number in range(4, 20)]


def test_outbox_is_emptied_by_a_write_while_off() -> None:
    full = with_outbox(EMPTY, RUNNING, "uid", EIGHT, ())
    assert without_outbox(full, full) is full  # causes no write
    assert without_outbox(full, replace(full, progress=9)).pending_notifications == ()


def test_notification_id_depends_on_all_facts_of_the_transition() -> None:
    entry = PendingNotification(type="Failed", run_id="run-1", reason="SystemError", at=EIGHT)
    others = [
        replace(entry, type="Started"),
        replace(entry, run_id="run-2"),
        replace(entry, reason="TimedOut"),
        replace(entry, at=at(seconds=1)),
    ]
    ids = {notification_id("uid", one) for one in (entry, *others)}
    assert len(ids | {notification_id("other", entry)}) == 6
    assert notification_id("uid", replace(entry, message="worded otherwise")) in ids


def test_notification_expires_after_24_hours() -> None:
    entry = PendingNotification(type="Failed", at=EIGHT)
    assert not is_expired(entry, EIGHT + LIFETIME - timedelta(seconds=1))
    assert is_expired(entry, EIGHT + LIFETIME)
    assert is_expired(replace(entry, at=None), EIGHT)


def test_message_of_the_api_is_cut_to_one_line() -> None:
    [entry] = transitions(RUNNING, replace(FAILED, message="Line\n" + "x" * 9000), EIGHT)
    assert entry.message.startswith("Line x")
    assert len(entry.message) == 512
