"""ConfigMaps beside a resource: written only if they belong to the resource.

kube/ownership.py determines the owner of an object. A dead or restored object counts as absent: its
content is not read, and it is removed when its name is needed.

Errors: NameTaken, and those of kube/errors.py. A ConflictError means that another client wrote the
object meanwhile: read the object again.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from scriptix_operator.api.names import ARGOCD_IGNORE_UPDATES, KIND
from scriptix_operator.core.model.owner import Owner
from scriptix_operator.core.status.texts import log_texts
from scriptix_operator.kube.api import CONFIG_MAPS, Json, KubeApi, map_of
from scriptix_operator.kube.errors import ConflictError, GoneError, translated
from scriptix_operator.kube.ownership import (
    Control,
    control_of,
    describe_controller,
    labels_of,
    reference_to,
    reference_to_dead,
)
from scriptix_operator.kube.trainings import TRAININGS

__all__ = ["ConfigMaps", "NameTaken", "StoredConfigMap"]

TIMEOUT = 30.0
"""Seconds for one call; the largest request is a log segment of 512 KiB."""

ATTEMPTS = 5
"""Attempts while others write; only a former leader or a user does."""


class NameTaken(Exception):  # noqa: N818 - named as the state it becomes
    """Another object has the name of an object beside a resource.

    Args:
        name: Name of the ConfigMap.
        owner: Description of its controller, for users; None: it has none.
    """

    def __init__(self, name: str, owner: str | None) -> None:
        super().__init__(log_texts.name_taken(name, owner))
        self.name = name
        self.owner = owner


@dataclass(frozen=True, slots=True)
class StoredConfigMap:
    """A ConfigMap of ours, as read."""

    raw: Json

    @property
    def data(self) -> dict[str, str]:
        """Its data."""
        return map_of(self.raw, "data")

    def holds(self, data: Mapping[str, str], labels: Mapping[str, str]) -> bool:
        """Whether the ConfigMap has exactly this data, and these labels among others."""
        present = map_of(map_of(self.raw, "metadata"), "labels")
        return self.data == data and labels.items() <= present.items()


class ConfigMaps:
    """Reads, writes and deletes ConfigMaps by name; never lists them.

    Args:
        api: The cluster; opened and closed by the caller.
    """

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def get(self, owner: Owner, name: str) -> StoredConfigMap | None:
        """Read an object of `owner`.

        Returns:
            None if there is no such object, or only a dead or restored one.

        Raises:
            NameTaken: The object is not ours.
        """
        found = await self._read(owner.namespace, name)
        if found is None:
            return None
        match control_of(found, owner):
            case Control.OURS:
                return StoredConfigMap(found)
            case Control.DEAD | Control.RESTORED:
                return None
            case Control.FOREIGN:
                raise NameTaken(name, describe_controller(found))

    async def put(self, owner: Owner, name: str, data: Mapping[str, str], *, run_id: str) -> bool:
        """Make the object hold `data`, and nothing else, in one write.

        Returns:
            Whether the object was written; it is not if nothing would change.

        Raises:
            NameTaken: The object is not ours.
            ConflictError: Others keep writing the object.
        """
        for attempt in range(1, ATTEMPTS + 1):
            stored = await self.get(owner, name)
            try:
                if stored is not None:
                    return await self.replace(owner, stored, data, run_id=run_id)
                await self.create(owner, name, data, run_id=run_id)
            except ConflictError:
                if attempt == ATTEMPTS:
                    raise
            else:
                return True
        raise AssertionError("unreachable: the last attempt returns or raises")

    async def create(
        self,
        owner: Owner,
        name: str,
        data: Mapping[str, str],
        *,
        run_id: str,
        immutable: bool = False,
    ) -> None:
        """Create the object; a dead or restored one is replaced.

        Raises:
            NameTaken: Another object has the name.
            ConflictError: `owner` has the object already.
        """
        body: Json = {
            "metadata": {
                "name": name,
                "labels": labels_of(owner, run_id),
                "annotations": dict(ARGOCD_IGNORE_UPDATES),
                "ownerReferences": [reference_to(owner)],
            },
            "data": dict(data),
            **({"immutable": True} if immutable else {}),
        }
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with translated(f"create ConfigMap {owner.namespace}/{name}"):
                    path = CONFIG_MAPS.path(owner.namespace)
                    await self._api.create(path, body, seconds=TIMEOUT)
            except ConflictError:
                if attempt == ATTEMPTS or await self.get(owner, name) is not None:
                    raise
                if await self._make_way(owner, name, body):
                    return
            else:
                return

    async def replace(
        self, owner: Owner, stored: StoredConfigMap, data: Mapping[str, str], *, run_id: str
    ) -> bool:
        """Write `data` over the object that was read; an immutable object is re-created.

        Returns:
            Whether the object was written; it is not if nothing would change.

        Raises:
            ConflictError: Another client wrote or deleted the object since.
        """
        labels = labels_of(owner, run_id)
        if stored.holds(data, labels):
            return False
        metadata = map_of(stored.raw, "metadata")
        if stored.raw.get("immutable"):
            name = str(metadata.get("name", ""))
            await self._delete(owner.namespace, name, stored.raw)
            await self.create(owner, name, data, run_id=run_id)
            return True
        # Labels and annotations of others are kept.
        metadata = {
            **metadata,
            "labels": {**map_of(metadata, "labels"), **labels},
            "annotations": {**map_of(metadata, "annotations"), **ARGOCD_IGNORE_UPDATES},
        }
        body = {**stored.raw, "metadata": metadata, "data": dict(data)}
        await self._write_over(stored.raw, body)
        return True

    async def delete(self, owner: Owner, name: str) -> bool:
        """Delete an object of `owner`; other objects stay.

        Returns:
            Whether an object of ours existed.
        """
        try:
            stored = await self.get(owner, name)
        except NameTaken:
            return False  # our object is gone, which was the aim
        if stored is None:
            return False
        await self._delete(owner.namespace, name, stored.raw)
        return True

    async def _make_way(self, owner: Owner, name: str, body: Json) -> bool:
        """Delete a dead object, or replace a restored one, once the owner is verified.

        Returns:
            Whether `body` has been written.
        """
        found = await self._read(owner.namespace, name)
        if found is None:
            return False
        control = control_of(found, owner)
        if control not in {Control.DEAD, Control.RESTORED} or not await self._is_alive(owner):
            # Our own resource may have been replaced, without a watch event yet.
            raise NameTaken(name, describe_controller(found))
        if control is Control.RESTORED and not found.get("immutable"):
            await self._write_over(found, body)
            return True
        if control is Control.RESTORED:
            # Immutable data can only be deleted, and the admission policy lets us delete only what
            # a training controls. The reference is not to ours: after a crash the old data would be
            # read as this run's.
            metadata = map_of(found, "metadata")
            metadata = {**metadata, "ownerReferences": [reference_to_dead(owner)]}
            found = await self._write_over(found, {**found, "metadata": metadata})
        await self._delete(owner.namespace, name, found)
        return False

    async def _write_over(self, found: Json, body: Json) -> Json:
        """Write `body` over exactly the object that was read; a ConflictError if it has changed."""
        metadata = map_of(found, "metadata")
        name, namespace = str(metadata.get("name", "")), str(metadata.get("namespace", ""))
        metadata = {**map_of(body, "metadata"), **_version_of(found)}
        try:
            with translated(f"replace ConfigMap {namespace}/{name}"):
                path = CONFIG_MAPS.path(namespace, name)
                return await self._api.replace(
                    path, {**body, "metadata": metadata}, seconds=TIMEOUT
                )
        except GoneError as error:
            raise ConflictError(f"ConfigMap {name} was deleted meanwhile") from error

    async def _is_alive(self, owner: Owner) -> bool:
        try:
            with translated(f"get {KIND} {owner.namespace}/{owner.name}"):
                resource = await self._api.get(TRAININGS.path(owner.namespace, owner.name))
                return map_of(resource, "metadata").get("uid") == owner.uid
        except GoneError:
            return False

    async def _read(self, namespace: str, name: str) -> Json | None:
        try:
            with translated(f"get ConfigMap {namespace}/{name}"):
                return await self._api.get(CONFIG_MAPS.path(namespace, name), seconds=TIMEOUT)
        except GoneError:
            return None

    async def _delete(self, namespace: str, name: str, found: Json) -> None:
        """Delete exactly the object that was read; a ConflictError if it has changed.

        The version counts, too: the object may have another owner now.
        """
        path, options = CONFIG_MAPS.path(namespace, name), {"preconditions": _version_of(found)}
        try:
            with translated(f"delete ConfigMap {namespace}/{name}"):
                await self._api.delete(path, options, seconds=TIMEOUT)
        except GoneError:
            return  # gone already


def _version_of(found: Json) -> Json:
    """The uid and resourceVersion of an object."""
    metadata = map_of(found, "metadata")
    return {name: metadata[name] for name in ("uid", "resourceVersion") if name in metadata}
