"""core/status/quality_gate.py: the bounds of spec.qualityGate, exact to the last digit."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.api.spec import GateMode, QualityGate
from scriptix_operator.api.status import Metrics, Published
from scriptix_operator.core.status.quality_gate import (
    Judgement,
    changed_gate,
    is_above_bound,
    judgement,
)

PUBLISHED = Published(run_id="run-0", model_key="key", word_error_rate="12.5")
GOOD = Metrics(word_error_rate="12.5", character_error_rate="8.3", accuracy_improvement="18.7")


def judged(
    gate: QualityGate | None, metrics: Metrics | None, published: Published | None = None
) -> Judgement:
    """The judgement by a gate."""
    found = judgement(gate, metrics, published)
    assert found is not None
    return found


def missed_gate(gate: QualityGate | None, metrics: Metrics | None) -> str | None:
    """The message of a run that fails by its gate; None: the run does not fail."""
    found = judgement(gate, metrics, None)
    return found.message if found is not None and found.fails_run else None


@pytest.mark.parametrize(
    ("gate", "missed"),
    [
        pytest.param(None, False, id="no gate"),
        pytest.param(QualityGate(max_word_error_rate="12.5"), False, id="WER equal"),
        pytest.param(QualityGate(max_word_error_rate="12.5000"), False, id="WER equal, spelt long"),
        pytest.param(QualityGate(max_word_error_rate="12.4999"), True, id="WER just above"),
        pytest.param(QualityGate(max_word_error_rate="100"), False, id="numbers, not texts"),
        pytest.param(QualityGate(max_character_error_rate="8.3"), False, id="CER equal"),
        pytest.param(QualityGate(max_character_error_rate="8.2"), True, id="CER above"),
        pytest.param(QualityGate(min_accuracy_improvement="18.7"), False, id="improvement equal"),
        pytest.param(QualityGate(min_accuracy_improvement="18.7001"), True, id="just below"),
        pytest.param(QualityGate(min_accuracy_improvement="5"), False, id="improvement above"),
        pytest.param(
            QualityGate(max_word_error_rate="15", min_accuracy_improvement="20"),
            True,
            id="one of two",
        ),
    ],
)
def test_a_run_misses_its_gate_by_any_bound(gate: QualityGate | None, missed: bool) -> None:  # noqa: FBT001 - the expected value
    assert (missed_gate(gate, GOOD) is not None) == missed


@pytest.mark.parametrize(
    "gate",
    [
        QualityGate(max_word_error_rate="100"),
        QualityGate(max_character_error_rate="100"),
        QualityGate(min_accuracy_improvement="0"),
    ],
    ids=["WER", "CER", "improvement"],
)
@pytest.mark.parametrize("metrics", [None, Metrics()], ids=["no metrics", "none of them"])
def test_an_unknown_quality_is_not_a_good_one(gate: QualityGate, metrics: Metrics | None) -> None:
    assert "is not given" in (missed_gate(gate, metrics) or "")


def test_the_message_names_each_missed_bound_and_no_other() -> None:
    gate = QualityGate(
        max_word_error_rate="12.4", max_character_error_rate="9", min_accuracy_improvement="20"
    )
    assert missed_gate(gate, GOOD) == (
        "The run misses its quality gate: word error rate is 12.5% (at most 12.4% wanted), "
        "accuracy improvement is 18.7% (at least 20% wanted)."
    )


def test_all_missed_bounds_and_missing_metrics_are_named() -> None:
    gate = QualityGate(
        max_word_error_rate="12.4999", max_character_error_rate="8.2", min_accuracy_improvement="5"
    )
    metrics = Metrics(word_error_rate="12.5", character_error_rate="8.2001")
    assert missed_gate(gate, metrics) == (
        "The run misses its quality gate: word error rate is 12.5% (at most 12.4999% wanted), "
        "character error rate is 8.2001% (at most 8.2% wanted), accuracy improvement is not given "
        "(at least 5% wanted)."
    )


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        pytest.param("0.3", "0.3000", id="0.1 + 0.2 as floats would miss"),
        pytest.param("12.5", "12.5", id="the same text"),
        pytest.param("0012.50", "12.5", id="other spellings"),
        pytest.param("1.25E+1", "12.5", id="with an exponent"),
        pytest.param("0", "0", id="nothing"),
        pytest.param("999.9999", "999.9999", id="the largest bound"),
    ],
)
def test_equal_passes_for_each_kind_of_bound(value: str, bound: str) -> None:
    gate = QualityGate(
        max_word_error_rate=bound, max_character_error_rate=bound, min_accuracy_improvement=bound
    )
    metrics = Metrics(word_error_rate=value, character_error_rate=value, accuracy_improvement=value)
    assert missed_gate(gate, metrics) is None


TINY = "0" * 28 + "1"


def test_difference_counts_in_any_digit() -> None:
    """32 digits of a metric are read; decimal arithmetic would round them to 28."""
    word = QualityGate(max_word_error_rate="12.5")
    assert missed_gate(word, Metrics(word_error_rate=f"12.5{TINY}")) is not None
    gain = QualityGate(min_accuracy_improvement="12.5")
    assert missed_gate(gain, Metrics(accuracy_improvement=f"12.4{'9' * 29}")) is not None
    assert missed_gate(gain, Metrics(accuracy_improvement=f"12.5{TINY}")) is None


@pytest.mark.parametrize("value", ["many", "NaN", ""], ids=["words", "not a number", "empty"])
def test_a_metric_that_is_no_number_misses(value: str) -> None:
    gate = QualityGate(max_word_error_rate="100")
    assert missed_gate(gate, Metrics(word_error_rate=value)) is not None


@given(st.decimals("0", "999", places=4), st.decimals("0", "999", places=4))
def test_the_gate_compares_as_decimals_do(value: Decimal, bound: Decimal) -> None:
    word = QualityGate(max_word_error_rate=str(bound))
    gain = QualityGate(min_accuracy_improvement=str(bound))
    metrics = Metrics(word_error_rate=str(value), accuracy_improvement=str(value))
    assert (missed_gate(word, metrics) is None) == (value <= bound)
    assert (missed_gate(gain, metrics) is None) == (value >= bound)


def test_a_negative_improvement_misses_a_gate_of_nothing() -> None:
    gate = QualityGate(min_accuracy_improvement="0")
    assert missed_gate(gate, Metrics(accuracy_improvement="-0.1")) is not None


def test_changed_gate_names_no_metric_that_is_not_known() -> None:
    gate = QualityGate(max_word_error_rate="12.5", max_character_error_rate="10")
    assert changed_gate(gate, Metrics(word_error_rate="12.5")) is None
    changed = changed_gate(gate, Metrics(word_error_rate="12.6"))
    assert changed is not None
    assert changed.endswith(
        "misses the changed gate: word error rate is 12.6% (at most 12.5% wanted)."
    )


DRY_RUN = GateMode.DRY_RUN


@pytest.mark.parametrize(
    ("increase", "value", "truth"),
    [
        pytest.param("0.5", "13", "True", id="equal passes"),
        pytest.param("0.5", "13.0", "True", id="equal, spelt long"),
        pytest.param("0.5", f"13.{TINY}", "False", id="above in any digit"),
        pytest.param("0", "12.5", "True", id="no increase"),
        pytest.param("0", "12.6", "False", id="no increase is accepted"),
        pytest.param("0", "9", "True", id="better"),
        pytest.param("0.5", None, "False", id="of unknown quality"),
    ],
)
def test_gate_compares_with_the_published_result(
    increase: str, value: str | None, truth: str
) -> None:
    gate = QualityGate(max_word_error_rate_increase=increase)
    assert judged(gate, Metrics(word_error_rate=value), PUBLISHED).truth == truth


def test_sum_of_rate_and_increase_is_exact() -> None:
    gate = QualityGate(max_word_error_rate_increase="0.5")
    published = Published(run_id="run-0", word_error_rate=f"12.5{TINY}")
    assert judged(gate, Metrics(word_error_rate=f"13.0{TINY}"), published).truth == "True"


@pytest.mark.parametrize(
    "published",
    [
        pytest.param(None, id="nothing"),
        pytest.param(Published(run_id="run-0"), id="no word error rate"),
        pytest.param(Published(run_id="run-0", word_error_rate="many"), id="no number"),
        pytest.param(Published(run_id="run-0", word_error_rate="NaN"), id="NaN"),
    ],
)
def test_run_passes_an_increase_without_a_published_rate(published: Published | None) -> None:
    gate = QualityGate(max_word_error_rate_increase="0")
    found = judged(gate, Metrics(word_error_rate="99"), published)
    assert (found.truth, found.message) == ("True", "The run passes its quality gate.")


@pytest.mark.parametrize(
    ("bound", "reason", "message"),
    [
        (
            {"max_word_error_rate": "12.4"},
            "MaxWordErrorRateExceeded",
            "word error rate is 12.5% (at most 12.4% wanted)",
        ),
        (
            {"max_word_error_rate_increase": "2"},
            "MaxWordErrorRateIncreaseExceeded",
            "word error rate is 12.5% (at most 2 percentage points above the published 9% wanted)",
        ),
        (
            {"max_character_error_rate": "8"},
            "MaxCharacterErrorRateExceeded",
            "character error rate is 8.3% (at most 8% wanted)",
        ),
        (
            {"min_accuracy_improvement": "20"},
            "MinAccuracyImprovementMissed",
            "accuracy improvement is 18.7% (at least 20% wanted)",
        ),
    ],
)
def test_missed_gate_names_the_bound_and_both_numbers(
    bound: dict[str, str], reason: str, message: str
) -> None:
    published = Published(run_id="run-0", word_error_rate="9")
    found = judged(QualityGate.model_validate(bound), GOOD, published)
    assert (found.truth, found.reason, found.fails_run) == ("False", reason, True)
    assert found.message == f"The run misses its quality gate: {message}."


@pytest.mark.parametrize(
    ("metrics", "truth", "reason"),
    [
        pytest.param(GOOD, "False", "MaxWordErrorRateExceeded", id="a bound is missed"),
        pytest.param(None, "Unknown", "MetricMissing", id="no metrics"),
        pytest.param(
            Metrics(word_error_rate="9"), "Unknown", "MetricMissing", id="one metric is missing"
        ),
        pytest.param(Metrics(word_error_rate="99"), "False", "MaxWordErrorRateExceeded", id="both"),
        pytest.param(
            Metrics(word_error_rate="9", character_error_rate="9"), "True", "BoundsKept", id="kept"
        ),
    ],
)
def test_dry_run_judges_and_fails_no_run(metrics: Metrics | None, truth: str, reason: str) -> None:
    gate = QualityGate(max_word_error_rate="10", max_character_error_rate="10", mode=DRY_RUN)
    found = judged(gate, metrics)
    assert (found.truth, found.reason, found.fails_run) == (truth, reason, False)


def test_missing_metric_misses_an_enforced_gate() -> None:
    found = judged(QualityGate(max_word_error_rate="10", mode=GateMode.ENFORCE), None)
    assert (found.truth, found.reason, found.fails_run) == ("False", "MetricMissing", True)


def test_passed_gate_names_the_numbers() -> None:
    assert judged(QualityGate(max_word_error_rate="15"), GOOD).message == (
        "The run passes its quality gate: word error rate is 12.5% (at most 15% wanted)."
    )


def test_edited_gate_is_not_said_to_change_the_result_in_dry_run() -> None:
    assert changed_gate(QualityGate(max_word_error_rate="9", mode=DRY_RUN), GOOD) is None


@pytest.mark.parametrize(
    ("gate", "is_above"),
    [
        (None, False),
        (QualityGate(max_character_error_rate="9"), False),
        (QualityGate(max_word_error_rate="14"), False),
        (QualityGate(max_word_error_rate="13.9"), True),
        (QualityGate(max_word_error_rate_increase="1.5"), False),
        (QualityGate(max_word_error_rate_increase="1.4"), True),
        (QualityGate(max_word_error_rate="15", max_word_error_rate_increase="1.4"), True),
    ],
)
def test_rate_is_above_the_narrower_bound(gate: QualityGate | None, *, is_above: bool) -> None:
    assert is_above_bound("14.0", gate, PUBLISHED) == is_above
