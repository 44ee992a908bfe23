"""Reading CustomModelTrainings and writing their status."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from kubernetes.aio.client import ApiClient, CustomObjectsApi

from scriptix_operator.api.names import API_VERSION, GROUP, KIND, PLURAL, VERSION
from scriptix_operator.api.status import MAX_CONDITIONS, TrainingStatus
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.kube.errors import RefusedError, UnavailableError, translated
from scriptix_operator.kube.merge_patch import merge_patch
from scriptix_operator.kube.parsing import Raw, UnreadableError, key_of, parse_training

__all__ = [
    "ALL",
    "Raw",
    "Trainings",
    "UnreadableError",
    "dump_status",
    "key_of",
    "parse_training",
    "show_scope",
    "status_patch",
]

ALL = ""
"""In place of a namespace: all of them, with one list."""

TIMEOUT = 15.0
"""Seconds for one request to the API server."""
PAGE = 500
"""Resources a list request asks for at once: the API server's answer stays small."""


def show_scope(scope: str) -> str:
    """A scope in words."""
    return "all namespaces" if scope == ALL else f"namespace {scope}"


def dump_status(status: TrainingStatus) -> dict[str, Any]:
    """Status as JSON: what is absent or empty is left out."""
    dumped = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {key: value for key, value in dumped.items() if value != []}


def status_patch(training: Training, status: TrainingStatus) -> dict[str, Any]:
    """The merge patch that turns the status of `training` into `status`.

    It has no field that cannot be read. A list is replaced whole, so it has the conditions of
    others, too.
    """
    patch = merge_patch(dump_status(training.status), dump_status(status))
    for found in training.unreadable:
        patch.pop(found.top.removeprefix("status."), None)
    foreign = training.foreign_conditions
    if foreign and "conditions" in patch:
        most = max(MAX_CONDITIONS, len(training.status.conditions) + len(foreign))
        patch["conditions"] = [*(patch["conditions"] or ()), *foreign][:most]
    return patch


class Trainings:
    """CustomModelTrainings at the API server.

    Args:
        api: The cluster.
    """

    def __init__(self, api: ApiClient) -> None:
        self._objects = CustomObjectsApi(api)

    async def all(self, namespace: str = ALL) -> AsyncIterator[Raw]:
        """All resources of a namespace, page by page: thousands are never held at once.

        Raises:
            KubeError: The list is not complete.
        """
        token: str | None = None
        while True:
            items, token = await self._page(namespace, token)
            for raw in items:
                yield raw
            if not token:
                break

    async def check_list(self, namespace: str = ALL) -> None:
        """See that a namespace can be listed.

        Raises:
            KubeError: It cannot.
        """
        await self._page(namespace, None, limit=1)

    async def check_watch(self, namespace: str) -> None:
        """See that a namespace can be watched, by a stream of no resource that ends soon.

        Raises:
            KubeError: It cannot.
        """
        with translated(f"watch {PLURAL}"):
            await self._objects.list_namespaced_custom_object(
                GROUP,
                VERSION,
                namespace,
                PLURAL,
                watch=True,
                timeout_seconds=1,
                label_selector=f"{GROUP}/none=none",
                _request_timeout=TIMEOUT,
            )

    async def _page(
        self, namespace: str, token: str | None, limit: int = PAGE
    ) -> tuple[list[Raw], str | None]:
        options: dict[str, Any] = {"limit": limit, "_request_timeout": TIMEOUT}
        if token:
            options["_continue"] = token
        with translated(f"list {PLURAL}"):
            if namespace == ALL:
                page = await self._objects.list_cluster_custom_object(
                    GROUP, VERSION, PLURAL, **options
                )
            else:
                page = await self._objects.list_namespaced_custom_object(
                    GROUP, VERSION, namespace, PLURAL, **options
                )
        read = _object(page)
        items, metadata = read.get("items"), read.get("metadata")
        if not isinstance(items, list) or not isinstance(metadata, dict):
            raise UnavailableError(f"list {PLURAL}: the reply is not a list")
        return items, metadata.get("continue")

    async def get(self, key: TrainingKey) -> Training:
        """The resource as it is now.

        Raises:
            GoneError: It is not there.
            UnreadableError: It cannot be read.
            KubeError: The API server did not give it.
        """
        with translated(f"get {key}"):
            raw = await self._objects.get_namespaced_custom_object(
                GROUP, VERSION, key.namespace, PLURAL, key.name, _request_timeout=TIMEOUT
            )
        return parse_training(_object(raw))

    async def write_status(self, training: Training, status: TrainingStatus) -> Training:
        """Replace the status that `training` has with `status`, if nobody has changed it since.

        Returns:
            The resource as written; `training` itself where there is nothing to write.

        Raises:
            ConflictError: It was changed since; nothing is written.
            GoneError: It is not there.
            RefusedError: The API server refused it, or its schema has dropped a part of it.
            KubeError: The API server did not answer; it may have been written.
        """
        if status == training.status:
            return training  # most looks bring no news, and dumping is slow
        patch = status_patch(training, status)
        if not patch:
            return training
        key = training.key
        raw = await self.patch_status(key, training.uid, training.resource_version, patch)
        written = parse_training(raw)
        if written.status.run != status.run:
            raise RefusedError(
                f"write status of {key}: the API server did not keep status.run as written; "
                "apply the CRD of this operator's version"
            )
        return written

    async def patch_status(
        self, key: TrainingKey, uid: str, resource_version: str, patch: Mapping[str, Any]
    ) -> Raw:
        """Merge a patch into the status of a version of a resource.

        Returns:
            The resource as written.

        Raises:
            ConflictError, GoneError, RefusedError, KubeError: As write_status.
        """
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"resourceVersion": resource_version, "uid": uid},
            "status": patch,
        }
        with translated(f"write status of {key}"):
            raw = await self._objects.patch_namespaced_custom_object_status(
                GROUP,
                VERSION,
                key.namespace,
                PLURAL,
                key.name,
                body,
                field_manager="scriptix-operator",
                field_validation="Strict",
                _content_type="application/merge-patch+json",
                _request_timeout=TIMEOUT,
            )
        return _object(raw)


def _object(raw: object) -> Raw:
    if not isinstance(raw, dict):
        raise RefusedError(f"the API server gave {type(raw).__name__} in place of an object")
    return raw
