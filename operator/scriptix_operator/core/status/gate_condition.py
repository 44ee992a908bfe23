"""The condition QualityGatePassed: the judgement of the run in status.

The condition is no function of the other facts: the published result that a run was compared with
is replaced when the run is published itself, and an edited gate applies from the next run on. So
the condition is recorded when the gate is judged, and kept until the next run begins.
"""

from collections.abc import Iterable
from datetime import datetime

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import ConditionType
from scriptix_operator.api.status import Condition, TrainingStatus
from scriptix_operator.core.status.quality_gate import Judgement

__all__ = ["gate_condition", "stamped", "with_judgement", "without_judgement"]


def gate_condition(conditions: Iterable[Condition]) -> Condition | None:
    """The condition QualityGatePassed; None: no gate was judged."""
    kind = ConditionType.QUALITY_GATE_PASSED
    return next((condition for condition in conditions if condition.type == kind), None)


def without_judgement(conditions: Iterable[Condition]) -> tuple[Condition, ...]:
    """The conditions without QualityGatePassed, as for a run that is not judged yet."""
    kind = ConditionType.QUALITY_GATE_PASSED
    return tuple(condition for condition in conditions if condition.type != kind)


def with_judgement(status: TrainingStatus, found: Judgement | None) -> TrainingStatus:
    """With the judgement of the run as a condition; None: without one, as there is no gate.

    `derive_status` adds the generation, and the time of a new status.
    """
    before, others = gate_condition(status.conditions), without_judgement(status.conditions)
    if found is None:
        return status if before is None else replace(status, conditions=others)
    known = before or Condition(type=ConditionType.QUALITY_GATE_PASSED.value)
    is_same = known.status == found.truth
    condition = replace(
        known,
        status=found.truth,
        reason=found.reason.value,
        message=found.message,
        observed_generation=0,
        last_transition_time=known.last_transition_time if is_same else None,
    )
    return replace(status, conditions=(*others, condition))


def stamped(condition: Condition, generation: int, now: datetime) -> Condition:
    """With the generation whose gate was judged, and the time of the judgement, if new."""
    return replace(
        condition,
        observed_generation=condition.observed_generation or generation,
        last_transition_time=condition.last_transition_time or now.replace(microsecond=0),
    )
