"""A Lease of coordination.k8s.io, as read and as written."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from scriptix_operator.kube.api import Json, map_of

__all__ = ["NOBODY", "Lease", "read_lease"]


@dataclass(frozen=True, slots=True)
class Lease:
    """A Lease; only `metadata` is as the API server has it.

    Attributes:
        holder: Name of the process that holds the Lease; empty: none does.
        duration: Seconds that the holder asks others to wait for; None: not set.
        acquired_at: When the holder acquired the Lease.
        renewed_at: When the holder last renewed the Lease.
        transitions: How often the holder has changed.
    """

    metadata: Mapping[str, Any]
    holder: str = ""
    duration: int | None = None
    acquired_at: datetime | None = None
    renewed_at: datetime | None = None
    transitions: int | None = None

    @property
    def annotations(self) -> Mapping[str, str]:
        """The annotations."""
        return map_of(self.metadata, "annotations")

    def with_annotations(self, annotations: Mapping[str, str]) -> "Lease":
        """A copy that has these annotations among others."""
        both = {**self.annotations, **annotations}
        return replace(self, metadata={**self.metadata, "annotations": both})

    def body(self) -> Json:
        """The Lease as the API server takes it; without the fields that are not set."""
        spec = {
            "holderIdentity": self.holder or None,
            "leaseDurationSeconds": self.duration,
            "acquireTime": _micro_time(self.acquired_at),
            "renewTime": _micro_time(self.renewed_at),
            "leaseTransitions": self.transitions,
        }
        return {
            "metadata": dict(self.metadata),
            "spec": {name: value for name, value in spec.items() if value is not None},
        }


NOBODY = Lease({})
"""A Lease that does not exist yet."""


def read_lease(raw: Mapping[str, Any]) -> Lease:
    """Read a Lease.

    Raises:
        ValueError: A field is not of its type.
    """
    spec = map_of(raw, "spec")
    metadata = map_of(raw, "metadata")
    map_of(metadata, "annotations")
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if not isinstance(duration, int | None) or not isinstance(transitions, int | None):
        raise ValueError("a number of the Lease is not a number")  # noqa: TRY004 - as any unreadable reply
    return Lease(
        metadata=metadata,
        holder=str(spec.get("holderIdentity") or ""),
        duration=duration,
        acquired_at=_instant(spec.get("acquireTime")),
        renewed_at=_instant(spec.get("renewTime")),
        transitions=transitions,
    )


def _instant(value: object) -> datetime | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(str(value))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _micro_time(moment: datetime | None) -> str | None:
    """An instant with its fraction, as the API server requires."""
    return None if moment is None else f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
