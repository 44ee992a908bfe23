"""core/failures.py: the API's words, the reason, and what to do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.api.status import LONG_TEXT, SHORT
from scriptix_operator.core.failures import (
    CATALOGUE,
    blocked_call,
    failure,
    rejected_start,
    remote_failure,
)
from scriptix_operator.core.remote import FailureKind
from tests.unit.core.builders import a_model, call_failed


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(
            "Insufficient training data (minimum 5 hours required, found 2.3 hours)",
            "InsufficientData",
            id="document 1",
        ),
        pytest.param(
            "Training failed: transcript accuracy below threshold",
            "PoorTranscripts",
            id="document 2",
        ),
        pytest.param(
            "Audio and transcript mismatch detected", "AudioTranscriptMismatch", id="document 3"
        ),
        pytest.param("Training failed due to system error", "SystemError", id="document 4"),
        pytest.param("INSUFFICIENT TRAINING DATA", "InsufficientData", id="in capitals"),
        pytest.param("Mismatch of audio and text", "AudioTranscriptMismatch", id="turned round"),
        pytest.param("Transcripts of poor quality", "PoorTranscripts", id="other words"),
        pytest.param("Internal server error", "SystemError", id="internal"),
        pytest.param("CUDA driver version mismatch", "Unknown", id="another mismatch"),
        pytest.param("insufficient memory for the database", "Unknown", id="other data"),
        pytest.param("Out of cheese", "Unknown", id="unheard of"),
    ],
)
def test_a_remote_failure_is_recognised_by_its_words(error: str, reason: str) -> None:
    why = remote_failure(a_model(5, error=error))
    assert (why.reason, why.message) == (reason, error)
    assert why.solution == CATALOGUE[FailureReason(reason)].solution


def test_a_code_says_more_than_words() -> None:
    why = remote_failure(a_model(5, error="No.", error_code="INSUFFICIENT_DATA"))
    assert (why.reason, why.code) == ("InsufficientData", "INSUFFICIENT_DATA")


@pytest.mark.parametrize("error", [None, "", " \n "], ids=["null", "empty", "blank"])
def test_a_failure_without_words_says_so(error: str | None) -> None:
    why = remote_failure(a_model(5, error=error))
    assert (why.reason, why.message) == ("Unknown", "The API gives no reason.")


def test_only_a_failure_of_the_remote_side_may_be_retried() -> None:
    retryable = {reason for reason in FailureReason if failure(reason, "x").retryable}
    assert retryable == {FailureReason.SYSTEM_ERROR}


@pytest.mark.parametrize("reason", FailureReason)
def test_each_reason_has_a_solution_that_ends_as_a_sentence(reason: FailureReason) -> None:
    assert failure(reason, "x").solution.endswith(".")
    assert len(failure(reason, "x").solution) > 40


def test_a_timed_out_run_is_said_to_go_on() -> None:
    assert "not cancelled" in failure(FailureReason.TIMED_OUT, "x").solution


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ("HTTP 400 INSUFFICIENT_DATA: Insufficient", "INSUFFICIENT_DATA", "InsufficientData"),
        ("HTTP 400: Insufficient training data", None, "InsufficientData"),
        ("HTTP 422: wrong", "WRONG", "StartRejected"),
    ],
    ids=["by code", "by words", "unheard of"],
)
def test_a_rejected_start_says_why(message: str, code: str | None, reason: str) -> None:
    why = rejected_start(call_failed(FailureKind.REJECTED, message, code=code))
    assert (why.reason, why.message, why.code) == (reason, message, code)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (FailureKind.NOT_SENT, None),
        (FailureKind.UNAUTHORIZED, "Unauthorized"),
        (FailureKind.NOT_FOUND, "ModelNotFound"),
        (FailureKind.CONFLICT, None),
        (FailureKind.REJECTED, None),
        (FailureKind.RATE_LIMITED, None),
        (FailureKind.AMBIGUOUS, None),
    ],
)
def test_a_human_must_mend_a_key_or_a_model_id(kind: FailureKind, reason: str | None) -> None:
    why = blocked_call(call_failed(kind, "HTTP 4xx", code="CODE"))
    assert (why.reason if why else None) == reason
    assert why is None or (why.message, why.code) == ("HTTP 4xx", "CODE")


@given(st.text(st.characters(), max_size=200), st.none() | st.text(st.characters(), max_size=200))
def test_hostile_words_are_bounded(text: str, code: str | None) -> None:
    why = remote_failure(a_model(5, error=text * 60, error_code=code))
    assert len(why.message) <= LONG_TEXT
    assert why.code is None or len(why.code) <= SHORT
