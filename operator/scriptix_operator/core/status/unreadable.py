"""Resources with values that this version cannot read: from a newer version, or written by hand.

Nothing is started, adopted, retried or cancelled for such a resource. A run whose facts can be read
is followed, without the decisions that need the unreadable field:

- spec.timeoutSeconds: the run does not time out;
- spec.qualityGate: the end of the run is not judged, and so not published;
- spec.log, status.log: no log is fetched;
- spec.backoffLimit: a run that fails is not retried.

A resource whose ESSENTIAL fields cannot be read is not reconciled at all. Unreadable fields are
never written; the derived fields, which are never read as facts, always are.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from scriptix_operator.api.reasons import ConditionType, Reason
from scriptix_operator.api.status import MAX_CONDITIONS, TEXT, ServedBy, TrainingStatus
from scriptix_operator.api.times import format_time
from scriptix_operator.core.model.text import one_line
from scriptix_operator.core.model.training import Training, UnreadableField
from scriptix_operator.core.status.texts import resource_texts

__all__ = [
    "DERIVED",
    "ESSENTIAL",
    "describe_left_alone",
    "describe_unreadable",
    "is_reported",
    "left_alone_patch",
    "may_be_starting",
    "reported_unreadable",
    "server_of",
]

ESSENTIAL = frozenset(
    {
        "spec",
        "spec.modelId",
        "spec.apiKeySecretRef",
        "spec.suspend",
        "status",
        "status.run",
        "status.finishedAt",
        "status.failure",
        "status.metrics",
    }
)
"""Which run is followed, with which key, whether calls may be made, and how the run has ended."""
DERIVED = frozenset(
    {
        "status.observedGeneration",
        "status.phase",
        "status.message",
        "status.repeatedRequest",
        "status.display",
        "status.conditions",
    }
)
"""Fields that are derived from the other fields with each write."""

SHOWN = 3
"""Most fields that a message names."""
PART_LIMIT = 100
"""Characters of a path, and of the expected type: the remedy must not be cut off."""
STATUS_REMEDY = " (status: kubectl edit --subresource=status)"
OUTCOMES = frozenset({"True", "False"})


def describe_unreadable(training: Training) -> str | None:
    """The unreadable fields of a reconciled resource; None: none, or the resource is deleted."""
    if not training.unreadable or training.is_being_deleted:
        return None
    return _text(training.unreadable, resource_texts.effect_resource_followed())


def describe_left_alone(fields: Sequence[UnreadableField]) -> str:
    """The unreadable fields of a resource that is not reconciled."""
    return _text(fields, resource_texts.effect_resource_skipped())


def _text(fields: Sequence[UnreadableField], effect: str) -> str:
    named = [
        f"{one_line(found.path, PART_LIMIT)} ({one_line(found.why, PART_LIMIT)})"
        for found in fields[:SHOWN]
    ]
    more = f" and {len(fields) - SHOWN} more" if len(fields) > SHOWN else ""
    where = STATUS_REMEDY if any(found.top.startswith("status") for found in fields) else ""
    return one_line(resource_texts.unreadable(f"{', '.join(named)}{more}", effect, where), TEXT)


def reported_unreadable(status: TrainingStatus) -> str | None:
    """The text of status about unreadable fields; None: there is none."""
    said = (c.message for c in status.conditions if _is_stalled(c.type, c.reason))
    return next(said, None)


def _is_stalled(kind: object, reason: object) -> bool:
    return kind == ConditionType.STALLED and reason == Reason.UNREADABLE


def is_reported(status: Mapping[str, Any], text: str) -> bool:
    """Whether a status, as the API server gives it, already has this text."""
    conditions = status.get("conditions")
    return isinstance(conditions, list) and any(
        isinstance(one, Mapping)
        and _is_stalled(one.get("type"), one.get("reason"))
        and one.get("message") == text
        for one in conditions
    )


def left_alone_patch(
    status: Mapping[str, Any], generation: int, text: str, now: datetime, installation: str
) -> dict[str, Any]:
    """The merge patch that reports in status why a resource is not reconciled.

    The patch has the conditions of this operator, the message and the generation. An outcome in the
    conditions stays. The patch also names this installation, so that one of another version leaves
    the report alone, unless servedBy cannot be read, or names the installation whose start ledger
    may have a start of this resource: a takeover has to find that name.

    Args:
        status: As the API server gives it.
        generation: metadata.generation.
        text: As describe_left_alone.
        now: UTC.
        installation: This installation.

    Returns:
        The patch; empty where status already has the text, or its conditions are no list.
    """
    before = status.get("conditions", [])
    if not isinstance(before, list):
        return {}
    reported = {"message": text, "observedGeneration": generation}
    most = max(MAX_CONDITIONS, len(before))
    wanted = {**reported, "conditions": list(_conditions(before, reported, now))[:most]}
    patch = {key: value for key, value in wanted.items() if status.get(key) != value}
    if patch and _may_name(status, installation):
        patch["servedBy"] = {"namespace": installation, "renewedAt": format_time(now)}
    return patch


def _may_name(status: Mapping[str, Any], installation: str) -> bool:
    """Whether servedBy may be set in the status of a resource that is not reconciled."""
    if status.get("servedBy") is None:
        return True
    server = server_of(status)
    if server is None:
        return False
    return server.namespace == installation or not may_be_starting(status)


def server_of(status: object) -> ServedBy | None:
    """ServedBy in a status as the API server gives it; None: absent, or it cannot be read."""
    given = status.get("servedBy") if isinstance(status, Mapping) else None
    if given is None:
        return None
    try:
        return ServedBy.model_validate(given)
    except ValidationError:
        return None


def may_be_starting(status: object) -> bool:
    """Whether a status, as the API server gives it, holds an intent, or may hide one."""
    run = status.get("run") if isinstance(status, Mapping) else status
    return run.get("intent") is not None if isinstance(run, Mapping) else run is not None


def _conditions(before: list[Any], reported: Mapping[str, Any], now: datetime) -> Iterator[Any]:
    known = {kind: old for old in before if (kind := _type_of(old)) is not None}
    for kind in (ConditionType.SUCCEEDED, ConditionType.READY, ConditionType.STALLED):
        old = known.get(kind, {})
        if kind is not ConditionType.STALLED and old.get("status") in OUTCOMES:
            yield old
            continue
        truth = "True" if kind is ConditionType.STALLED else "Unknown"
        since = old.get("lastTransitionTime") if old.get("status") == truth else None
        yield {
            **old,
            **reported,
            "type": kind.value,
            "status": truth,
            "reason": Reason.UNREADABLE.value,
            "lastTransitionTime": since or format_time(now),
        }
    yield from (old for old in before if _type_of(old) in {None, ConditionType.QUALITY_GATE_PASSED})


def _type_of(condition: object) -> ConditionType | None:
    """The type of a condition of this operator."""
    kind = condition.get("type") if isinstance(condition, Mapping) else None
    return next((each for each in ConditionType if each == kind), None)
