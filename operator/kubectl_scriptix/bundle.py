"""The support bundle: what helps to find a cause, without Secrets."""

import io
import json
import re
import tarfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from kubectl_scriptix.cluster import Cluster, read_training
from kubectl_scriptix.describe import event_lines
from kubectl_scriptix.doctor import examine
from kubectl_scriptix.errors import PluginError
from kubectl_scriptix.logs import read_log

__all__ = ["redact", "write_bundle"]

SECRET_LIKE = re.compile(
    r"(?i)(bearer\s+|authorization[\"']?\s*[:=]\s*[\"']?|"
    r"(?:api[-_ ]?key|(?<!run)token|password|secret)"
    r"[\"']?\s*[:=]\s*[\"']?)[^\s\"',;}]{8,}"
)
"""A word that names a credential, followed by a value."""
KEPT_ANNOTATIONS = frozenset({"scriptix.io/requested-at"})
"""Annotations in the bundle; others, such as kubectl's last-applied one, are left out."""


def redact(text: str) -> str:
    """The text without what may be a credential."""
    return SECRET_LIKE.sub(lambda found: f"{found.group(1)}[redacted]", text)


def write_bundle(
    cluster: Cluster, file: Path, now: datetime, *, is_redacted: bool = True
) -> list[str]:
    """Write the bundle of the caller's namespace; returns the names of the files in it."""
    names = []
    with tarfile.open(file, "w:gz") as archive:
        for name, text in _files(cluster, now):
            data = (redact(text) if is_redacted else text).encode()
            info = tarfile.TarInfo(f"scriptix-bundle/{name}")
            info.size, info.mtime = len(data), now.timestamp()
            archive.addfile(info, io.BytesIO(data))
            names.append(name)
    return names


def _files(cluster: Cluster, now: datetime) -> Iterator[tuple[str, str]]:
    """Names and texts; what cannot be read has its error as text."""
    yield "doctor.txt", "".join(f"{finding}\n" for finding in examine(cluster))
    for raw in cluster.raw_trainings(cluster.namespace):
        name = raw["metadata"]["name"]
        yield f"trainings/{name}.json", json.dumps(_stripped(raw), indent=2)
        try:
            training = read_training(raw)
            events = "\n".join(event_lines(cluster.events(training), now))
            log = "\n".join(line.text for line in read_log(cluster, training))
        except PluginError as error:
            events = log = f"not read: {error}"
        yield f"events/{name}.txt", events
        yield f"logs/{name}.txt", log


def _stripped(raw: dict[str, Any]) -> dict[str, Any]:
    """A resource without the fields that may repeat foreign content."""
    metadata = {key: value for key, value in raw["metadata"].items() if key != "managedFields"}
    annotations = metadata.get("annotations", {})
    metadata["annotations"] = {
        key: value for key, value in annotations.items() if key in KEPT_ANNOTATIONS
    }
    return {**raw, "metadata": metadata}
