"""The owner of a ConfigMap beside a resource, and the metadata of a resource's own ConfigMap.

The owner reference with `controller: true` decides; without any owner reference, the labels do:

    this resource                               ours: read, written, deleted
    an earlier resource of the same name        dead: counts as absent; deleted when its name is
                                                needed, else the garbage collector takes it
    nobody, but labelled as this resource's     restored from a backup, which keeps labels and not
                                                owner references: counts as absent; replaced when
                                                its name is needed
    anybody else, or nobody                     never touched
"""

from enum import Enum

from kubernetes.aio.client import V1ConfigMap, V1ObjectMeta, V1OwnerReference

from scriptix_operator.api.base import replace
from scriptix_operator.api.names import (
    API_VERSION,
    GROUP,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    RUN_LABEL,
    TRAINING_LABEL,
)
from scriptix_operator.core.model.owner import Owner

__all__ = [
    "Control",
    "control_of",
    "describe_controller",
    "labels_of",
    "metadata_of",
    "reference_to",
    "reference_to_dead",
]

NO_UID = "00000000-0000-0000-0000-000000000000"


class Control(Enum):
    """The relation of an object to the resource beside it."""

    OURS = "ours"
    DEAD = "dead"
    RESTORED = "restored"
    FOREIGN = "foreign"


def control_of(found: V1ConfigMap, owner: Owner) -> Control:
    """The relation of `found` to `owner`."""
    controller = _controller(found)
    if controller is None:
        return Control.RESTORED if _is_restored(found, owner) else Control.FOREIGN
    if controller.uid == owner.uid:
        return Control.OURS
    is_namesake = (
        controller.api_version.split("/")[0] == GROUP
        and controller.kind == KIND
        and controller.name == owner.name
    )
    return Control.DEAD if is_namesake else Control.FOREIGN


def _is_restored(found: V1ConfigMap, owner: Owner) -> bool:
    metadata = metadata_of(found)
    labels = metadata.labels or {}
    return (
        not metadata.owner_references
        and labels.get(MANAGED_BY_LABEL) == MANAGED_BY
        and labels.get(TRAINING_LABEL) == owner.name
        and RUN_LABEL in labels
    )


def labels_of(owner: Owner, run_id: str) -> dict[str, str]:
    """The labels of an object that is stored for a run of `owner`."""
    return {MANAGED_BY_LABEL: MANAGED_BY, TRAINING_LABEL: owner.name, RUN_LABEL: run_id}


def reference_to(owner: Owner) -> V1OwnerReference:
    """The owner reference; blockOwnerDeletion would need permission for the owner's finalizers."""
    return V1OwnerReference(
        api_version=API_VERSION, kind=KIND, name=owner.name, uid=owner.uid, controller=True
    )


def reference_to_dead(owner: Owner) -> V1OwnerReference:
    """An owner reference to an earlier resource of the same name, whose uid is unknown."""
    return replace(reference_to(owner), uid=NO_UID)


def metadata_of(found: V1ConfigMap) -> V1ObjectMeta:
    """The metadata of a ConfigMap, which is optional in the type of the client."""
    return found.metadata or V1ObjectMeta()


def describe_controller(found: V1ConfigMap) -> str | None:
    """The controller of a ConfigMap, for users; None: the ConfigMap has none."""
    controller = _controller(found)
    if controller is None:
        return None
    return f"{controller.kind} {controller.name} ({controller.uid})"


def _controller(found: V1ConfigMap) -> V1OwnerReference | None:
    references = metadata_of(found).owner_references or []
    return next((reference for reference in references if reference.controller), None)
