"""The ConfigMap with the quota left, in the operator's namespace."""

from scriptix_operator.api.names import MANAGED_BY, MANAGED_BY_LABEL
from scriptix_operator.core.scheduling.quota_document import DATA_KEY
from scriptix_operator.kube.api import CONFIG_MAPS, Json, KubeApi, map_of
from scriptix_operator.kube.errors import GoneError, translated

__all__ = ["QuotaConfigMap"]


class QuotaConfigMap:
    """The ConfigMap, written without reading it.

    Args:
        api: The cluster.
        namespace: Namespace of the operator.
        name: Name of the ConfigMap.
    """

    def __init__(self, api: KubeApi, namespace: str, name: str) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._what = f"ConfigMap {namespace}/{name}"

    async def read(self) -> str | None:
        """The document, for `scriptix-operator check`; None if there is none.

        Raises:
            KubeError: The API server did not return the ConfigMap.
        """
        try:
            with translated(f"get {self._what}"):
                found = await self._api.get(CONFIG_MAPS.path(self._namespace, self._name))
                return map_of(found, "data").get(DATA_KEY)
        except GoneError:
            return None

    async def write(self, text: str) -> None:
        """Write the document over any other, or create the ConfigMap.

        Raises:
            KubeError: The API server refused the write, or did not reply; then it may be written.
        """
        # Without a resourceVersion: only the leader writes, and an edit by others is of no use.
        metadata: Json = {"name": self._name, "labels": {MANAGED_BY_LABEL: MANAGED_BY}}
        body: Json = {"metadata": metadata, "data": {DATA_KEY: text}}
        try:
            with translated(f"write {self._what}"):
                await self._api.replace(CONFIG_MAPS.path(self._namespace, self._name), body)
        except GoneError:
            with translated(f"create {self._what}"):
                await self._api.create(CONFIG_MAPS.path(self._namespace), body)
