"""The start ledger as a ConfigMap in the operator's namespace, written by compare-and-set."""

import json

from pydantic import ValidationError

from scriptix_operator.api.names import MANAGED_BY, MANAGED_BY_LABEL
from scriptix_operator.core.ledger.ledger import Ledger
from scriptix_operator.kube.api import CONFIG_MAPS, Json, KubeApi, map_of
from scriptix_operator.kube.errors import ConflictError, GoneError, translated

__all__ = ["LedgerConfigMap", "LedgerUnreadableError", "dump"]

ENTRY = "ledger"
"""The key of the ConfigMap's data."""


class LedgerUnreadableError(Exception):
    """The content of the ledger cannot be read, after an edit, for instance."""

    def __init__(self, version: str, why: str) -> None:
        super().__init__(why)
        self.version = version
        """resourceVersion of the object: a new ledger may be written over it."""


class LedgerConfigMap:
    """The ConfigMap of the start ledger.

    Args:
        api: The cluster.
        namespace: Namespace of the operator.
        name: Name of the ConfigMap.
    """

    def __init__(self, api: KubeApi, namespace: str, name: str) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._what = f"ledger {namespace}/{name}"

    async def read(self) -> tuple[Ledger, str] | None:
        """The ledger and its version; None if there is no ledger.

        Raises:
            LedgerUnreadableError: The ConfigMap holds something else.
            KubeError: The API server did not return the ConfigMap.
        """
        try:
            with translated(f"get {self._what}"):
                found = await self._api.get(CONFIG_MAPS.path(self._namespace, self._name))
                version, data = _version(found), map_of(found, "data")
        except GoneError:
            return None
        try:
            return Ledger.model_validate_json(data[ENTRY]), version
        except KeyError:
            raise LedgerUnreadableError(version, f"it has no data.{ENTRY}") from None
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise LedgerUnreadableError(version, f"{where}: {first['msg']}") from error

    async def write(self, ledger: Ledger, version: str | None) -> str:
        """Replace the version that was read by `ledger`; None: create the ConfigMap.

        Returns:
            The new version.

        Raises:
            ConflictError: The cluster has another version.
            KubeError: The API server refused the write, or did not reply; then it may be written.
        """
        metadata: Json = {"name": self._name, "labels": {MANAGED_BY_LABEL: MANAGED_BY}}
        body: Json = {"metadata": metadata, "data": {ENTRY: dump(ledger)}}
        try:
            with translated(f"write {self._what}"):
                if version is None:
                    written = await self._api.create(CONFIG_MAPS.path(self._namespace), body)
                else:
                    metadata["resourceVersion"] = version
                    path = CONFIG_MAPS.path(self._namespace, self._name)
                    written = await self._api.replace(path, body)
                return _version(written)
        except GoneError as error:
            raise ConflictError(f"{self._what} was deleted meanwhile") from error


def dump(ledger: Ledger) -> str:
    """The ledger as text, as the ConfigMap holds it."""
    dumped = ledger.model_dump(mode="json", by_alias=True, exclude_none=True)
    return json.dumps(dumped, separators=(",", ":"), sort_keys=True)


def _version(found: Json) -> str:
    return str(map_of(found, "metadata").get("resourceVersion", ""))
