"""core/status/quality_gate.py: the bounds of spec.qualityGate, exact to the last digit."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.api.spec import QualityGate
from scriptix_operator.api.status import Metrics
from scriptix_operator.core.status.quality_gate import changed_gate, missed_gate

GOOD = Metrics(word_error_rate="12.5", character_error_rate="8.3", accuracy_improvement="18.7")


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
