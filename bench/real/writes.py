"""Writes to the API server by kind, from its own metrics."""

import re
from collections import Counter

__all__ = ["KINDS", "writes_in"]

KINDS = ("status", "resource", "configmaps", "events", "leases")
"""status: of the resource; resource: its metadata, such as finalizers and annotations."""

_SAMPLE = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<value>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_WRITES = {"POST", "PUT", "PATCH", "APPLY", "DELETE"}
_RESOURCE = "custommodeltrainings"


def writes_in(metrics: str) -> Counter[str]:
    """Return the writes so far by kind, refused ones included.

    The creations of resources are the harness's own, and are left out.
    """
    found: Counter[str] = Counter()
    for sample in _SAMPLE.finditer(metrics):
        labels = dict(_LABEL.findall(sample["labels"]))
        kind = _kind(labels)
        if kind is not None:
            found[kind] += int(float(sample["value"]))
    return found


def _kind(labels: dict[str, str]) -> str | None:
    verb, resource = labels["verb"], labels["resource"]
    if verb not in _WRITES:
        return None
    if resource == _RESOURCE:
        if labels["subresource"] == "status":
            return "status"
        return None if verb == "POST" else "resource"
    return resource if resource in KINDS else None
