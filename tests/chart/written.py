"""Compares objects that the API server returns with the manifests that were written.

Where a GitOps tool does not know the kind, a field that the API server drops or rewrites is a
permanent difference.
"""

import json
from collections.abc import Iterator
from typing import Any

from tests.chart.helm import Document
from tests.controlplane.cluster import ControlPlane

__all__ = ["returned", "unlike"]


def returned(cluster: ControlPlane, *what: str) -> list[Document]:
    """Apply manifests in a dry run, and return the objects of the API server.

    A warning is an error: it may be of a Deployment whose pods Pod Security would refuse. The CRD
    of another test's release may be there, and belong to Helm.
    """
    arguments = ("--warnings-as-errors", "apply", "--server-side", "--force-conflicts")
    printed = cluster.kubectl(*arguments, "--dry-run=server", "-o", "json", *what)
    found: list[Document] = json.loads(printed)["items"]
    return found


def unlike(written: list[Document], found: list[Document]) -> list[str]:
    """Name each field that was not returned as written; defaults may be added."""
    assert [_name(document) for document in written] == [_name(document) for document in found]
    return [
        f"{_name(before)}: {difference}"
        for before, after in zip(written, found, strict=True)
        for difference in _unlike(before, after, "")
    ]


def _name(document: Document) -> str:
    metadata = document["metadata"]
    return f"{document['kind']} {metadata.get('namespace', '')}/{metadata['name']}"


def _unlike(before: Any, after: Any, path: str) -> Iterator[str]:  # noqa: ANN401 - JSON
    match before, after:
        case dict(), dict():
            yield from (f"{path}.{name} is dropped" for name in before.keys() - after.keys())
            for name in before.keys() & after.keys():
                yield from _unlike(before[name], after[name], f"{path}.{name}")
        case list(), list() if len(before) == len(after):
            for number, (one, other) in enumerate(zip(before, after, strict=True)):
                yield from _unlike(one, other, f"{path}[{number}]")
        case _:
            if (type(before), before) != (type(after), after):
                yield f"{path} is {after!r}, not {before!r}"
