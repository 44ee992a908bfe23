"""The API server's audit log: the requests of each user, and the bindings that allowed them."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.controlplane.cluster import ControlPlane
from tests.operator.rights.grants import Grant

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],  # before anything is decided
    "rules": [
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}
LOG = "audit.log"
ALLOWED_BY = re.compile(r'RBAC: allowed by (?P<kind>\w+) "(?P<name>[^"]+)" of ')


def audited(directory: Path) -> list[str]:
    """Write the policy; returns the flags that make an API server follow it, line by line."""
    policy = directory / "audit-policy.yaml"
    policy.write_text(yaml.safe_dump(POLICY))
    return [
        f"--audit-policy-file={policy}",
        f"--audit-log-path={directory / LOG}",
        "--audit-log-mode=blocking",
    ]


@dataclass(frozen=True, slots=True)
class Request:
    """One request for an object, and the binding that allowed the request; None: forbidden."""

    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    binding: str | None

    def uses(self, grant: Grant) -> bool:
        """Whether this grant allowed the request."""
        mine = (self.binding, self.group, self.resource, self.verb)
        theirs = (grant.binding, grant.group, grant.resource, grant.verb)
        return mine == theirs and grant.name in {"", self.name}


class Audit:
    """The requests of a user since this object was created."""

    def __init__(self, control_plane: ControlPlane, user: str) -> None:
        self._log = control_plane.directory / LOG
        self._user = user
        self._begin = self._log.stat().st_size if self._log.exists() else 0

    def requests(self) -> set[Request]:
        """The requests recorded so far, without requests for no object, such as /apis."""
        return set(self._requests())

    def needed(self, grants: set[Grant]) -> set[Grant]:
        """Return the grants that are needed: each is the only one that allowed some request."""
        allowing = [
            [grant for grant in grants if request.uses(grant)] for request in self.requests()
        ]
        return {found[0] for found in allowing if len(found) == 1}

    def _requests(self) -> Iterator[Request]:
        with self._log.open("rb") as file:
            file.seek(self._begin)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # the file is being written
                event = json.loads(line)
                if event["user"]["username"] == self._user and "objectRef" in event:
                    yield _request(event)


def _request(event: dict[str, Any]) -> Request:
    target, notes = event["objectRef"], event["annotations"]
    resource = "/".join(filter(None, (target["resource"], target.get("subresource"))))
    binding = None
    if notes["authorization.k8s.io/decision"] == "allow":
        found = ALLOWED_BY.match(notes["authorization.k8s.io/reason"])
        assert found is not None, notes
        binding = f"{found['kind']} {found['name']}"
    return Request(
        verb=event["verb"],
        group=target.get("apiGroup", ""),
        resource=resource,
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        binding=binding,
    )
