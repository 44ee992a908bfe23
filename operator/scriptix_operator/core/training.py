"""The resource as decisions see it: its identity, spec, status and annotations, parsed once."""

from dataclasses import dataclass, replace
from datetime import datetime

from scriptix_operator.api.spec import TrainingSpec
from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.owner import Owner

__all__ = ["Training", "TrainingKey"]


@dataclass(frozen=True, slots=True, order=True)
class TrainingKey:
    """namespace/name: what the watch, the timer and the locks go by."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """For people and logs: `team-a/cardiology-en`."""
        return f"{self.namespace}/{self.name}"


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

    @property
    def owner(self) -> Owner:
        """What the objects beside it are owned by."""
        return Owner(self.key.namespace, self.key.name, self.uid)

    def with_status(self, status: TrainingStatus) -> "Training":
        """The same resource with another status."""
        return replace(self, status=status)
