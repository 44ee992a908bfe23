"""The resource as decisions see it: its identity, spec, status and annotations, parsed once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from scriptix_operator.api.spec import TrainingSpec
from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.model.owner import Owner

__all__ = ["Training", "TrainingKey", "UnreadableField"]


@dataclass(frozen=True, slots=True, order=True)
class TrainingKey:
    """namespace/name: what the watch, the timer and the locks go by."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """For people and logs: `team-a/cardiology-en`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class UnreadableField:
    """A field of spec or status that this version cannot read."""

    top: str
    """The field directly below spec or status that it belongs to, such as `spec.log`."""
    path: str
    """For example `spec.log.collect`."""
    why: str
    """What the field would have to be."""


@dataclass(frozen=True, slots=True)
class Training:
    """One CustomModelTraining, as of `resource_version`."""

    key: TrainingKey
    uid: str
    generation: int
    resource_version: str
    created_at: datetime
    requested_at: str
    """Annotation scriptix.io/requested-at, opaque; empty where absent."""
    spec: TrainingSpec
    status: TrainingStatus
    is_being_deleted: bool = False
    """metadata.deletionTimestamp is set: the resource exists until its finalizers are removed."""
    unreadable: tuple[UnreadableField, ...] = ()
    """What cannot be read. `spec` and `status` have the default in its place, which is used only
    where core/status/unreadable.py says that this is harmless, and never written."""
    foreign_conditions: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    """Conditions of types that this version does not know, as the API server gives them."""

    @property
    def owner(self) -> Owner:
        """What the objects beside it are owned by."""
        return Owner(self.key.namespace, self.key.name, self.uid)

    def cannot_read(self, *tops: str) -> bool:
        """Whether one of these, such as `spec.log`, has a part that cannot be read."""
        return any(found.top in tops for found in self.unreadable)

    def with_status(self, status: TrainingStatus) -> "Training":
        """The same resource with another status."""
        return replace(self, status=status)
