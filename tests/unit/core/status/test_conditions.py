"""Phase, conditions, display and message are derived from the facts."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason, Reason
from scriptix_operator.api.status import LONG_TEXT, Failure, Intent, Metrics, Queue, TrainingStatus
from scriptix_operator.core.status.conditions import (
    ConditionReason,
    derive_status,
    may_be_running,
    phase_of,
    reason_of,
)
from scriptix_operator.core.status.failures import failure
from tests.unit.core.builders import (
    EIGHT,
    a_run,
    a_status,
    a_training,
    at,
    check_status,
    edited,
    followed,
    truths,
)

INTENT = Intent(attempt=1, at=EIGHT, key_fingerprint="k")
QUEUE = Queue(position=3, of=12)
KEY_REFUSED = failure(FailureReason.UNAUTHORIZED, "HTTP 401: no.")
BROKEN = failure(FailureReason.SYSTEM_ERROR, "Training failed due to system error")
HELD_UP = failure(FailureReason.RESULT_NOT_PUBLISHED, "403 exceeded quota")
ENDED = at(hours=8)

FAILED_FOR_NOW = followed(
    run=a_run(ownership="Owned", retry_at=at(hours=9)), finished_at=ENDED, failure=BROKEN
)

PROGRESSING = {"Succeeded": "Unknown", "Ready": "Unknown", "Reconciling": "True"}
BLOCKED = {"Succeeded": "Unknown", "Ready": "Unknown", "Stalled": "True"}
SUSPENDED = {"Succeeded": "Unknown", "Ready": "Unknown", "Suspended": "True"}
SUCCEEDED = {"Succeeded": "True", "Ready": "True"}
FAILED = {"Succeeded": "False", "Ready": "False", "Stalled": "True"}

ROWS = [
    pytest.param(a_status(), False, "Pending", PROGRESSING, id="new"),
    pytest.param(a_status(run=a_run()), False, "Pending", PROGRESSING, id="rerun pending"),
    pytest.param(a_status(queue=QUEUE), False, "Queued", PROGRESSING, id="queued"),
    pytest.param(a_status(run=a_run(intent=INTENT)), False, "Starting", PROGRESSING, id="starting"),
    pytest.param(followed(), False, "Running", PROGRESSING, id="running"),
    pytest.param(a_status(failure=KEY_REFUSED), False, "Pending", BLOCKED, id="blocked before"),
    pytest.param(followed(failure=KEY_REFUSED), False, "Running", BLOCKED, id="blocked after"),
    pytest.param(
        a_status(run=a_run(intent=INTENT), failure=KEY_REFUSED),
        False,
        "Starting",
        BLOCKED,
        id="blocked while starting",
    ),
    pytest.param(FAILED_FOR_NOW, False, "Pending", PROGRESSING, id="failed, to be retried"),
    pytest.param(
        FAILED_FOR_NOW, True, "Suspended", SUSPENDED, id="failed, to be retried, suspended"
    ),
    pytest.param(a_status(), True, "Suspended", SUSPENDED, id="suspended, new"),
    pytest.param(
        a_status(run=a_run(intent=INTENT)), True, "Suspended", SUSPENDED, id="suspended, starting"
    ),
    pytest.param(followed(), True, "Suspended", SUSPENDED, id="suspended, running"),
    pytest.param(followed(finished_at=ENDED), False, "Succeeded", SUCCEEDED, id="succeeded"),
    pytest.param(
        followed(finished_at=ENDED), True, "Succeeded", SUCCEEDED, id="succeeded, suspended"
    ),
    pytest.param(followed(finished_at=ENDED, failure=BROKEN), False, "Failed", FAILED, id="failed"),
    pytest.param(
        followed(finished_at=ENDED, failure=BROKEN), True, "Failed", FAILED, id="failed, suspended"
    ),
    pytest.param(
        followed(finished_at=ENDED, failure=HELD_UP), False, "Running", BLOCKED, id="unpublished"
    ),
    pytest.param(
        followed(finished_at=ENDED, failure=HELD_UP),
        True,
        "Suspended",
        SUSPENDED,
        id="unpublished, suspended",
    ),
    pytest.param(
        a_status(run=a_run(), finished_at=ENDED, failure=BROKEN),
        False,
        "Failed",
        FAILED,
        id="failed before a start",
    ),
]


@pytest.mark.parametrize(("facts", "suspend", "phase", "conditions"), ROWS)
def test_each_state_has_its_phase_and_conditions(
    facts: TrainingStatus,
    suspend: bool,  # noqa: FBT001 - a row of the table
    phase: str,
    conditions: dict[str, str],
) -> None:
    training = a_training(suspend=suspend)
    status = derive_status(training, facts, EIGHT)
    assert (status.phase, truths(status)) == (phase, conditions)
    assert phase_of(training.spec, status) == phase
    check_status(training, status)


@pytest.mark.parametrize(("facts", "suspend", "phase", "conditions"), ROWS)
def test_deriving_status_again_changes_nothing(
    facts: TrainingStatus,
    suspend: bool,  # noqa: FBT001 - a row of the table
    phase: str,
    conditions: dict[str, str],
) -> None:
    training = a_training(suspend=suspend)
    once = derive_status(training, facts, EIGHT, ConditionReason(Reason.TRAINING, "Why."))
    assert derive_status(training, once, at(hours=1)) == once
    assert (once.phase, truths(once)) == (phase, conditions)


def test_every_condition_has_the_reason_and_message() -> None:
    status = derive_status(
        a_training(), followed(), EIGHT, ConditionReason(Reason.TRAINING, "Training: 45%.")
    )
    assert {(c.reason, c.message) for c in status.conditions} == {("Training", "Training: 45%.")}
    assert status.message == "Training: 45%."
    assert reason_of(status) == "Training"


def test_reason_is_not_taken_from_a_foreign_condition() -> None:
    status = derive_status(
        a_training(), followed(), EIGHT, ConditionReason(Reason.TRAINING, "Training.")
    )
    odd = replace(status.conditions[0], type="Warm", reason="Sun")
    theirs = replace(status, conditions=(odd, *status.conditions))
    assert reason_of(theirs) == "Training"


def test_status_without_conditions_has_no_reason() -> None:
    assert reason_of(a_status()) is None


def moved(status: TrainingStatus) -> dict[str, datetime | None]:
    """The last transition time of each condition."""
    return {c.type: c.last_transition_time for c in status.conditions}


def test_a_transition_time_moves_with_the_truth_only() -> None:
    training = a_training()
    first = derive_status(training, followed(), EIGHT, ConditionReason(Reason.TRAINING, "1%."))
    later = derive_status(
        training, first, at(hours=1), ConditionReason(Reason.RATE_LIMITED, "Wait.")
    )
    assert set(moved(later).values()) == {EIGHT}
    stuck = replace(later, failure=KEY_REFUSED)
    blocked = derive_status(training, stuck, at(hours=2))
    assert moved(blocked) == {"Succeeded": EIGHT, "Ready": EIGHT, "Stalled": at(hours=2)}
    end = replace(blocked, failure=None, finished_at=ENDED)
    done = derive_status(training, end, at(hours=3, seconds=0.5))
    assert moved(done) == {"Succeeded": at(hours=3), "Ready": at(hours=3)}


def test_an_edit_is_observed_in_every_condition() -> None:
    training = a_training()
    status = derive_status(training, followed(), EIGHT)
    status = derive_status(edited(training, priority=1), status, at(hours=1))
    assert status.observed_generation == 2
    assert {c.observed_generation for c in status.conditions} == {2}
    assert set(moved(status).values()) == {EIGHT}


def test_failure_message_has_the_cause_and_the_remedy() -> None:
    facts = followed(finished_at=ENDED, failure=BROKEN)
    status = derive_status(a_training(), facts, EIGHT, ConditionReason(Reason.TRAINING, "Ignored."))
    assert reason_of(status) == "SystemError"
    assert status.message == f"Training failed due to system error. {BROKEN.solution}"


@pytest.mark.parametrize(
    ("message", "joined"),
    [
        ("What now", "What now. Do."),
        ("What now.", "What now. Do."),
        ("What now!", "What now! Do."),
        ("What now?  ", "What now? Do."),
        ("What n…", "What n… Do."),
    ],
)
def test_cause_and_remedy_are_joined_into_one_message(message: str, joined: str) -> None:
    why = Failure(reason="Unknown", message=message, solution="Do.")
    assert derive_status(a_training(), followed(failure=why), EIGHT).message == joined


def test_a_reason_of_a_newer_operator_is_kept() -> None:
    why = Failure(reason="GpuOnFire", message="Hot.", solution="Run.")
    status = derive_status(a_training(), followed(failure=why, finished_at=ENDED), EIGHT)
    assert (reason_of(status), status.message) == ("GpuOnFire", "Hot. Run.")


def test_condition_type_of_a_newer_operator_is_kept_apart() -> None:
    status = derive_status(a_training(), followed(), EIGHT)
    odd = replace(status.conditions[0], type="Warm")
    settled = derive_status(a_training(), replace(status, conditions=(odd,)), EIGHT)
    assert truths(settled) == PROGRESSING


def test_suspended_message_says_that_a_run_continues() -> None:
    training = a_training(suspend=True)
    idle, busy = (derive_status(training, facts, EIGHT) for facts in (a_status(), followed()))
    assert reason_of(idle) == reason_of(busy) == "Suspended"
    assert "goes on" not in (idle.message or "")
    assert "the remote run continues (the API cannot cancel a run)" in (busy.message or "")


def test_after_a_suspension_the_old_reason_does_not_linger() -> None:
    status = derive_status(a_training(suspend=True), followed(), EIGHT)
    status = derive_status(a_training(), status, at(hours=1))
    assert (reason_of(status), status.message) == (
        "Observed",
        "The resource waits for its first status poll.",
    )


def test_after_a_block_the_old_reason_does_not_linger() -> None:
    status = derive_status(a_training(), followed(failure=KEY_REFUSED), EIGHT)
    status = derive_status(a_training(), replace(status, failure=None), EIGHT)
    assert reason_of(status) == "Observed"


ETA = datetime.fromisoformat("2025-01-16T16:40:00Z")


def displayed(facts: TrainingStatus, *, suspend: bool = False) -> dict[str, str]:
    """The strings of the printer columns."""
    display = derive_status(a_training(suspend=suspend), facts, EIGHT).display
    return {} if display is None else display.model_dump(exclude_none=True)


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        pytest.param(a_status(), {}, id="nothing yet"),
        pytest.param(followed(progress=0), {"progress": "0%"}, id="no progress is progress 0"),
        pytest.param(
            followed(progress=45, estimated_completion_at=ETA),
            {"progress": "45%", "eta": "01-16 16:40Z"},
            id="running",
        ),
        pytest.param(
            followed(progress=45, estimated_completion_at=ETA, failure=KEY_REFUSED),
            {"progress": "45%"},
            id="no eta while blocked",
        ),
        pytest.param(
            followed(progress=100, estimated_completion_at=ETA, finished_at=ENDED),
            {"progress": "100%"},
            id="no eta when finished",
        ),
        pytest.param(a_status(queue=QUEUE), {"queue": "3/12"}, id="queued"),
        pytest.param(
            followed(finished_at=ENDED, metrics=Metrics(word_error_rate="12.5")),
            {"word_error_rate": "12.5%"},
            id="word error rate",
        ),
        pytest.param(
            followed(finished_at=ENDED, metrics=Metrics(rating="Good")), {}, id="no rate given"
        ),
    ],
)
def test_the_columns_read_strings_for_people(facts: TrainingStatus, shown: dict[str, str]) -> None:
    assert displayed(facts) == shown


def test_no_eta_is_shown_while_suspended() -> None:
    facts = followed(progress=45, estimated_completion_at=ETA)
    assert displayed(facts, suspend=True) == {"progress": "45%"}


@given(st.text(st.characters(), max_size=40), st.integers(1, 400))
def test_a_message_of_any_length_fits(text: str, times: int) -> None:
    training = a_training()
    status = derive_status(
        training, followed(), EIGHT, ConditionReason(Reason.TRAINING, f"x{text * times}")
    )
    check_status(training, status)


def test_unpublished_run_does_not_count_as_running() -> None:
    """An unpublished run holds no model, and its deletion announces no released run."""
    assert not may_be_running(followed(finished_at=ENDED, failure=HELD_UP))
    assert may_be_running(followed(failure=KEY_REFUSED))


def test_remedy_is_shown_after_a_cause_of_any_length() -> None:
    why = failure(FailureReason.UNKNOWN, "x" * 5000)
    status = derive_status(a_training(), followed(finished_at=ENDED, failure=why), EIGHT)
    assert status.message is not None
    assert len(status.message) <= LONG_TEXT
    assert status.message.endswith(f"xx… {why.solution}")
