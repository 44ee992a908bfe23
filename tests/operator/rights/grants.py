"""What a ServiceAccount is granted, verb by verb, as the API server has it."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.controlplane.cluster import ControlPlane

RBAC = "/apis/rbac.authorization.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Grant:
    """One verb on one resource, by one binding.

    Args:
        binding: As the API server's reasons name it, `RoleBinding name/namespace` for instance.
        role: Path of the role that is bound.
        group: API group; empty: the core.
        resource: With its subresource, if it is one.
        name: The only object that it is for; empty: any.
        verb: What may be done.
    """

    binding: str
    role: str
    group: str
    resource: str
    name: str
    verb: str

    def __str__(self) -> str:
        where = f"{self.resource}.{self.group}" if self.group else self.resource
        return f"{self.verb} {where} {self.name} by {self.binding}"


def grants_of(control_plane: ControlPlane, namespace: str, account: str) -> set[Grant]:
    """All that is bound to a ServiceAccount by its own name."""
    subject = {"kind": "ServiceAccount", "name": account, "namespace": namespace}
    return {
        grant
        for kind in ("ClusterRoleBinding", "RoleBinding")
        for binding in _get(control_plane, f"{RBAC}/{kind.lower()}s")["items"]
        if subject in binding.get("subjects", ())
        for grant in _grants(control_plane, kind, binding)
    }


def withdraw(control_plane: ControlPlane, grant: Grant) -> None:
    """Take one verb out of a role; other verbs of its rule stay."""
    role = _get(control_plane, grant.role)
    kept = [
        {**rule, "verbs": verbs}
        for rule in role["rules"]
        if (verbs := [verb for verb in rule["verbs"] if not _is(rule, verb, grant)])
    ]
    assert kept != role["rules"], grant
    reply = control_plane.api.put(grant.role, json={**role, "rules": kept})
    assert reply.is_success, reply.text


def _is(rule: dict[str, Any], verb: str, grant: Grant) -> bool:
    return (
        verb == grant.verb
        and grant.group in rule["apiGroups"]
        and grant.resource in rule["resources"]
        and (rule.get("resourceNames", []) == ([grant.name] if grant.name else []))
    )


def _grants(control_plane: ControlPlane, kind: str, binding: dict[str, Any]) -> Iterator[Grant]:
    metadata, reference = binding["metadata"], binding["roleRef"]
    path, label = RBAC, f"{kind} {metadata['name']}"
    if "namespace" in metadata:
        label += f"/{metadata['namespace']}"
    if reference["kind"] == "Role":
        path += f"/namespaces/{metadata['namespace']}"
    path += f"/{reference['kind'].lower()}s/{reference['name']}"
    for rule in _get(control_plane, path)["rules"]:
        for group, resource, name, verb in itertools.product(
            rule["apiGroups"], rule["resources"], rule.get("resourceNames", [""]), rule["verbs"]
        ):
            yield Grant(label, path, group, resource, name, verb)


def _get(control_plane: ControlPlane, path: str) -> dict[str, Any]:
    reply = control_plane.api.get(path)
    assert reply.is_success, reply.text
    document: dict[str, Any] = reply.json()
    return document
