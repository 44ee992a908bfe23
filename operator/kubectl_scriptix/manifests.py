"""The manifests of a folder, as `plan -f` reads them."""

import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from kubectl_scriptix.errors import ExitStatus, PluginError
from scriptix_operator.api.names import GROUP, KIND
from scriptix_operator.api.times import format_time

__all__ = ["applied", "read_manifests"]

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
STANDARD_INPUT = "-"


def read_manifests(place: str) -> list[dict[str, Any]]:
    """The CustomModelTrainings of a file, of all files in a folder, or of standard input.

    Raises:
        PluginError: There are none, or a file cannot be read.
    """
    found = [
        manifest
        for name, text in _texts(place)
        for document in _documents(name, text)
        for manifest in _manifests(document)
    ]
    if not found:
        raise PluginError(f"{place} has no {KIND}", ExitStatus.USAGE)
    return found


def applied(
    manifest: dict[str, Any], live: dict[str, Any] | None, namespace: str, now: datetime
) -> dict[str, Any]:
    """The resource as it is once the manifest is applied; the API server fills in the rest.

    Args:
        manifest: The manifest.
        live: The resource now; None: there is none.
        namespace: Its namespace.
        now: When a new resource is created.
    """
    metadata = manifest["metadata"]
    name = metadata["name"]
    new = {"uid": f"planned-{name}", "resourceVersion": "0", "creationTimestamp": format_time(now)}
    there: dict[str, Any] = new if live is None else live["metadata"]
    annotations = {**(there.get("annotations") or {}), **(metadata.get("annotations") or {})}
    return {
        "metadata": {**there, "namespace": namespace, "name": name, "annotations": annotations},
        "spec": manifest.get("spec") or {},
        "status": {} if live is None else live.get("status") or {},
    }


def _texts(place: str) -> Iterator[tuple[str, str]]:
    if place == STANDARD_INPUT:
        yield "standard input", sys.stdin.read()
        return
    path = Path(place)
    files = [path] if path.is_file() else sorted(path.rglob("*"))
    for file in files:
        if file == path or (file.is_file() and file.suffix in SUFFIXES):
            try:
                yield str(file), file.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise PluginError(f"{file} cannot be read: {error}", ExitStatus.USAGE) from error


def _documents(name: str, text: str) -> Iterator[object]:
    try:
        yield from yaml.safe_load_all(text)
    except yaml.YAMLError as error:
        raise PluginError(f"{name} is no YAML: {error}", ExitStatus.USAGE) from error


def _manifests(document: object) -> Iterator[dict[str, Any]]:
    if not isinstance(document, dict):
        return
    group = str(document.get("apiVersion", "")).partition("/")[0]
    if document.get("kind") == KIND and group == GROUP:
        metadata = document.get("metadata")
        if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
            raise PluginError(f"a {KIND} has no metadata.name", ExitStatus.USAGE)
        yield document
    for item in document.get("items") or () if document.get("kind") == "List" else ():
        yield from _manifests(item)
