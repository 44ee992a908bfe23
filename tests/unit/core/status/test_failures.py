"""core/status/failures.py: the API's error texts, the reason, and the remedy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.api.status import LONG_TEXT, SHORT, TEXT
from scriptix_operator.core.model.remote import CallFailure, FailureKind
from scriptix_operator.core.status.failure_catalog import FAILURE_CATALOG, Cause
from scriptix_operator.core.status.failures import (
    blocked_call,
    failure,
    refused_for_now,
    rejected_start,
    remote_failure,
)
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
        pytest.param("Insufficient Training Data", "InsufficientData", id="heading 1"),
        pytest.param("Poor Transcript Quality", "PoorTranscripts", id="heading 2"),
        pytest.param("Audio/Transcript Mismatch", "AudioTranscriptMismatch", id="heading 3"),
        pytest.param("System Error", "SystemError", id="heading 4"),
        pytest.param("INSUFFICIENT TRAINING DATA", "InsufficientData", id="in capitals"),
        pytest.param("Mismatch of audio and text", "AudioTranscriptMismatch", id="turned round"),
        pytest.param("Transcripts of poor quality", "PoorTranscripts", id="other words"),
        pytest.param("Internal server error", "SystemError", id="internal"),
        pytest.param("CUDA driver version mismatch", "Unknown", id="another mismatch"),
        pytest.param("insufficient memory for the database", "Unknown", id="other data"),
        pytest.param("Out of cheese", "Unknown", id="unknown text"),
    ],
)
def test_remote_failure_is_recognised_by_its_text(error: str, reason: str) -> None:
    why = remote_failure(a_model(5, error=error))
    assert (why.reason, why.message) == (reason, error)
    assert why.solution == FAILURE_CATALOG[FailureReason(reason)].solution


def test_error_code_takes_precedence_over_the_text() -> None:
    why = remote_failure(a_model(5, error="No.", error_code="INSUFFICIENT_DATA"))
    assert (why.reason, why.code) == ("InsufficientData", "INSUFFICIENT_DATA")


@pytest.mark.parametrize("reason", FAILURE_CATALOG)
def test_the_examples_of_a_row_are_recognised_as_that_row(reason: FailureReason) -> None:
    """The page shows the examples as texts of the row."""
    for example in FAILURE_CATALOG[reason].examples:
        assert remote_failure(a_model(5, error=example)).reason == reason
    assert (FAILURE_CATALOG[reason].pattern is None) == (FAILURE_CATALOG[reason].examples == ())


def test_every_reason_has_its_row() -> None:
    assert set(FAILURE_CATALOG) == set(FailureReason)
    causes = [cause for row in FAILURE_CATALOG.values() for cause, _ in row.cases]
    assert sorted(causes) == sorted(Cause)


def test_blocking_failure_does_not_end_the_run() -> None:
    blocking = {reason for reason, advice in FAILURE_CATALOG.items() if advice.blocks}
    assert blocking == {
        FailureReason.SECRET_NOT_FOUND,
        FailureReason.KEY_NOT_FOUND,
        FailureReason.UNAUTHORIZED,
        FailureReason.MODEL_NOT_FOUND,
        FailureReason.GATEWAY_REFUSED,
        FailureReason.RESULT_NOT_PUBLISHED,
    }


def test_unknown_error_text_is_shown_whole() -> None:
    """The text is whole up to the bound of status."""
    whole = "x" * LONG_TEXT
    assert remote_failure(a_model(5, error=whole)).message == whole
    assert remote_failure(a_model(5, error=whole + "x")).message == whole[:-1] + "…"


def test_control_characters_in_error_texts_are_removed() -> None:
    why = remote_failure(a_model(5, error="\x1b[2Jred\x07 \u202eevil\nnext", error_code="a\x1bb\n"))
    assert (why.message, why.code) == ("[2Jred   evil\nnext", "a b")


@pytest.mark.parametrize("error", [None, "", " \n "], ids=["null", "empty", "blank"])
def test_failure_without_a_text_says_so(error: str | None) -> None:
    why = remote_failure(a_model(5, error=error, status_message=None))
    assert (why.reason, why.message) == ("Unknown", "The API reports no error.")


@pytest.mark.parametrize(
    ("said", "reason"),
    [("Training failed", "Unknown"), ("Stopped: insufficient training data", "InsufficientData")],
)
def test_status_message_is_the_cause_without_an_error(said: str, reason: str) -> None:
    why = remote_failure(a_model(5, status_message=said))
    assert (why.reason, why.message) == (
        reason,
        f"The API reports no error; the status message is: {said}",
    )


def test_only_a_failure_of_the_remote_side_may_be_retried() -> None:
    retryable = {reason for reason in FailureReason if failure(reason, "x").retryable}
    assert retryable == {FailureReason.SYSTEM_ERROR}


@pytest.mark.parametrize("reason", FailureReason)
def test_each_reason_has_a_solution_that_ends_as_a_sentence(reason: FailureReason) -> None:
    assert failure(reason, "x").solution.endswith(".")
    assert len(failure(reason, "x").solution) > 40


def test_timed_out_run_is_reported_to_continue() -> None:
    assert "did not cancel" in failure(FailureReason.TIMED_OUT, "x").solution


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ("HTTP 400 INSUFFICIENT_DATA: Insufficient", "INSUFFICIENT_DATA", "InsufficientData"),
        ("HTTP 400: Insufficient training data", None, "InsufficientData"),
        ("HTTP 422: wrong", "WRONG", "StartRejected"),
    ],
    ids=["by code", "by words", "unknown text"],
)
def test_a_rejected_start_says_why(message: str, code: str | None, reason: str) -> None:
    why = rejected_start(call_failed(FailureKind.REJECTED, message, code=code))
    assert (why.reason, why.message, why.code) == (reason, message, code)


NOT_READY = call_failed(
    FailureKind.CONFLICT,
    "HTTP 409 MODEL_NOT_READY: Cannot start training: model not ready",
    status=409,
    code="MODEL_NOT_READY",
    details={
        "current_status": 1,
        "required_status": 2,
        "message": "Upload training data before starting training",
    },
)
IN_PROGRESS = call_failed(
    FailureKind.CONFLICT,
    "HTTP 409 TRAINING_IN_PROGRESS: Training already in progress",
    status=409,
    code="TRAINING_IN_PROGRESS",
    details={"training_progress": 45},
)
TOO_LITTLE = call_failed(
    FailureKind.REJECTED,
    "HTTP 400 INSUFFICIENT_DATA: Insufficient training data",
    status=400,
    code="INSUFFICIENT_DATA",
    details={"current_hours": 2.5, "required_hours": 5.0},
)


@pytest.mark.parametrize(
    ("call", "reason", "events", "advised"),
    [
        pytest.param(
            NOT_READY,
            "StartRejected",
            "model not ready (current_status: 1, required_status: 2; Upload training data before "
            "starting training)",
            "Upload training data first (at least 5 hours of audio), then change spec.runToken",
            id="model not ready",
        ),
        pytest.param(
            IN_PROGRESS,
            "StartRejected",
            "Training already in progress (training_progress: 45)",
            "Wait for the present training to end.",
            id="training in progress",
        ),
        pytest.param(
            TOO_LITTLE,
            "InsufficientData",
            "Insufficient training data (current_hours: 2.5, required_hours: 5.0)",
            "Upload more training audio (at least 5 hours, better 10 or more)",
            id="insufficient data",
        ),
    ],
)
def test_documents_start_errors_show_figures_and_remedy(
    call: CallFailure, reason: str, events: str, advised: str
) -> None:
    why = rejected_start(call)
    assert (why.reason, why.code, why.retryable) == (reason, call.code, False)
    assert why.message.endswith(events)
    assert why.solution.startswith(advised)


@pytest.mark.parametrize(
    ("call", "advised"),
    [
        pytest.param(
            NOT_READY, "training). Upload training data (at least 5 hours", id="model not ready"
        ),
        pytest.param(
            IN_PROGRESS,
            "45). The requested training starts automatically",
            id="training in progress",
        ),
        pytest.param(
            call_failed(FailureKind.CONFLICT, "HTTP 409: Not now.", code="WEEKEND"),
            "Not now. The operator retries the start automatically.",
            id="unknown text",
        ),
    ],
)
def test_temporarily_refused_start_names_what_it_waits_for(call: CallFailure, advised: str) -> None:
    assert refused_for_now(call).startswith("The API refused the start: HTTP 409")
    assert advised in refused_for_now(call)
    assert "runToken" not in refused_for_now(call)


def test_details_are_bounded_and_absent_ones_omitted() -> None:
    details = {f"detail {n}": "x" * 256 for n in range(32)} | {"none": None, "message": ["odd"]}
    why = rejected_start(call_failed(FailureKind.REJECTED, "HTTP 400: No.", details=details))
    assert why.message.startswith("HTTP 400: No (detail 0: xxx")
    assert len(why.message) == LONG_TEXT // 2
    empty = call_failed(FailureKind.REJECTED, "HTTP 400: No.", details={"none": None})
    assert rejected_start(empty).message == "HTTP 400: No"


@pytest.mark.parametrize(
    ("status", "advised", "not_advised"),
    [
        (401, "Put a valid API key", "billing"),
        (402, "settle the bill or the plan", "valid API key"),
        (403, "give the key the scope custom_models:write and access to the model", "the bill"),
    ],
)
def test_remedy_for_a_key_follows_its_refusal(status: int, advised: str, not_advised: str) -> None:
    call = call_failed(FailureKind.UNAUTHORIZED, f"HTTP {status}: No", status=status)
    why = blocked_call(call, "Secret/team-a/scriptix-api-key/api-key")
    assert why is not None
    assert why.reason == "Unauthorized"
    assert advised in why.solution
    assert not_advised not in why.solution
    assert "key is that of Secret/team-a/scriptix-api-key/api-key" in why.message


def test_unreadable_secret_is_not_reported_as_missing() -> None:
    missing = failure(FailureReason.SECRET_NOT_FOUND, "x").solution
    forbidden = failure(FailureReason.SECRET_NOT_FOUND, "x", cause=Cause.SECRET_FORBIDDEN).solution
    assert "Create the Secret" in missing
    assert "Create" not in forbidden
    assert "verb get" in forbidden


def test_every_solution_fits_into_status_and_ends_as_a_sentence() -> None:
    for advice in FAILURE_CATALOG.values():
        cases = [case.solution for _, case in advice.cases]
        waiting = [case.waiting for _, case in advice.cases if case.waiting]
        for text in (advice.solution, advice.happened, *cases, *waiting):
            assert text.endswith(".")
            assert len(text) <= TEXT


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
def test_key_or_model_id_needs_a_human(kind: FailureKind, reason: str | None) -> None:
    why = blocked_call(call_failed(kind, "HTTP 4xx", code="CODE"))
    assert (why.reason if why else None) == reason
    assert why is None or (why.message, why.code) == ("HTTP 4xx", "CODE")


@given(st.text(st.characters(), max_size=200), st.none() | st.text(st.characters(), max_size=200))
def test_hostile_error_texts_are_bounded(text: str, code: str | None) -> None:
    why = remote_failure(a_model(5, error=text * 60, error_code=code))
    assert len(why.message) <= LONG_TEXT
    assert why.code is None or len(why.code) <= SHORT
