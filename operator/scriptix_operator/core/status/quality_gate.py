"""The quality gate: decimal bounds that a finished run must keep."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from operator import ge, le
from typing import NamedTuple

from scriptix_operator.api.reasons import GateReason
from scriptix_operator.api.spec import UNREADABLE_GATE, QualityGate
from scriptix_operator.api.status import Metrics, Published
from scriptix_operator.core.status.texts import end_texts

__all__ = ["Judgement", "changed_gate", "is_above_bound", "judgement", "lacks_metric"]

Comparison = Callable[[Decimal, Decimal], bool]

WORD_ERROR_RATE = "word error rate"
EXACT = Context(prec=400)
"""For the sum of two percentages: the default precision would round to 28 digits."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a quality gate makes of a finished run."""

    truth: str
    """The status of the condition QualityGatePassed: True, False or Unknown."""
    reason: GateReason
    message: str
    is_enforced: bool
    """Whether the run fails if it misses a bound."""

    @property
    def fails_run(self) -> bool:
        """Whether the run fails by this judgement."""
        return self.is_enforced and self.truth != "True"


class Check(NamedTuple):
    """One bound of a gate and the metric that it bounds."""

    name: str
    value: str | None
    """The metric, a decimal; None: not known."""
    bound: str
    """The bound, a decimal."""
    wanted: str
    """The bound in words."""
    compare: Comparison
    """The comparison that tells whether a value keeps the bound."""
    reason: GateReason
    """The reason of a missed bound."""

    @property
    def is_kept(self) -> bool:
        """Whether the metric keeps the bound; a metric that is not known does not."""
        if self.value is None:
            return False
        try:
            # Compared only: arithmetic would round to 28 digits first.
            return self.compare(Decimal(self.value), Decimal(self.bound))
        except InvalidOperation:  # a status edited by hand
            return False


def judgement(
    gate: QualityGate | None, metrics: Metrics | None, published: Published | None
) -> Judgement | None:
    """Judge a finished run by all bounds of its gate.

    A metric that the API did not give misses its bound: a run of unknown quality does not pass.
    Under DryRun such a run is not judged, unless it misses another bound.

    Args:
        gate: The gate; None: nothing is judged.
        metrics: The metrics of the run.
        published: The result that is published while the run is judged.
    """
    if gate is None:
        return None
    checks = _checks(gate, metrics, published)
    misses = [check for check in checks if not check.is_kept]
    is_enforced = not gate.is_dry_run
    if not misses:
        return Judgement(
            "True", GateReason.BOUNDS_KEPT, end_texts.gate_passed(_described(checks)), is_enforced
        )
    described = _described(misses)
    exceeded = next((check.reason for check in misses if check.value is not None), None)
    if is_enforced:
        reason = exceeded or GateReason.METRIC_MISSING
        return Judgement("False", reason, end_texts.gate_missed(described), is_enforced)
    if exceeded is None:
        text = end_texts.gate_unjudged(described)
        return Judgement("Unknown", GateReason.METRIC_MISSING, text, is_enforced)
    return Judgement("False", exceeded, end_texts.gate_missed_in_dry_run(described), is_enforced)


def changed_gate(gate: QualityGate | None, metrics: Metrics | None) -> str | None:
    """Say which bounds of an edited gate a published result would miss; None: none.

    Unknown metrics, as in the history of an older version, do not count. The published result is
    the one that others are compared with, so it is compared with none itself.
    """
    if gate is None or gate.is_dry_run:
        return None
    misses = [
        check
        for check in _checks(gate, metrics, None)
        if check.value is not None and not check.is_kept
    ]
    return end_texts.gate_changed(_described(misses)) if misses else None


def is_above_bound(
    word_error_rate: str, gate: QualityGate | None, published: Published | None
) -> bool:
    """Whether a word error rate misses a bound of the gate on it."""
    checks = _checks(gate, Metrics(word_error_rate=word_error_rate), published) if gate else []
    return any(check.name == WORD_ERROR_RATE and not check.is_kept for check in checks)


def lacks_metric(gate: QualityGate | None, metrics: Metrics | None) -> bool:
    """Whether the word error rate is missing, or a metric that the gate bounds.

    The bounds of an unreadable gate are not known, so a metric may be missing.
    """
    if gate == UNREADABLE_GATE:
        return True
    if metrics is None or metrics.word_error_rate is None:
        return True
    return gate is not None and any(check.value is None for check in _checks(gate, metrics, None))


def _described(checks: Iterable[Check]) -> str:
    return ", ".join(
        f"{check.name} {'is not given' if check.value is None else f'is {check.value}%'} "
        f"({check.wanted} wanted)"
        for check in checks
    )


def _checks(gate: QualityGate, metrics: Metrics | None, published: Published | None) -> list[Check]:
    """The bounds of a gate."""
    metrics = metrics or Metrics()
    wer, cer, gain = (
        metrics.word_error_rate,
        metrics.character_error_rate,
        metrics.accuracy_improvement,
    )
    checks = []
    if (most := gate.max_word_error_rate) is not None:
        reason = GateReason.MAX_WORD_ERROR_RATE_EXCEEDED
        checks.append(Check(WORD_ERROR_RATE, wer, most, f"at most {most}%", le, reason))
    if (rise := _highest_after_increase(gate, published)) is not None:
        reason = GateReason.MAX_WORD_ERROR_RATE_INCREASE_EXCEEDED
        checks.append(Check(WORD_ERROR_RATE, wer, *rise, le, reason))
    if (most := gate.max_character_error_rate) is not None:
        reason = GateReason.MAX_CHARACTER_ERROR_RATE_EXCEEDED
        checks.append(Check("character error rate", cer, most, f"at most {most}%", le, reason))
    if (least := gate.min_accuracy_improvement) is not None:
        reason = GateReason.MIN_ACCURACY_IMPROVEMENT_MISSED
        checks.append(Check("accuracy improvement", gain, least, f"at least {least}%", ge, reason))
    return checks


def _highest_after_increase(
    gate: QualityGate, published: Published | None
) -> tuple[str, str] | None:
    """The bound by the published result, as a decimal and in words; None: there is none."""
    increase = gate.max_word_error_rate_increase
    before = None if published is None else published.word_error_rate
    if increase is None or before is None:
        return None
    try:
        bound = EXACT.add(Decimal(before), Decimal(increase))
    except InvalidOperation:  # a status edited by hand
        return None
    words = f"at most {increase} percentage points above the published {before}%"
    return (str(bound), words) if bound.is_finite() else None
