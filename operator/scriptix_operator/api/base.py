"""The pydantic base of spec and status: camelCase outside, frozen inside."""

from dataclasses import is_dataclass
from dataclasses import replace as replace_in_dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

__all__ = ["ApiModel", "ListItem", "cel", "replace"]


def cel(rule: str, message: str, *, field_path: str | None = None) -> JsonDict:
    """A CEL rule of the CRD, for `json_schema_extra`.

    Args:
        rule: The condition that `self` has to meet.
        message: What to do if the condition is not met.
        field_path: The field that the refusal names, if not the one that carries the rule.
    """
    validation: JsonDict = {"rule": rule, "message": message}
    if field_path is not None:
        validation["fieldPath"] = field_path
    return {"x-kubernetes-validations": [validation]}


class ApiModel(BaseModel):
    """A part of the resource.

    Unknown fields are ignored on reading (a newer operator may have written them) and left in
    place on writing, because status is written as a merge patch.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )


class ListItem(ApiModel):
    """A part of the resource that stands in a list.

    A merge patch replaces lists whole, so an item carries the unknown fields that it was read with.
    """

    model_config = ConfigDict(extra="allow")


T = TypeVar("T")


def replace(of: T, **changes: Any) -> T:  # noqa: ANN401 - tools/typed_updates.py checks them
    """A copy of a model or a dataclass with other values in some of its fields.

    mypy checks names and types (tools/typed_updates.py); at run time values are not validated.

    Args:
        of: The model or dataclass.
        changes: The new values, by the names of the fields.

    Raises:
        TypeError: The class has no such field.
    """
    if not isinstance(of, BaseModel):
        if not is_dataclass(of) or isinstance(of, type):
            raise TypeError(f"{type(of).__name__} is neither a model nor a dataclass")
        return replace_in_dataclass(of, **changes)
    unknown = changes.keys() - type(of).model_fields.keys()
    if unknown:
        raise TypeError(f"{type(of).__name__} has no field {', '.join(sorted(unknown))}")
    return of.model_copy(update=changes)
