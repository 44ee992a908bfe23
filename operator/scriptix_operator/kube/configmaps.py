"""ConfigMaps beside a resource: written only where they are its own.

Who controls an object decides (the owner reference with `controller: true`):

    this resource                               ours: read, written, deleted
    an earlier resource of the same name        dead: counts as absent; deleted when its name is
                                                needed, else the garbage collector takes it
    anybody else, or nobody                     NameTaken: never touched

Errors: NameTaken, and those of kube/errors.py. A ConflictError means that somebody wrote the object
meanwhile: read it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kubernetes.aio.client import (
    ApiClient,
    CoreV1Api,
    CustomObjectsApi,
    V1ConfigMap,
    V1DeleteOptions,
    V1ObjectMeta,
    V1OwnerReference,
    V1Preconditions,
)

from scriptix_operator.api.base import replace
from scriptix_operator.api.names import (
    API_VERSION,
    ARGOCD_IGNORE_UPDATES,
    GROUP,
    KIND,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PLURAL,
    RUN_LABEL,
    TRAINING_LABEL,
    VERSION,
)
from scriptix_operator.core.owner import Owner
from scriptix_operator.kube.errors import ConflictError, GoneError, translated

__all__ = ["ConfigMaps", "NameTaken", "StoredConfigMap"]

TIMEOUT = 30.0
"""Seconds for one call; a chunk of 512 KiB is the largest thing sent."""

ATTEMPTS = 5
"""Tries where others write too; only a deposed leader or a person does."""


class NameTaken(Exception):  # noqa: N818 - named as the state it becomes
    """The name of an object beside a resource belongs to somebody else.

    Args:
        name: Name of the ConfigMap.
        holder: Who has it, for people.
    """

    def __init__(self, name: str, holder: str) -> None:
        super().__init__(
            f"ConfigMap {name} is {holder}; delete or rename it, or give the training another name"
        )
        self.name = name
        self.holder = holder


@dataclass(frozen=True, slots=True)
class StoredConfigMap:
    """An object of ours as it was read."""

    raw: V1ConfigMap

    @property
    def data(self) -> dict[str, str]:
        """Its data."""
        return self.raw.data or {}

    def holds(self, data: Mapping[str, str], labels: Mapping[str, str]) -> bool:
        """Whether it has exactly this data, and these labels among others."""
        present = _metadata(self.raw).labels or {}
        return self.data == data and labels.items() <= present.items()


class ConfigMaps:
    """Reads, writes and deletes them by name; never lists.

    Args:
        api: The cluster; opened and closed by the caller.
    """

    def __init__(self, api: ApiClient) -> None:
        self._core = CoreV1Api(api)
        self._resources = CustomObjectsApi(api)

    async def get(self, owner: Owner, name: str) -> StoredConfigMap | None:
        """Read an object of `owner`.

        Returns:
            None if there is none, or only that of a dead resource.

        Raises:
            NameTaken: It belongs to somebody else.
        """
        found = await self._read(owner.namespace, name)
        if found is None:
            return None
        controller = _controller(found)
        if controller is not None and controller.uid == owner.uid:
            return StoredConfigMap(found)
        if _is_namesake(controller, owner):
            return None
        raise NameTaken(name, _describe(controller))

    async def put(self, owner: Owner, name: str, data: Mapping[str, str], *, run_id: str) -> bool:
        """Make the object hold `data`, and nothing else, in one write.

        Returns:
            Whether it was written; it is not if nothing would change.

        Raises:
            NameTaken: It belongs to somebody else.
            ConflictError: Others keep writing it.
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
        """Create the object; that of a dead resource is deleted first.

        Raises:
            NameTaken: Somebody else has it.
            ConflictError: `owner` has it already.
        """
        body = V1ConfigMap(
            metadata=V1ObjectMeta(
                name=name,
                labels=_labels(owner, run_id),
                annotations=ARGOCD_IGNORE_UPDATES,
                owner_references=[_reference(owner)],
            ),
            data=dict(data),
            immutable=immutable or None,
        )
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with translated(f"create ConfigMap {owner.namespace}/{name}"):
                    await self._core.create_namespaced_config_map(
                        owner.namespace, body, _request_timeout=TIMEOUT
                    )
            except ConflictError:
                if attempt == ATTEMPTS or await self.get(owner, name) is not None:
                    raise
                await self._delete_dead(owner, name)
            else:
                return

    async def replace(
        self, owner: Owner, stored: StoredConfigMap, data: Mapping[str, str], *, run_id: str
    ) -> bool:
        """Write `data` over what was read; one that a person made immutable is made anew.

        Returns:
            Whether it was written; it is not if nothing would change.

        Raises:
            ConflictError: Somebody wrote or deleted it since.
        """
        labels = _labels(owner, run_id)
        if stored.holds(data, labels):
            return False
        metadata = _metadata(stored.raw)
        name = metadata.name or ""
        if stored.raw.immutable:
            await self._delete(owner.namespace, name, stored.raw)
            await self.create(owner, name, data, run_id=run_id)
            return True
        # A copy: what was read stays as it was. Labels and annotations of others stay too.
        body = replace(
            stored.raw,
            data=dict(data),
            metadata=replace(
                metadata,
                labels={**(metadata.labels or {}), **labels},
                annotations={**(metadata.annotations or {}), **ARGOCD_IGNORE_UPDATES},
            ),
        )
        try:
            with translated(f"replace ConfigMap {owner.namespace}/{name}"):
                await self._core.replace_namespaced_config_map(
                    name, owner.namespace, body, _request_timeout=TIMEOUT
                )
        except GoneError as error:
            raise ConflictError(f"ConfigMap {name} was deleted meanwhile") from error
        return True

    async def delete(self, owner: Owner, name: str) -> bool:
        """Delete an object of `owner`; one of somebody else is left alone.

        Returns:
            Whether there was one of ours.
        """
        try:
            stored = await self.get(owner, name)
        except NameTaken:
            return False  # what stood there before it is gone, which is all that was wanted
        if stored is None:
            return False
        await self._delete(owner.namespace, name, stored.raw)
        return True

    async def _delete_dead(self, owner: Owner, name: str) -> None:
        """Delete what a dead resource of the same name left, once it is certain who is dead."""
        found = await self._read(owner.namespace, name)
        if found is None:
            return
        controller = _controller(found)
        if not _is_namesake(controller, owner) or not await self._is_alive(owner):
            # It may be us who was replaced, with the news still on its way.
            raise NameTaken(name, _describe(controller))
        await self._delete(owner.namespace, name, found)

    async def _is_alive(self, owner: Owner) -> bool:
        try:
            with translated(f"get {KIND} {owner.namespace}/{owner.name}"):
                resource: object = await self._resources.get_namespaced_custom_object(
                    GROUP, VERSION, owner.namespace, PLURAL, owner.name, _request_timeout=TIMEOUT
                )
        except GoneError:
            return False
        metadata = resource.get("metadata") if isinstance(resource, dict) else None
        return isinstance(metadata, dict) and metadata.get("uid") == owner.uid

    async def _read(self, namespace: str, name: str) -> V1ConfigMap | None:
        try:
            with translated(f"get ConfigMap {namespace}/{name}"):
                return await self._core.read_namespaced_config_map(
                    name, namespace, _request_timeout=TIMEOUT
                )
        except GoneError:
            return None

    async def _delete(self, namespace: str, name: str, found: V1ConfigMap) -> None:
        """Delete exactly what was read; another object by now is another case: ConflictError.

        The version counts too: an object may have got another owner since.
        """
        metadata = _metadata(found)
        options = V1DeleteOptions(
            preconditions=V1Preconditions(
                uid=metadata.uid, resource_version=metadata.resource_version
            )
        )
        try:
            with translated(f"delete ConfigMap {namespace}/{name}"):
                await self._core.delete_namespaced_config_map(
                    name, namespace, body=options, _request_timeout=TIMEOUT
                )
        except GoneError:
            return  # gone already


