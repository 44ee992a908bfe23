"""The permissions of a ServiceAccount, verb by verb, as the API server stores them."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.controlplane.cluster import ControlPlane

RBAC = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
EFFECT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Grant:
    """One verb on one resource, by one binding.

    Args:
        binding: The name in the API server's reasons, such as `RoleBinding name/namespace`.
        namespace: Namespace of the permission; empty: everywhere.
        role: Path of the bound role.
        group: API group; empty: the core.
        resource: With its subresource, if it is one.
        name: The only object that the permission is for; empty: any.
        verb: The allowed verb.
    """

    binding: str
    namespace: str
    role: str
    group: str
    resource: str
    name: str
    verb: str

    def __str__(self) -> str:
        where = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {where} {self.name} by {self.binding}"


def grants_of(control_plane: ControlPlane, namespace: str, account: str) -> set[Grant]:
    """The permissions that are bound to a ServiceAccount by its own name."""
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    return {
        grant
        for kind in ("ClusterRoleBinding", "RoleBinding")
        for binding in _get(control_plane, f"{RBAC}/{kind.lower()}s")["items"]
        if subject in binding.get("subjects", ())
        for grant in _grants(control_plane, kind, binding)
    }


@contextmanager
def withdrawn(control_plane: ControlPlane, user: str, grant: Grant) -> Iterator[None]:
    """Remove one verb from its role within the block; other verbs of the rule stay."""
    role = _get(control_plane, grant.role)
    kept = [
        {**rule, "verbs": verbs}
        for rule in role["rules"]
        if (verbs := [verb for verb in rule["verbs"] if not _is(rule, verb, grant)])
    ]
    assert kept != role["rules"], grant
    _put_rules(control_plane, grant, kept)
    try:
        _wait_until(control_plane, user, grant, allowed=False)
        yield
    finally:
        _put_rules(control_plane, grant, role["rules"])
        _wait_until(control_plane, user, grant, allowed=True)


def _put_rules(control_plane: ControlPlane, grant: Grant, rules: list[dict[str, Any]]) -> None:
    reply = control_plane.api.patch(
        grant.role,
        json={"rules": rules},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert reply.is_success, reply.text


def _wait_until(control_plane: ControlPlane, user: str, grant: Grant, *, allowed: bool) -> None:
    """Wait until the authorizer has observed the change."""
    resource, _, subresource = grant.resource.partition("/")
    attributes = {
        "verb": grant.verb,
        "group": grant.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": grant.namespace,
        "name": grant.name,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": attributes},
    }
    deadline = time.monotonic() + EFFECT_SECONDS
    while True:
        reply = control_plane.api.post(REVIEWS, json=review)
        assert reply.is_success, reply.text
        if reply.json()["status"]["allowed"] is allowed:
            return
        assert time.monotonic() < deadline, f"{grant}: allowed is not {allowed}"
        time.sleep(0.02)


def _is(rule: dict[str, Any], verb: str, grant: Grant) -> bool:
    return (
        verb == grant.verb
        and grant.group in rule["apiGroups"]
        and grant.resource in rule["resources"]
        and (rule.get("resourceNames", []) == ([grant.name] if grant.name else []))
    )


def _grants(control_plane: ControlPlane, kind: str, binding: dict[str, Any]) -> Iterator[Grant]:
    metadata, reference = binding["metadata"], binding["roleRef"]
    namespace = metadata.get("namespace", "")
    label = f"{kind} {metadata['name']}" + (f"/{namespace}" if namespace else "")
    place = f"/namespaces/{namespace}" if reference["kind"] == "Role" else ""
    path = f"{RBAC}{place}/{reference['kind'].lower()}s/{reference['name']}"
    for rule in _get(control_plane, path)["rules"]:
        for group, resource, name, verb in itertools.product(
            rule["apiGroups"], rule["resources"], rule.get("resourceNames", [""]), rule["verbs"]
        ):
            yield Grant(label, namespace, path, group, resource, name, verb)


def _get(control_plane: ControlPlane, path: str) -> dict[str, Any]:
    reply = control_plane.api.get(path)
    assert reply.is_success, reply.text
    document: dict[str, Any] = reply.json()
    return document
