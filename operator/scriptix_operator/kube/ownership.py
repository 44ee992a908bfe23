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
from scriptix_operator.kube.api import Json, map_of

__all__ = [
    "Control",
    "control_of",
    "describe_controller",
    "labels_of",
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


def control_of(found: Json, owner: Owner) -> Control:
    """The relation of `found` to `owner`."""
    controller = _controller(found)
    if controller is None:
        return Control.RESTORED if _is_restored(found, owner) else Control.FOREIGN
    if controller.get("uid") == owner.uid:
        return Control.OURS
    is_namesake = (
        str(controller.get("apiVersion")).split("/")[0] == GROUP
        and controller.get("kind") == KIND
        and controller.get("name") == owner.name
    )
    return Control.DEAD if is_namesake else Control.FOREIGN


def _is_restored(found: Json, owner: Owner) -> bool:
    metadata = map_of(found, "metadata")
    labels = map_of(metadata, "labels")
    return (
        not metadata.get("ownerReferences")
        and labels.get(MANAGED_BY_LABEL) == MANAGED_BY
        and labels.get(TRAINING_LABEL) == owner.name
        and RUN_LABEL in labels
    )


def labels_of(owner: Owner, run_id: str) -> dict[str, str]:
    """The labels of an object that is stored for a run of `owner`."""
    return {MANAGED_BY_LABEL: MANAGED_BY, TRAINING_LABEL: owner.name, RUN_LABEL: run_id}


def reference_to(owner: Owner) -> Json:
    """The owner reference; blockOwnerDeletion would need permission for the owner's finalizers."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
    }


def reference_to_dead(owner: Owner) -> Json:
    """An owner reference to an earlier resource of the same name, whose uid is unknown."""
    return {**reference_to(owner), "uid": NO_UID}


def describe_controller(found: Json) -> str | None:
    """The controller of a ConfigMap, for users; None: the ConfigMap has none."""
    controller = _controller(found)
    if controller is None:
        return None
    return f"{controller.get('kind')} {controller.get('name')} ({controller.get('uid')})"


def _controller(found: Json) -> Json | None:
    references: list[Json] = map_of(found, "metadata").get("ownerReferences") or []
    return next((reference for reference in references if reference.get("controller")), None)
