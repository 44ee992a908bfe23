"""Reads CustomModelTrainings and writes their status."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from scriptix_operator.api.names import API_VERSION, GROUP, KIND, MANAGED_BY, PLURAL, VERSION
from scriptix_operator.api.status import MAX_CONDITIONS, TrainingStatus
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.kube.api import Json, KubeApi, ResourceType, map_of
from scriptix_operator.kube.errors import RefusedError, UnavailableError, translated
from scriptix_operator.kube.merge_patch import merge_patch
from scriptix_operator.kube.parsing import Raw, UnreadableError, key_of, parse_training

__all__ = [
    "ALL",
    "TRAININGS",
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
"""In place of a namespace: all namespaces, with one list."""

TRAININGS = ResourceType(GROUP, VERSION, PLURAL)
NO_RESOURCE = f"{GROUP}/none=none"
"""A label selector."""
PAGE = 500
"""Resources in one page of a list request, so that replies stay small."""


def show_scope(scope: str) -> str:
    """A scope as text."""
    return "all namespaces" if scope == ALL else f"namespace {scope}"


def dump_status(status: TrainingStatus) -> dict[str, Any]:
    """Status as JSON, without absent or empty fields."""
    dumped = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {key: value for key, value in dumped.items() if value != []}


def status_patch(training: Training, status: TrainingStatus) -> dict[str, Any]:
    """The merge patch that turns the status of `training` into `status`.

    The patch has no unreadable field. A list is replaced whole, so the patch includes conditions of
    others.
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

    def __init__(self, api: KubeApi) -> None:
        self._api = api

    async def all(self, namespace: str = ALL) -> AsyncIterator[Raw]:
        """All resources of a namespace, page by page: thousands are never in memory at once.

        Raises:
            KubeError: The list is incomplete.
        """
        token: str | None = None
        while True:
            items, token = await self._page(namespace, token)
            for raw in items:
                yield raw
            if not token:
                break

    async def check_list(self, namespace: str = ALL) -> None:
        """Check that a namespace can be listed.

        Raises:
            KubeError: The namespace cannot be listed.
        """
        await self._page(namespace, None, limit=1)

    async def check_watch(self, namespace: str) -> None:
        """Check that a namespace can be watched, by a short stream that matches no resource.

        Raises:
            KubeError: The namespace cannot be watched.
        """
        with translated(f"watch {PLURAL}"):
            await self._api.send(
                "GET",
                TRAININGS.path(namespace),
                {"watch": "true", "timeoutSeconds": "1", "labelSelector": NO_RESOURCE},
            )

    async def _page(
        self, namespace: str, token: str | None, limit: int = PAGE
    ) -> tuple[list[Raw], str | None]:
        query = {"limit": str(limit), **({"continue": token} if token else {})}
        with translated(f"list {PLURAL}"):
            page = await self._api.get(TRAININGS.path(namespace), query)
            next_page = map_of(page, "metadata").get("continue")
        items = page.get("items")
        if not isinstance(items, list):
            raise UnavailableError(f"list {PLURAL}: the reply is not a list")
        return items, next_page

    async def get(self, key: TrainingKey) -> Training:
        """The current version of a resource.

        Raises:
            GoneError: The resource does not exist.
            UnreadableError: The resource cannot be read.
            KubeError: The API server did not return the resource.
        """
        with translated(f"get {key}"):
            raw = await self._api.get(TRAININGS.path(key.namespace, key.name))
        return parse_training(raw)

    async def write_status(self, training: Training, status: TrainingStatus) -> Training:
        """Replace the status of `training` by `status`, unless the resource has changed since.

        Returns:
            The resource as written; `training` itself where there is nothing to write.

        Raises:
            ConflictError: The resource has changed since; nothing is written.
            GoneError: The resource does not exist.
            RefusedError: The API server refused the write, or its schema dropped a part of it.
            KubeError: The API server did not reply; the status may have been written.
        """
        if status == training.status:
            return training  # most polls change nothing, and dumping is slow
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
        body: Json = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"resourceVersion": resource_version, "uid": uid},
            "status": patch,
        }
        with translated(f"write status of {key}"):
            return await self._api.merge(
                TRAININGS.path(key.namespace, key.name, "status"),
                body,
                {"fieldManager": MANAGED_BY, "fieldValidation": "Strict"},
            )
