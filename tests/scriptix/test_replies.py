"""Well-formed and malformed models."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from scriptix_operator.core.model.remote import RemoteMetrics, RemoteModel
from scriptix_operator.core.model.text import clean
from scriptix_operator.scriptix.jsontext import BadReplyError, read_object
from scriptix_operator.scriptix.replies import read_model

MODEL = 7
LEAST: dict[str, object] = {"id": MODEL, "training_status": 2}
EIGHT = datetime(2025, 1, 16, 8, tzinfo=UTC)


def parsed(body: object) -> dict[str, object]:
    return read_object(json.dumps(body).encode(), "", lambda text: text)


def model(**fields: object) -> RemoteModel:
    return read_model(parsed(LEAST | fields), MODEL)


def model_problem(body: dict[str, object]) -> str:
    with pytest.raises(BadReplyError) as caught:
        read_model(parsed(body), MODEL)
    assert caught.value.__cause__ is None
    return str(caught.value)


def test_a_model_with_everything() -> None:
    body = LEAST | {
        "model_key": "custom_model_7",
        "name": "Cardiology",
        "training_status": 4,
        "status_message": "Done",
        "training_progress": 100,
        "started_training_at": "2025-01-16T08:00:00Z",
        "finished_training_at": "2025-01-16T16:00:00Z",
        "updated_at": 12,
        "training_metrics": {"word_error_rate": 12.5, "new_rate": 1},
        "brand": {"new": ["field"]},
    }
    expected = RemoteModel(
        id=MODEL,
        training_status=4,
        key="custom_model_7",
        name="Cardiology",
        status_message="Done",
        progress=100,
        started_at=EIGHT,
        finished_at=EIGHT.replace(hour=16),
        metrics=RemoteMetrics(word_error_rate=Decimal("12.5")),
    )
    assert read_model(parsed(body), MODEL) == expected
    assert read_model(parsed({"result": body, "count": 1}), MODEL) == expected


def test_a_model_with_the_least() -> None:
    assert model() == RemoteModel(id=MODEL, training_status=2)
    nothing = dict.fromkeys(
        ("model_key", "name", "status_message", "training_progress", "started_training_at", "error")
    )
    assert model(**nothing, training_metrics=None) == RemoteModel(id=MODEL, training_status=2)


def test_a_field_called_result_beside_the_model_is_unknown() -> None:
    assert model(result={"id": 9, "training_status": 5}).training_status == 2


@pytest.mark.parametrize("status", [0, 1, 6, -1, 99, 2**53 - 1])
def test_an_unknown_status_is_kept(status: int) -> None:
    assert model(training_status=status).training_status == status


@pytest.mark.parametrize("value", [3, 3.0, "3", " 3 ", "3.0", "+3"])
def test_whole_numbers_in_other_spellings(value: object) -> None:
    assert model(training_status=value).training_status == 3


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, "null"),
        (True, "true"),
        (3.5, "number 3.5"),
        ("three", 'text "three"'),
        ("", 'text ""'),
        ([3], "a list"),
        ({"id": 3}, "an object"),
        (2**53, f"number {2**53}"),
        (10**25, "number NaN"),
        (1e300, "number 1E+300"),
        ("x" * 1000, f'text "{"x" * 39}…"'),
        ("٣", 'text "٣"'),
    ],
)
def test_a_mistyped_status_is_named(value: object, found: str) -> None:
    assert model_problem(LEAST | {"training_status": value}) == (
        f"reply has no usable model: training_status: expected a whole number, found {found}"
    )


def test_missing_fields_are_named() -> None:
    assert model_problem({}) == "reply has no usable model: id: missing; training_status: missing"
    assert model_problem({"result": None}).endswith("id: missing; training_status: missing")


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("model_key", 12, "expected a text, found number 12"),
        ("name", ["x"], "expected a text, found a list"),
        ("status_message", {}, "expected a text, found an object"),
        ("training_progress", "half", 'expected a percentage, found text "half"'),
        ("training_progress", True, "expected a percentage, found true"),
        ("training_progress", [], "expected a percentage, found a list"),
        ("started_training_at", "16.01.2025", "expected a time such as 2025-01-16T08:00:00Z, fou"),
        ("finished_training_at", "yesterday", "expected a time such as 2025-01-16T08:00:00Z, fou"),
        ("failed_at", True, "expected a time such as 2025-01-16T08:00:00Z, found true"),
        ("training_metrics", "12.5", 'expected an object, found text "12.5"'),
    ],
)
def test_unreadable_field_counts_as_missing_and_is_named(
    field: str, value: object, expected: str
) -> None:
    seen = model(**{field: value})
    assert (seen.id, seen.training_status) == (MODEL, 2)
    assert seen.unreadable == (field,)
    assert (seen.flaw or "").startswith(f"{field}: {expected}")
    assert seen.is_start_time_unreadable == (field == "started_training_at")
    unnamed = replace(seen, unreadable=(), flaw=None, is_start_time_unreadable=False)
    assert unnamed == RemoteModel(id=MODEL, training_status=2)


def test_readable_fields_beside_unreadable_ones_are_kept() -> None:
    seen = model(training_progress="half", name="Cardiology", started_training_at=[0])
    assert (seen.name, seen.progress, seen.started_at) == ("Cardiology", None, None)
    assert seen.unreadable == ("started_training_at", "training_progress")


@pytest.mark.parametrize("value", [None, "", " "])
def test_empty_field_is_missing_and_not_named(value: object) -> None:
    names = ("name", "training_progress", "started_training_at", "failed_at", "training_metrics")
    assert model(**dict.fromkeys(names, value)) in {
        RemoteModel(id=MODEL, training_status=2),
        RemoteModel(id=MODEL, training_status=2, name=" "),
    }


def test_a_message_is_bounded_however_much_is_wrong() -> None:
    wrong = dict.fromkeys(("id", "training_status"), "x" * 1000)
    assert len(model_problem(LEAST | wrong)) == 200
    names = ("training_progress", "failed_at", "started_training_at", "name")
    assert len(model(**dict.fromkeys(names, 1 << 60)).flaw or "") == 200


def test_another_models_reply_is_refused() -> None:
    assert model_problem(LEAST | {"id": 8}) == "reply is about model 8, not 7"


@pytest.mark.parametrize(
    ("value", "progress"),
    [
        (45, 45),
        (45.9, 45),
        ("45", 45),
        ("45%", 45),
        ("45.9 %", 45),
        (-0.5, -1),
        (140, 140),
        (None, None),
    ],
)
def test_progress_is_as_given_but_whole(value: object, progress: int | None) -> None:
    assert model(training_progress=value).progress == progress


@pytest.mark.parametrize(("status", "hour"), [(4, 16), (5, 12), (3, 16), (9, 16)])
def test_end_time_is_chosen_by_the_status(status: int, hour: int) -> None:
    ends = {"finished_training_at": "2025-01-16T16:00:00Z", "failed_at": "2025-01-16T12:00:00Z"}
    assert model(training_status=status, **ends).finished_at == EIGHT.replace(hour=hour)


def test_failed_run_ignores_the_end_of_an_earlier_success() -> None:
    ends = {"finished_training_at": "2025-01-16T16:00:00Z"}
    assert model(training_status=5, **ends).finished_at is None


@pytest.mark.parametrize(
    ("value", "text", "code"),
    [
        (None, None, None),
        ("", None, None),
        ({}, None, None),
        ([], None, None),
        (False, None, None),
        ("Audio and transcript mismatch", "Audio and transcript mismatch", None),
        ({"message": "No", "error_code": "X", "code": "Y"}, "No", "X"),
        ({"error": "No", "code": 12}, "No", "12"),
        ({"message": "", "error": "No"}, "No", None),
        ({"message": "No", "code": ["X"]}, "No", None),
        ({"message": 5}, '{"message": 5}', None),
        (["a", 1.5], '["a", "1.5"]', None),
        (True, "true", None),
    ],
)
def test_error_of_any_type_is_read_as_text(
    value: object, text: str | None, code: str | None
) -> None:
    seen = model(training_status=5, error=value)
    assert (seen.error, seen.error_code) == (text, code)


def test_lone_surrogates_are_accepted_and_can_be_cleaned() -> None:
    body = read_object(b'{"id": 7, "training_status": 2, "name": "\\ud800x"}', "", str)
    name = read_model(body, MODEL).name
    assert name is not None
    assert name == "\ud800x"
    assert clean(name, 10).encode().endswith(b"x")


@pytest.mark.parametrize(
    ("value", "metric"),
    [
        (12.5, "12.5"),
        (0.1, "0.1"),
        (120, "120"),
        ("12.50", "12.50"),
        (0, "0"),
        (1e-7, "1E-7"),
        (-1, None),
        (None, None),
        (True, None),
        ("12.5%", "12.5"),
        ("12,5", None),
        ("NaN", None),
        (float("nan"), None),
        (float("inf"), None),
        (1e10, None),
        (1e-10, None),
        ([], None),
    ],
)
def test_a_metric_is_a_sane_number_or_missing(value: object, metric: str | None) -> None:
    rates = {"word_error_rate": value, "character_error_rate": 8.3}
    metrics = model(training_metrics=rates).metrics
    assert metrics is not None
    assert metrics.word_error_rate == (None if metric is None else Decimal(metric))
    assert metrics.character_error_rate == Decimal("8.3")
    named = () if metric or value is None else ("training_metrics.word_error_rate",)
    assert model(training_metrics=rates).unreadable == named


def test_a_metric_of_endless_digits_is_missing() -> None:
    body = b'{"id": 7, "training_status": 4, "training_metrics": {"training_hours": 1.%s}}'
    metrics = read_model(read_object(body % (b"3" * 40), "", str), MODEL).metrics
    assert metrics == RemoteMetrics()


def test_only_the_improvement_may_be_negative() -> None:
    names = list(RemoteMetrics.__dataclass_fields__)
    metrics = model(training_metrics=dict.fromkeys(names, -2.5)).metrics
    assert metrics == RemoteMetrics(accuracy_improvement=Decimal("-2.5"))
    metrics = model(training_metrics=dict(zip(names, range(1, 7), strict=True))).metrics
    assert metrics == RemoteMetrics(*(Decimal(n) for n in range(1, 7)))


@pytest.mark.parametrize("value", ["12.5", 12.5, False, ["12.5"]])
def test_metrics_that_are_no_object_are_missing(value: object) -> None:
    assert model(training_status=4, training_metrics=value).metrics is None


def test_php_empty_object_is_no_metrics() -> None:
    assert model(training_metrics=[]) == RemoteModel(id=MODEL, training_status=2)
