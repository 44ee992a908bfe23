"""The quality gate: decimal bounds that a finished run must keep."""

from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from operator import ge, le
from typing import NamedTuple

from scriptix_operator.api.spec import UNREADABLE_GATE, QualityGate
from scriptix_operator.api.status import Metrics
from scriptix_operator.core.status.texts import end_texts

__all__ = ["changed_gate", "lacks_metric", "missed_gate"]

Comparison = Callable[[Decimal, Decimal], bool]


class Check(NamedTuple):
    """One bound of a gate and the metric that it bounds."""

    name: str
    value: str | None
    """The metric, a decimal; None: not known."""
    bound: str | None
    """The bound, a decimal; None: there is none."""
    words: str
    """The direction of the bound: at most, or at least."""
    compare: Comparison
    """The comparison that tells whether a value keeps the bound."""


def missed_gate(gate: QualityGate | None, metrics: Metrics | None) -> str | None:
    """Say which bounds a finished run misses.

    Returns:
        One sentence, or None where the run keeps all bounds. A metric that the API did not give
        misses its bound: a run of unknown quality does not pass.
    """
    misses = _misses(_checks(gate, metrics))
    return end_texts.gate_missed(misses) if misses else None


def changed_gate(gate: QualityGate | None, metrics: Metrics | None) -> str | None:
    """Say which bounds of an edited gate a published result would miss; None: none.

    Unknown metrics, as in the history of an older version, do not count.
    """
    misses = _misses(check for check in _checks(gate, metrics) if check.value is not None)
    return end_texts.gate_changed(misses) if misses else None


def _misses(checks: Iterable[Check]) -> str:
    return ", ".join(
        f"{name} {'is not given' if value is None else f'is {value}%'} ({words} {bound}% wanted)"
        for name, value, bound, words, compare in checks
        if bound is not None and not _keeps(value, bound, compare)
    )


def lacks_metric(gate: QualityGate | None, metrics: Metrics | None) -> bool:
    """Whether the word error rate is missing, or a metric that the gate bounds.

    The bounds of an unreadable gate are not known, so a metric may be missing.
    """
    if gate == UNREADABLE_GATE:
        return True
    if metrics is None or metrics.word_error_rate is None:
        return True
    return any(
        bound is not None and value is None for _, value, bound, *_ in _checks(gate, metrics)
    )


def _checks(gate: QualityGate | None, metrics: Metrics | None) -> tuple[Check, ...]:
    """The bounds of a gate."""
    if gate is None:
        return ()
    metrics = metrics or Metrics()
    wer, cer, gain = (
        metrics.word_error_rate,
        metrics.character_error_rate,
        metrics.accuracy_improvement,
    )
    return (
        Check("word error rate", wer, gate.max_word_error_rate, "at most", le),
        Check("character error rate", cer, gate.max_character_error_rate, "at most", le),
        Check("accuracy improvement", gain, gate.min_accuracy_improvement, "at least", ge),
    )


def _keeps(value: str | None, bound: str, compare: Comparison) -> bool:
    if value is None:
        return False
    try:
        # Compared only: arithmetic would round to 28 digits first.
        return compare(Decimal(value), Decimal(bound))
    except InvalidOperation:  # a status edited by hand
        return False
