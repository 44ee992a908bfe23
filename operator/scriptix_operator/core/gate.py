"""The quality gate: decimal bounds that a finished run must keep."""

from decimal import Decimal, InvalidOperation

from scriptix_operator.api.spec import QualityGate
from scriptix_operator.api.status import Metrics

__all__ = ["missed_gate"]


def missed_gate(gate: QualityGate | None, metrics: Metrics | None) -> str | None:
    """Say which bounds a finished run misses.

    Returns:
        One sentence, or None where it keeps them all. A metric that the API did not give misses
        its bound: an unknown quality is not a good one.
    """
    if gate is None:
        return None
    metrics = metrics or Metrics()
    checks = (
        ("word error rate", metrics.word_error_rate, gate.max_word_error_rate, "at most", 1),
        (
            "character error rate",
            metrics.character_error_rate,
            gate.max_character_error_rate,
            "at most",
            1,
        ),
        (
            "accuracy improvement",
            metrics.accuracy_improvement,
            gate.min_accuracy_improvement,
            "at least",
            -1,
        ),
    )
    misses = [
        f"{name} {'is not given' if value is None else f'is {value}%'} ({words} {bound}% wanted)"
        for name, value, bound, words, sign in checks
        if bound is not None and not _keeps(value, bound, sign)
    ]
    return f"The run misses its quality gate: {', '.join(misses)}." if misses else None


def _keeps(value: str | None, bound: str, sign: int) -> bool:
    if value is None:
        return False
    try:
        return sign * Decimal(value) <= sign * Decimal(bound)
    except InvalidOperation:  # a status edited by hand
        return False
