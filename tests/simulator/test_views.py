"""Replies with a model or its log, at a given time."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from scriptix_simulator.model import Model, begin, change, create
from scriptix_simulator.scripts import (
    DOCUMENT_METRICS,
    ModelChange,
    ModelScript,
    OutcomeName,
    ProgressStep,
)
from scriptix_simulator.units import TimeForm
from scriptix_simulator.views import log_body, model_body, started_body

NOW = 1_737_014_400.0
SPEED = 480.0
RUN = 60.0
HOUR = RUN / 8


def made(script: ModelScript | None = None) -> Model:
    return create(123, script or ModelScript(), NOW, SPEED)


def begun(script: ModelScript | None = None) -> Model:
    return begin(made(script), NOW, SPEED, "key")


def entries(model: Model, now: float) -> list[Any]:
    found = log_body(model, now)["log_entries"]
    assert isinstance(found, list)
    return found


def test_the_reply_to_a_start_is_that_of_the_document() -> None:
    script = ModelScript(name="Medical Cardiology EN")
    assert started_body(begun(script), NOW) == {
        "id": 123,
        "model_key": "custom_model_123",
        "name": "Medical Cardiology EN",
        "description": "",
        "language": "en",
        "base_model": "base_en_v3",
        "training_status": 3,
        "status_message": "Training started successfully",
        "training_progress": 0,
        "started_training_at": "2025-01-16T08:00:00Z",
        "created_at": "2025-01-16T08:00:00Z",
        "updated_at": "2025-01-16T08:00:00Z",
    }


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("seconds", "2025-01-16T08:00:00Z"),
        ("minutes", "2025-01-16T08:00Z"),
        ("naive", "2025-01-16 08:00:00"),
        ("rfc1123", "Thu, 16 Jan 2025 08:00:00 GMT"),
        ("epoch", 1_737_014_400),
        ("milliseconds", 1_737_014_400_000),
        ("local", "16.01.25 08:00:00"),
    ],
)
def test_times_are_written_in_the_form_of_the_script(form: TimeForm, written: object) -> None:
    model = begun(ModelScript(time_form=form))
    assert model_body(model, NOW)["started_training_at"] == written
    assert entries(model, NOW)[0]["timestamp"] == written
    ended = change(model, ModelChange(fail="mismatch"), NOW, SPEED)
    body = model_body(ended, NOW)
    assert (body["finished_training_at"], body["failed_at"]) == (written, written)


@pytest.mark.parametrize("offset", [1, -1])
def test_only_the_reply_to_a_start_has_its_start_time_offset(offset: int) -> None:
    model = begun(ModelScript(reply_start_offset=offset, time_form="epoch"))
    assert started_body(model, NOW)["started_training_at"] == NOW + offset
    assert model_body(model, NOW)["started_training_at"] == NOW


def test_a_model_that_was_never_run_shows_no_run() -> None:
    body = model_body(made(), NOW)
    assert (body["training_status"], body["status_message"]) == (2, "Ready to run")
    shown = {"training_progress", "started_training_at", "finished_training_at", "error"}
    assert not shown & body.keys()


def test_a_running_model_shows_its_progress_in_whole_percent() -> None:
    body = model_body(begun(), NOW + 3.1 * HOUR)
    assert (body["training_progress"], body["status_message"]) == (41, "Main training")


def test_progress_and_log_keep_to_the_script_s_timeline() -> None:
    model = begun(ModelScript(timeline=((0, 0), (6, 10), (10, 100))))
    at_ten = NOW + 0.6 * RUN
    body = model_body(model, at_ten - 0.001), model_body(model, at_ten + 0.001)
    assert [one["status_message"] for one in body] == [
        "Data preprocessing",
        "Initial training epochs",
    ]
    logged = [entries(model, at)[-1]["message"] for at in (at_ten - 0.001, at_ten + 0.001)]
    assert logged == ["Epoch 1/20 - step 6/6 - loss: 3.6000", "Training epoch 1/20 - WER: 45.2%"]


def test_a_success_shows_the_metrics_of_the_document() -> None:
    body = model_body(begun(), NOW + 2 * RUN)
    assert body["training_status"] == 4
    assert body["training_progress"] == 100
    assert body["training_metrics"] == DOCUMENT_METRICS
    assert body["finished_training_at"] == body["updated_at"] == "2025-01-16T08:01:00Z"
    assert "error" not in body


def test_metrics_may_be_others_or_missing() -> None:
    other: dict[str, JsonValue] = {"word_error_rate": "n/a"}
    assert model_body(begun(ModelScript(metrics=other)), NOW + RUN)["training_metrics"] == other
    assert "training_metrics" not in model_body(begun(ModelScript(metrics=None)), NOW + RUN)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (ModelScript(outcome=("system_error",), error="boom"), "boom"),
        (
            ModelScript(outcome=("system_error",), error="boom", error_form="object"),
            {"code": "TRAINING_FAILED", "message": "boom"},
        ),
        (ModelScript(outcome=("system_error",), error="boom", error_form="null"), None),
    ],
)
def test_a_failure_shows_its_error_and_no_progress(script: ModelScript, error: JsonValue) -> None:
    body = model_body(begun(script), NOW + RUN)
    assert (body["training_status"], body["error"]) == (5, error)
    assert body["failed_at"] == "2025-01-16T08:00:36Z"
    assert "training_progress" not in body


def test_results_are_shown_after_the_end() -> None:
    success = begun(ModelScript(results_after=1))
    failure = begun(
        ModelScript(outcome=("system_error",), error="boom", results_after=1, fail_at=100)
    )
    bodies = [model_body(model, NOW + RUN + HOUR - 1) for model in (success, failure)]
    assert [body["training_status"] for body in bodies] == [4, 5]
    assert all("finished_training_at" in body for body in bodies)
    assert not {"training_metrics", "error"} & (bodies[0].keys() | bodies[1].keys())
    assert bodies[1]["status_message"] == ""
    assert model_body(success, NOW + RUN + HOUR)["training_metrics"] == DOCUMENT_METRICS
    late = model_body(failure, NOW + RUN + HOUR)
    assert (late["error"], late["status_message"]) == ("boom", "Training failed")


def test_new_data_keeps_only_the_run_start_time() -> None:
    model = change(begun(), ModelChange(status=2), NOW + 2 * RUN, SPEED)
    body = model_body(model, NOW + 2 * RUN)
    assert body["training_status"] == 2
    assert body["started_training_at"] == "2025-01-16T08:00:00Z"
    assert body["updated_at"] == "2025-01-16T08:02:00Z"
    assert not {"training_metrics", "training_progress"} & body.keys()


def test_progress_can_be_scripted() -> None:
    steps = (
        ProgressStep(at=2, value="20%"),
        ProgressStep(at=3, omit=True),
        ProgressStep(at=4),
        ProgressStep(at=5, value=None),
    )
    model = begun(ModelScript(progress_steps=steps))
    at = {hour: model_body(model, NOW + (hour + 0.01) * HOUR) for hour in (1, 2, 3, 4, 5)}
    assert at[1]["training_progress"] == 16
    assert at[2]["training_progress"] == "20%"
    assert "training_progress" not in at[3]
    assert at[4]["training_progress"] == 50
    assert at[5]["training_progress"] is None


def test_fields_can_be_overridden_and_omitted() -> None:
    script = ModelScript(extra={"name": 5, "region": "eu"}, omit=("id", "status_message"))
    body = model_body(begun(script), NOW)
    assert (body["name"], body["region"]) == (5, "eu")
    assert not {"id", "status_message"} & body.keys()
    assert "status_message" not in started_body(begun(script), NOW)


def test_without_a_run_the_log_is_empty() -> None:
    assert log_body(made(), NOW) == {"model_id": 123, "log_entries": [], "total_entries": 0}


def test_a_complete_log_ends_as_the_documents_does() -> None:
    body = log_body(begun(), NOW + 2 * RUN)
    assert body["total_entries"] == 156
    assert entries(begun(), NOW)[0] == {
        "timestamp": "2025-01-16T08:00:00Z",
        "level": "info",
        "message": "Training started",
    }
    assert entries(begun(), NOW + RUN)[-1] == {
        "timestamp": "2025-01-16T08:01:00Z",
        "level": "info",
        "message": "Training completed - Final WER: 12.5%",
    }


def test_the_log_of_a_failure_ends_with_its_message() -> None:
    model = begun(ModelScript(outcome=("mismatch",)))
    last = entries(model, NOW + RUN)[-1]
    assert (last["level"], last["message"]) == ("error", "Audio and transcript mismatch detected")
    assert not any("WER" in entry["message"] for entry in entries(model, NOW + RUN))


@given(st.floats(0, 70), st.floats(0, 70), st.sampled_from(get_args(OutcomeName)))
def test_a_log_only_grows(one: float, other: float, outcome: OutcomeName) -> None:
    model = begun(ModelScript(outcome=(outcome,)))
    earlier = entries(model, NOW + min(one, other))
    later = entries(model, NOW + max(one, other))
    assert later[: len(earlier)] == earlier
    stamps = [entry["timestamp"] for entry in later]
    assert stamps == sorted(stamps)


def test_the_log_is_that_of_the_newest_run() -> None:
    model = begin(begun(), NOW + 2 * RUN, SPEED, "key")
    assert [entry["timestamp"] for entry in entries(model, NOW + 2 * RUN)] == [
        "2025-01-16T08:02:00Z"
    ]


def test_log_lines_can_be_long_and_the_reply_odd() -> None:
    model = begun(ModelScript(log_line_bytes=100, log_extra={"total_entries": "many"}))
    assert len(entries(model, NOW)[0]["message"]) == 100
    assert log_body(model, NOW)["total_entries"] == "many"


def test_no_time_precedes_a_delayed_run_start_time() -> None:
    model = begin(begun(), NOW, SPEED, "key")
    model = change(model, ModelChange(fail="mismatch"), NOW, SPEED)
    body = model_body(model, NOW)
    start_time = "2025-01-16T08:00:01Z"
    assert body["started_training_at"] == body["failed_at"] == body["updated_at"] == start_time
    assert {entry["timestamp"] for entry in entries(model, NOW)} == {start_time}


@given(
    st.floats(1, 5000),
    st.floats(0, 100),
    st.sampled_from(get_args(OutcomeName)),
    st.floats(0, 1),
)
def test_nothing_is_dated_before_the_start_or_after_now(
    speed: float, elapsed: float, outcome: OutcomeName, fraction: float
) -> None:
    model = begin(made(ModelScript(outcome=(outcome,))), NOW + fraction, speed, "key")
    body = model_body(model, NOW + fraction + elapsed)
    stamps = [entry["timestamp"] for entry in entries(model, NOW + fraction + elapsed)]
    stamps += [body.get("finished_training_at"), body["updated_at"]]
    latest = model_body(create(1, ModelScript(), NOW + fraction + elapsed, speed), NOW)[
        "created_at"
    ]
    assert isinstance(latest, str)
    started = body["started_training_at"]
    assert isinstance(started, str)
    assert all(started <= stamp <= latest for stamp in stamps if stamp is not None)
