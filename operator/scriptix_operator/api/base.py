"""The pydantic base of spec and status: camelCase outside, frozen inside."""

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from pydantic.config import JsonDict

__all__ = ["ApiModel", "ListItem", "cel"]


def cel(rule: str, message: str, *, field_path: str | None = None) -> JsonDict:
    """A CEL rule of the CRD, for `json_schema_extra`.

    Args:
        rule: What holds of `self`.
        message: What to do if it does not hold.
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
