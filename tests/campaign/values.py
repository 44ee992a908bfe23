"""Values of each property of spec, made from the schema in the CRD.

Of a number: the bounds, the default and a value between. Of an enum: each value. Of an optional
property: also its absence. Of a text with a pattern: the texts in TEXTS, so that a new property
cannot be forgotten here.
"""

import copy
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from scriptix_operator.api.names import CRD_NAME
from tests.gotools.toolchain import REPOSITORY

__all__ = ["Edit", "edited", "edits", "random_edit", "schema"]

Schema = Mapping[str, Any]
Spec = dict[str, Any]

ABSENT = object()
PERCENTAGES = ("0", "12.5", "999.9999")
TEXTS: Mapping[str, tuple[str, ...]] = {
    "apiKeySecretRef.name": ("scriptix-api-key", "another", "missing"),
    "apiKeySecretRef.key": ("api-key", "k" * 253),
    "qualityGate.maxWordErrorRate": PERCENTAGES,
    "qualityGate.maxWordErrorRateIncrease": PERCENTAGES,
    "qualityGate.maxCharacterErrorRate": PERCENTAGES,
    "qualityGate.minAccuracyImprovement": PERCENTAGES,
    "runToken": ("", "v1", "2026-11-29", "x" * 64),
}
"""Texts of the properties that have neither an enum nor a number."""
IMMUTABLE = "self == oldSelf"


@dataclass(frozen=True)
class Edit:
    """A property gets a value, or is removed."""

    path: tuple[str, ...]
    value: Any

    def __str__(self) -> str:
        shown = "absent" if self.value is ABSENT else repr(self.value)[:40]
        return f"{'.'.join(self.path)}={shown}"


def schema() -> Schema:
    """The schema of spec in the CRD."""
    text = (REPOSITORY / "crds" / f"{CRD_NAME}.yaml").read_text()
    [version] = yaml.safe_load(text)["spec"]["versions"]
    found: Schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def edits() -> list[Edit]:
    """All edits of one property; those of an immutable one are not possible."""
    return list(_edits(schema(), ()))


def _edits(parent: Schema, path: tuple[str, ...]) -> Iterator[Edit]:
    required = set(parent.get("required", ()))
    for name, inner in parent["properties"].items():
        here = (*path, name)
        if any(rule["rule"] == IMMUTABLE for rule in inner.get("x-kubernetes-validations", ())):
            continue
        if name not in required:
            yield Edit(here, ABSENT)
        if "properties" in inner:
            yield from _edits(inner, here)
        else:
            yield from (Edit(here, value) for value in _values(inner, here))


def _values(inner: Schema, path: tuple[str, ...]) -> tuple[Any, ...]:
    match inner["type"]:
        case "boolean":
            return (False, True)
        case "integer":
            least, most, default = inner["minimum"], inner["maximum"], inner["default"]
            return tuple(dict.fromkeys((least, default, (default + most) // 2, most)))
        case "string" if "enum" in inner:
            return tuple(inner["enum"])
        case "string":
            return TEXTS[".".join(path)]
        case other:
            raise AssertionError(f"{'.'.join(path)} has values of type {other}: add them here")


def edited(spec: Spec, edit: Edit) -> Spec:
    """The spec after an edit; an object that is emptied is removed, as its rules demand."""
    changed = copy.deepcopy(spec)
    *parents, last = edit.path
    objects = [changed]
    for name in parents:
        objects.append(objects[-1].setdefault(name, {}))
    if edit.value is ABSENT:
        objects[-1].pop(last, None)
    else:
        objects[-1][last] = edit.value
    if parents and not objects[-1]:
        del objects[-2][parents[-1]]
    if not changed.get("qualityGate", {}).keys() - {"mode"}:
        changed.pop("qualityGate", None)  # a gate needs a bound
    if "name" not in changed.get("apiKeySecretRef", {"name": ""}):
        changed["apiKeySecretRef"]["name"] = "another"  # required beside its key
    return changed


def random_edit(rng: random.Random, excluded: frozenset[str] = frozenset()) -> Edit:
    """One edit, each property as probable as another; `excluded` has names of properties."""
    by_path: dict[tuple[str, ...], list[Edit]] = {}
    for edit in edits():
        if edit.path[0] not in excluded:
            by_path.setdefault(edit.path, []).append(edit)
    return rng.choice(by_path[rng.choice(sorted(by_path))])
