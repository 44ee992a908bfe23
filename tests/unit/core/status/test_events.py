"""core/status/events.py: one event for each transition, and no other events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason, Ownership, Phase, Reason
from scriptix_operator.api.status import HistoryEntry, Intent, Queue, TrainingStatus
from scriptix_operator.core.status.conditions import ConditionReason, derive_status
from scriptix_operator.core.status.events import deletion_events, run_outcome, transition_events
from scriptix_operator.core.status.failures import failure
from tests.unit.core.builders import EIGHT, a_run, a_status, a_training, at, followed

INTENT = Intent(attempt=1, at=EIGHT, key_fingerprint="k")


def settled(
    status: TrainingStatus, reason: str = Reason.TRAINING, message: str = "Why."
) -> TrainingStatus:
    """The status as it is recorded."""
    return derive_status(a_training(), status, EIGHT, ConditionReason(reason, message))


def events(old: TrainingStatus, new: TrainingStatus) -> list[tuple[str, bool]]:
    """The reason of each event, and whether the event is a warning."""
    return [(item.reason.value, item.is_warning) for item in transition_events(old, new)]


WAITING = settled(a_status(), Reason.WAITING_FOR_MODEL)
STARTING = settled(a_status(run=a_run(intent=INTENT)), Reason.STARTING)
RUNNING = settled(followed(stage="InitialEpochs", progress=10))
SUCCEEDED = settled(followed(stage="FinalEvaluation", finished_at=at(hours=8)))


def failed(reason: FailureReason, *, ownership: str | None = "Owned") -> TrainingStatus:
    """The status of a failed run."""
    run = a_run(ownership=ownership)
    why = failure(reason, "What happened.")
    return settled(a_status(run=run, finished_at=at(hours=8), failure=why))


TO_RETRY = settled(
    a_status(
        run=a_run(ownership="Owned", retry_at=at(hours=9)),
        finished_at=at(hours=8),
        failure=failure(FailureReason.SYSTEM_ERROR, "What happened."),
    )
)
UNPUBLISHED = settled(
    followed(
        finished_at=at(hours=8), failure=failure(FailureReason.RESULT_NOT_PUBLISHED, "A quota.")
    )
)
WAITING_AGAIN = settled(
    a_status(
        run=a_run(id="run-2"),
        history=(HistoryEntry(id="run-1", outcome="Succeeded", finished_at=at(hours=8)),),
    ),
    Reason.WAITING_FOR_MODEL,
)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(a_status(), WAITING, [("WaitingForModel", False)], id="waiting"),
        pytest.param(
            WAITING, settled(a_status(), Reason.MODEL_IN_USE), [("ModelInUse", True)], id="in use"
        ),
        pytest.param(
            WAITING,
            settled(a_status(), Reason.WAITING_FOR_START_QUOTA),
            [("TrainingQueued", False)],
            id="queued",
        ),
        *(
            pytest.param(WAITING, settled(a_status(), reason), [(reason.value, True)], id=reason)
            for reason in (Reason.START_LEDGER_NOT_WRITABLE, Reason.WAITING_FOR_NAMESPACES)
        ),
        pytest.param(
            RUNNING, settled(followed(), Reason.RATE_LIMITED), [("RateLimited", True)], id="429"
        ),
        pytest.param(
            STARTING,
            settled(STARTING, Reason.START_OUTCOME_UNKNOWN),
            [("StartOutcomeUnknown", True)],
            id="lost",
        ),
        *(
            pytest.param(
                WAITING,
                settled(a_status(failure=failure(reason, "x"))),
                [(event, True)],
                id=f"blocked {reason}",
            )
            for reason, event in (
                (FailureReason.SECRET_NOT_FOUND, "SecretNotFound"),
                (FailureReason.KEY_NOT_FOUND, "KeyNotFound"),
                (FailureReason.UNAUTHORIZED, "Unauthorized"),
                (FailureReason.MODEL_NOT_FOUND, "ModelNotFound"),
            )
        ),
        pytest.param(RUNNING, TO_RETRY, [("RetryScheduled", True)], id="to be retried"),
        pytest.param(
            settled(replace(TO_RETRY, run=a_run(id="run-0", retry_at=EIGHT))),
            TO_RETRY,
            [("TrainingStarted", False), ("RetryScheduled", True)],
            id="the next one is to be retried too",
        ),
        pytest.param(
            derive_status(a_training(suspend=True), TO_RETRY, EIGHT),
            TO_RETRY,
            [],
            id="to be retried as before, resumed",
        ),
        pytest.param(
            TO_RETRY, failed(FailureReason.SYSTEM_ERROR), [("TrainingFailed", True)], id="given up"
        ),
        pytest.param(WAITING_AGAIN, SUCCEEDED, [], id="succeeded long ago, restored"),
        pytest.param(
            WAITING_AGAIN, failed(FailureReason.TIMED_OUT), [], id="failed long ago, restored"
        ),
        pytest.param(WAITING, STARTING, [], id="starting"),
        pytest.param(STARTING, settled(followed()), [("TrainingStarted", False)], id="started"),
        pytest.param(STARTING, RUNNING, [("TrainingStarted", False)], id="the first stage is none"),
        pytest.param(RUNNING, settled(followed()), [], id="stage not known any more"),
        pytest.param(
            WAITING,
            settled(followed(run=a_run(ownership=Ownership.ADOPTED), stage="MainTraining")),
            [("TrainingAdopted", False)],
            id="adopted",
        ),
        pytest.param(
            RUNNING,
            settled(followed(stage="MainTraining", progress=30)),
            [("StageChanged", False)],
            id="stage",
        ),
        pytest.param(RUNNING, settled(followed(stage="InitialEpochs", progress=11)), [], id="on"),
        pytest.param(RUNNING, SUCCEEDED, [("TrainingSucceeded", False)], id="succeeded"),
        pytest.param(
            RUNNING, failed(FailureReason.SYSTEM_ERROR), [("TrainingFailed", True)], id="failed"
        ),
        pytest.param(
            RUNNING, failed(FailureReason.TIMED_OUT), [("TrainingTimedOut", True)], id="timed out"
        ),
        pytest.param(
            RUNNING,
            failed(FailureReason.QUALITY_GATE_FAILED),
            [("QualityGateFailed", True)],
            id="gate",
        ),
        pytest.param(
            failed(FailureReason.QUALITY_GATE_FAILED),
            SUCCEEDED,
            [("TrainingSucceeded", False)],
            id="judged again",
        ),
        pytest.param(
            STARTING,
            failed(FailureReason.INSUFFICIENT_DATA, ownership=None),
            [("StartRejected", True)],
            id="rejected",
        ),
        pytest.param(SUCCEEDED, WAITING, [("WaitingForModel", False)], id="another run"),
        pytest.param(
            SUCCEEDED,
            settled(followed(run=a_run(id="run-2", ownership="Owned"))),
            [("TrainingStarted", False)],
            id="another run, started",
        ),
        pytest.param(
            failed(FailureReason.SYSTEM_ERROR),
            settled(a_status(run=a_run(id="2"), finished_at=EIGHT, failure=failure(
                FailureReason.START_REJECTED, "x"))),
            [("StartRejected", True)],
            id="another run, failed too",
        ),
    ],
)  # fmt: skip
def test_each_transition_has_its_event(
    old: TrainingStatus, new: TrainingStatus, expected: list[tuple[str, bool]]
) -> None:
    assert events(old, new) == expected


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ("Owned", "The operator started run run-1."),
        (
            "Unconfirmed",
            "The operator started run run-1; the reply of the API to the start was lost.",
        ),
        ("Adopted", "The operator adopted the existing training as run run-1."),
    ],
)
def test_start_event_is_as_certain_as_its_outcome(new: str, expected: str) -> None:
    (item,) = transition_events(STARTING, settled(followed(run=a_run(ownership=new))))
    assert item.message == expected


def test_a_run_that_is_adopted_at_its_end_is_adopted_and_ended() -> None:
    end = settled(followed(run=a_run(ownership="Adopted"), finished_at=EIGHT))
    assert [reason for reason, _ in events(WAITING, end)] == [
        "TrainingAdopted",
        "TrainingSucceeded",
    ]


STATUSES = st.sampled_from(
    [
        a_status(),
        WAITING,
        STARTING,
        RUNNING,
        SUCCEEDED,
        failed(FailureReason.TIMED_OUT),
        settled(a_status(), Reason.RATE_LIMITED),
        settled(a_status(failure=failure(FailureReason.UNAUTHORIZED, "x"))),
    ]
)


@given(STATUSES)
def test_no_transition_causes_no_event(status: TrainingStatus) -> None:
    assert transition_events(status, status) == ()
    assert transition_events(status, replace(status, message="Put otherwise.")) == ()


def test_messages_are_one_line_that_the_api_server_takes() -> None:
    (item,) = transition_events(
        a_status(), settled(a_status(), Reason.MODEL_IN_USE, "x\n" + "x" * 4000)
    )
    assert len(item.message) == 1024
    assert item.message.startswith("x x")


def test_the_message_of_an_end_is_that_of_status() -> None:
    end = failed(FailureReason.TIMED_OUT)
    assert [item.message for item in transition_events(RUNNING, end)] == [end.message]
    stage = settled(followed(stage="MainTraining", progress=31))
    assert [item.message for item in transition_events(RUNNING, stage)] == [
        "The run has reached stage MainTraining, at 31%."
    ]


@pytest.mark.parametrize(
    ("status", "released"),
    [
        (a_status(), False),
        (WAITING, False),
        (STARTING, True),
        (RUNNING, True),
        (derive_status(a_training(suspend=True), RUNNING, EIGHT), True),
        (settled(followed(failure=failure(FailureReason.UNAUTHORIZED, "x"))), True),
        (settled(a_status(queue=Queue(position=1, of=1))), False),
        (derive_status(a_training(suspend=True), WAITING, EIGHT), False),
        (WAITING_AGAIN, False),
        (TO_RETRY, False),
        (SUCCEEDED, False),
        (failed(FailureReason.TIMED_OUT), False),
    ],
    ids=[
        "new",
        "waiting",
        "starting",
        "running",
        "running, suspended",
        "running, blocked",
        "queued",
        "waiting, suspended",
        "rerun waiting",
        "to be retried",
        "succeeded",
        "failed",
    ],
)
def test_deletion_is_reported_if_a_run_continues(status: TrainingStatus, released: bool) -> None:  # noqa: FBT001 - the expected value
    assert [item.reason for item in deletion_events(status)] == [
        "ReleasedRunningTraining"
    ] * released
    assert all(item.is_warning for item in deletion_events(status))


@pytest.mark.parametrize(
    ("old", "new", "outcome"),
    [
        pytest.param(RUNNING, SUCCEEDED, "Succeeded", id="succeeded"),
        pytest.param(RUNNING, failed(FailureReason.TIMED_OUT), "Failed", id="failed"),
        pytest.param(RUNNING, TO_RETRY, "Failed", id="failed, to be retried"),
        pytest.param(TO_RETRY, failed(FailureReason.SYSTEM_ERROR), None, id="its retry given up"),
        pytest.param(failed(FailureReason.QUALITY_GATE_FAILED), SUCCEEDED, None, id="judged again"),
        pytest.param(WAITING_AGAIN, SUCCEEDED, None, id="restored"),
        pytest.param(RUNNING, UNPUBLISHED, None, id="succeeded, not published yet"),
        pytest.param(UNPUBLISHED, SUCCEEDED, "Succeeded", id="published"),
        pytest.param(WAITING, RUNNING, None, id="started"),
        pytest.param(SUCCEEDED, WAITING_AGAIN, None, id="another is asked for"),
    ],
)
def test_each_run_is_counted_once_when_it_ends(
    old: TrainingStatus, new: TrainingStatus, outcome: str | None
) -> None:
    assert run_outcome(old, new) == outcome


def test_the_phases_here_are_those_of_their_names() -> None:
    phases = [s.phase for s in (WAITING, STARTING, RUNNING, SUCCEEDED)]
    assert phases == [Phase.PENDING, Phase.STARTING, Phase.RUNNING, Phase.SUCCEEDED]
