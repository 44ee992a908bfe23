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
    """namespace/name: the key of a resource in the watch, the work queue and the locks."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """For people and logs: `team-a/cardiology-en`."""
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class UnreadableField:
    """A field of spec or status that this version cannot read."""

    top: str
    """The field directly below spec or status that has the unreadable part, such as `spec.log`."""
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
    """The unreadable fields. `spec` and `status` have defaults in their place, which are used only
    where core/status/unreadable.py says that this is harmless, and never written."""
    foreign_conditions: tuple[Mapping[str, Any], ...] = field(default=(), hash=False)
    """Conditions of types that this version does not know, as the API server gives them."""
    served_seen_at: datetime | None = field(default=None, compare=False)
    """When this process saw a write of the installation in servedBy, as
    core/cluster/served_by.py: last_seen_at; None: it saw none."""

    @property
    def owner(self) -> Owner:
        """The owner of the objects that belong to the resource."""
        return Owner(self.key.namespace, self.key.name, self.uid)

    def cannot_read(self, *tops: str) -> bool:
        """Whether one of these fields, such as `spec.log`, has an unreadable part."""
        return any(found.top in tops for found in self.unreadable)

    def with_status(self, status: TrainingStatus) -> "Training":
        """The same resource with another status."""
        return replace(self, status=status)
