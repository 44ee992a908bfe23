"""Parses a CustomModelTraining of the API server.

A newer operator, another tool or a user may have written what this version does not know. A field
that cannot be read is named, and the others are read all the same.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from scriptix_operator.api.base import ApiModel, replace
from scriptix_operator.api.names import REQUESTED_AT_ANNOTATION
from scriptix_operator.api.reasons import ConditionType
from scriptix_operator.api.spec import UNREADABLE_GATE, TrainingSpec
from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.api.times import parse_time
from scriptix_operator.core.model.training import Training, TrainingKey, UnreadableField
from scriptix_operator.core.status.unreadable import DERIVED, ESSENTIAL, describe_left_alone
from scriptix_operator.kube.sharing import share_parts

__all__ = ["Raw", "UnreadableError", "key_of", "parse_training"]

Raw = Mapping[str, Any]
"""A resource as the API server returns it."""

OWN_CONDITIONS = frozenset(ConditionType)
GATE = "qualityGate"
NO_BOUND = UnreadableField(f"spec.{GATE}", f"spec.{GATE}", "no bound that this version knows")
UNKNOWN_FIELD = "extra_forbidden"
"""pydantic's error type of a field that a model neither has nor ignores."""

Part = TypeVar("Part", bound=ApiModel)


class UnreadableError(ValueError):
    """A resource of which too little can be read to reconcile it; it is skipped.

    Attributes:
        fields: The fields that cannot be read.
        text: The same as text, for users.
    """

    def __init__(self, key: TrainingKey, fields: Sequence[UnreadableField]) -> None:
        self.fields = tuple(fields)
        self.text = describe_left_alone(fields)
        super().__init__(f"{key}: {self.text}")


def key_of(raw: Raw) -> TrainingKey:
    """namespace/name of a raw resource."""
    metadata = raw["metadata"]
    return TrainingKey(metadata["namespace"], metadata["name"])


def parse_training(raw: Raw) -> Training:
    """Parse a resource; `unreadable` names the fields that cannot be read.

    Raises:
        UnreadableError: A field cannot be read that a reconcile needs.
    """
    metadata = raw["metadata"]
    given, foreign = _without_foreign(raw.get("status") or {})
    spec, unreadable = _read(TrainingSpec, raw.get("spec") or {}, "spec")
    status, more = _read(TrainingStatus, given, "status")
    unreadable += more
    if spec is None or status is None:
        raise UnreadableError(key_of(raw), unreadable)
    if spec.quality_gate is not None and not spec.quality_gate.has_bound:
        spec = replace(spec, quality_gate=UNREADABLE_GATE)
        if NO_BOUND.top not in {u.top for u in unreadable}:
            unreadable += (NO_BOUND,)
    share_parts(spec)
    share_parts(status)
    return Training(
        key=key_of(raw),
        uid=metadata["uid"],
        generation=metadata.get("generation") or 0,
        resource_version=metadata["resourceVersion"],
        created_at=parse_time(metadata["creationTimestamp"]),
        requested_at=(metadata.get("annotations") or {}).get(REQUESTED_AT_ANNOTATION, "")[:253],
        spec=spec,
        status=status,
        is_being_deleted=metadata.get("deletionTimestamp") is not None,
        unreadable=unreadable,
        foreign_conditions=foreign,
    )


def _without_foreign(status: Any) -> tuple[Any, tuple[Raw, ...]]:  # noqa: ANN401 - any JSON
    """The status without conditions of unknown types, and these conditions."""
    conditions = status.get("conditions") if isinstance(status, Mapping) else None
    if not isinstance(conditions, list):
        return status, ()
    foreign = tuple(one for one in conditions if _is_foreign(one))
    if not foreign:
        return status, ()
    return {**status, "conditions": [one for one in conditions if not _is_foreign(one)]}, foreign


def _is_foreign(condition: object) -> bool:
    kind = condition.get("type") if isinstance(condition, Mapping) else None
    return isinstance(kind, str) and kind not in OWN_CONDITIONS


def _read(
    model: type[Part],
    document: Any,  # noqa: ANN401 - any JSON
    name: str,
) -> tuple[Part | None, tuple[UnreadableField, ...]]:
    """Read spec or status.

    Returns:
        The readable part, None if that is not enough; and the fields that cannot be read.
    """
    try:
        return model.model_validate(document), ()
    except ValidationError:
        document = _without_nulls(document)
    try:
        return model.model_validate(document), ()
    except ValidationError as error:
        found = [
            _field(name, flaw) for flaw in error.errors(include_input=False, include_url=False)
        ]
    unreadable = tuple(each for each in found if each.top not in DERIVED)
    if any(each.top in ESSENTIAL for each in unreadable):
        return None, unreadable
    tops = {each.top.removeprefix(f"{name}.") for each in found}
    rest = {key: value for key, value in document.items() if key not in tops}
    if model is TrainingSpec and GATE in tops:
        rest[GATE] = {}
    return model.model_validate(rest), unreadable


def _without_nulls(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """A document without null fields, which the API server treats as absent."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value


def _field(name: str, flaw: ErrorDetails) -> UnreadableField:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in flaw["loc"])
    top = f"{name}.{flaw['loc'][0]}" if flaw["loc"] else name
    is_unknown = flaw["type"] == UNKNOWN_FIELD
    why = "not a field that this version knows" if is_unknown else flaw["msg"]
    return UnreadableField(top, f"{name}{path}", why[:1].lower() + why[1:])
