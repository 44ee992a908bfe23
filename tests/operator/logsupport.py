"""Helpers of the ConfigMap tests: an owning resource, a client, and ways to crash the client."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from scriptix_operator.api.names import API_VERSION, KIND, PLURAL
from scriptix_operator.core.model.owner import Owner
from scriptix_operator.kube.api import KubeApi
from tests.controlplane.cluster import ControlPlane

RESOURCES = f"/apis/{API_VERSION}/namespaces"
WRITES = {"POST", "PUT", "PATCH", "DELETE"}

Json = dict[str, Any]


class KilledError(Exception):
    """Stands for the end of the process."""


@dataclass(frozen=True)
class Namespace:
    """A namespace, accessed with all permissions."""

    control_plane: ControlPlane
    name: str

    def make_resource(self, name: str = "cardio") -> Owner:
        """Create a CustomModelTraining."""
        body = {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name},
            "spec": {"modelId": 123},
        }
        made = self._call("POST", f"{RESOURCES}/{self.name}/{PLURAL}", body)
        return Owner(self.name, name, made["metadata"]["uid"])

    def delete_resource(self, name: str = "cardio") -> None:
        """Delete the resource; the garbage collector deletes the objects that it owned."""
        self._call("DELETE", f"{RESOURCES}/{self.name}/{PLURAL}/{name}")

    def make(
        self,
        name: str,
        data: dict[str, str],
        reference: Json | None = None,
        labels: dict[str, str] | None = None,
        *,
        immutable: bool = False,
    ) -> Json:
        """Create a ConfigMap, controlled by `reference` where given."""
        metadata: Json = {"name": name, "labels": labels or {}}
        if reference is not None:
            metadata["ownerReferences"] = [reference]
        body = {"metadata": metadata, "data": data, "immutable": immutable or None}
        return self._call("POST", self._path(), body)

    def read(self, name: str) -> Json:
        """Read a ConfigMap."""
        return self._call("GET", f"{self._path()}/{name}")

    def patch(self, name: str, patch: Json) -> Json:
        """Change a ConfigMap by a merge patch."""
        return self._call("PATCH", f"{self._path()}/{name}", patch)

    def delete(self, name: str) -> None:
        """Delete a ConfigMap."""
        self._call("DELETE", f"{self._path()}/{name}")

    def names(self, owner: str = "cardio") -> list[str]:
        """Names of the ConfigMaps beside a resource."""
        items = self._call("GET", self._path())["items"]
        return sorted(
            item["metadata"]["name"]
            for item in items
            if item["metadata"]["name"].startswith(f"{owner}-")
        )

    def _path(self) -> str:
        return f"/api/v1/namespaces/{self.name}/configmaps"

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        reply = self.control_plane.api.request(
            method, path, json=body, headers={"Content-Type": kind}
        )
        assert reply.is_success, reply.text
        document: Json = reply.json()
        return document


def reference_to(owner: Owner, **changes: object) -> Json:
    """The owner reference that the operator writes, with changes."""
    reference = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
    }
    return reference | changes


RESTORED = {
    "app.kubernetes.io/managed-by": "scriptix-operator",
    "scriptix.io/training": "cardio",
    "scriptix.io/run": "r0",
    "velero.io/restore-name": "nightly",
}
"""Labels of a ConfigMap that Velero has restored for the resource cardio, without its owner."""


class Recorder:
    """Counts a client's calls, and ends the client before or after a chosen write.

    Args:
        client: The client whose `send`, which every request uses, is replaced.
    """

    def __init__(self, client: KubeApi) -> None:
        self.calls: list[str] = []
        self._send = client.send
        self._before: int | None = None
        self._after: int | None = None
        self._meanwhile: dict[str, Callable[[], object]] = {}
        client.send = self._call  # type: ignore[method-assign]

    def kill(self, *, before: int | None = None, after: int | None = None) -> None:
        """Die before sending the n-th write from now on (from 0), or before reading its reply."""
        self.calls.clear()
        self._before, self._after = before, after

    def meanwhile(self, call: str, action: Callable[[], object]) -> None:
        """Do `action`, once, just before `call` is sent, for example `PUT cardio-log`."""
        self._meanwhile[call] = action

    @property
    def writes(self) -> list[str]:
        """Calls other than GET since the last `kill`."""
        return [call for call in self.calls if call.split()[0] in WRITES]

    async def _call(  # noqa: PLR0913 - as `send`
        self,
        method: str,
        path: str,
        query: Mapping[str, str] = MappingProxyType({}),
        body: Json | None = None,
        content_type: str = "application/json",
        *,
        seconds: float = 15.0,
    ) -> bytes:
        name = path.rsplit("/", 1)[1]
        if method == "POST" and body is not None:
            name = body["metadata"]["name"]
        is_write = method in WRITES
        number = len(self.writes)
        if is_write and number == self._before:
            raise KilledError
        call = f"{method} {name}"
        self.calls.append(call)
        if action := self._meanwhile.pop(call, None):
            action()
        reply = await self._send(method, path, query, body, content_type, seconds=seconds)
        if is_write and number == self._after:
            raise KilledError
        return reply
