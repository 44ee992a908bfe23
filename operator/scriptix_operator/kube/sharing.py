"""Shares equal parts of parsed resources, which makes each one less than half as large.

pydantic keeps a set of the given fields beside each part of a resource, and JSON has a new string
for each value, although thousands of resources have the same sets, phases and messages
(docs/decisions/0053).
"""

from functools import lru_cache

from scriptix_operator.api.base import ApiModel

__all__ = ["share_parts"]

SHORT = 256
"""Characters of a shared text, so that what is kept for sharing is at most 2 MB."""


def share_parts(model: ApiModel) -> None:
    """Replace texts and sets of field names in a new model by equal ones of earlier models.

    The sets are never changed in place: the models are frozen, and pydantic copies the set for a
    changed copy.
    """
    names = _shared_names(frozenset(model.__pydantic_fields_set__))
    object.__setattr__(model, "__pydantic_fields_set__", names)
    values = model.__dict__
    for name, value in values.items():
        if type(value) is str and len(value) <= SHORT:
            values[name] = _shared_text(value)
        elif isinstance(value, ApiModel):
            share_parts(value)
        elif isinstance(value, tuple | list):
            for item in value:
                if isinstance(item, ApiModel):
                    share_parts(item)


@lru_cache(maxsize=1024)
def _shared_names(names: frozenset[str]) -> set[str]:
    return set(names)


@lru_cache(maxsize=8192)
def _shared_text(text: str) -> str:
    return text