def _labels(owner: Owner, run_id: str) -> dict[str, str]:
    return {MANAGED_BY_LABEL: MANAGED_BY, TRAINING_LABEL: owner.name, RUN_LABEL: run_id}


def _reference(owner: Owner) -> V1OwnerReference:
    """Without blockOwnerDeletion, which would need a right on the owner's finalizers."""
    return V1OwnerReference(
        api_version=API_VERSION, kind=KIND, name=owner.name, uid=owner.uid, controller=True
    )


def _metadata(found: V1ConfigMap) -> V1ObjectMeta:
    return found.metadata or V1ObjectMeta()


def _controller(found: V1ConfigMap) -> V1OwnerReference | None:
    references = _metadata(found).owner_references or []
    return next((reference for reference in references if reference.controller), None)


def _is_namesake(controller: V1OwnerReference | None, owner: Owner) -> bool:
    """Whether it is another incarnation of the same resource."""
    return (
        controller is not None
        and controller.api_version.split("/")[0] == GROUP
        and controller.kind == KIND
        and controller.name == owner.name
        and controller.uid != owner.uid
    )


def _describe(controller: V1OwnerReference | None) -> str:
    return (
        "not controlled by it"
        if controller is None
        else (f"controlled by {controller.kind} {controller.name} ({controller.uid})")
    )
