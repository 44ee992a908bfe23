"""JSON Schemas for kubeconform, made from what the real API server publishes about its kinds.

The API server describes each kind it serves, custom ones included, in one OpenAPI document. This
module makes a stricter file for each kind: fields that the document does not name are
refused.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["LOCATION", "write_schemas"]

LOCATION = "{{ .ResourceKind }}{{ .KindSuffix }}.json"
"""Pattern by which kubeconform finds a kind's file."""
REFERENCE = "#/definitions/"

Schema = dict[str, Any]


def write_schemas(openapi: Schema, folder: Path) -> None:
    """Write a file for each kind in the API server's /openapi/v2."""
    definitions = {name: _strict(schema) for name, schema in openapi["definitions"].items()}
    for name, schema in openapi["definitions"].items():
        for kind in schema.get("x-kubernetes-group-version-kind", ()):
            whole = definitions[name] | {
                "definitions": {
                    other: definitions[other] for other in _reachable(definitions, name)
                }
            }
            # As kubeconform's KindSuffix: the first part of the group, if there is one.
            group = kind["group"].partition(".")[0]
            parts = filter(None, (kind["kind"].lower(), group, kind["version"]))
            file = f"{'-'.join(parts)}.json"
            (folder / file).write_text(json.dumps(whole))


def _strict(schema: Any) -> Any:  # noqa: ANN401 - JSON, from the outside
    """Return the schema with unknown fields refused, and with rules that OpenAPI v2 lacks."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {
        # These names are fields, not keywords of the schema.
        name: {field: _strict(value) for field, value in inner.items()}
        if name == "properties"
        else _strict(inner)
        for name, inner in schema.items()
    }
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        strict["type"] = ["integer", "string"]
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        strict.setdefault("additionalProperties", False)
    return strict


def _reachable(definitions: Schema, name: str) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for other in _references(definitions[waiting.pop()]):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def _references(schema: Any) -> Iterator[str]:  # noqa: ANN401 - JSON, from the outside
    if isinstance(schema, dict):
        if isinstance(schema.get("$ref"), str):
            yield schema["$ref"].removeprefix(REFERENCE)
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)
