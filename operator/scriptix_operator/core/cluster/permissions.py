"""The permissions that the operator needs in its cluster, and what each one is for.

`scriptix-operator check` verifies them; tests/operator/rights shows that the shipped roles grant
them and no others, and that the operator uses them all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scriptix_operator.api.names import CRD_NAME, GROUP, LEASE, LEDGER, PLURAL, QUOTA

__all__ = ["EVERYTHING", "Right", "rights"]


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on one kind of object.

    Args:
        verbs: The verbs.
        group: API group; empty: the core group.
        resource: Plural of the kind; `custommodeltrainings/status` for a subresource.
        purpose: What the permission is for, for people.
        namespace: The namespace; empty: all namespaces, or a cluster-scoped kind.
        name: The only object; empty: any.
    """

    verbs: tuple[str, ...]
    group: str
    resource: str
    purpose: str
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        what = f"{', '.join(self.verbs)} {self.resource}"
        if self.group:
            what += f".{self.group}"
        if self.name:
            what += f" {self.name}"
        if self.namespace:
            return f"{what} in namespace {self.namespace}"
        return what if self.resource == CRDS else f"{what} in all namespaces"

    @property
    def rule(self) -> str:
        """The rule that a role lacks, as YAML."""
        names = f", resourceNames: [{self.name}]" if self.name else ""
        group = self.group or '""'
        return (
            f"{{apiGroups: [{group}], resources: [{self.resource}]{names}, "
            f"verbs: [{', '.join(self.verbs)}]}}"
        )


CRDS = "customresourcedefinitions"
LEASES = "coordination.k8s.io"

OPERATE = Right(("operate",), GROUP, PLURAL, "for the admission policy to apply")
"""The permission by which the admission policy knows an operator that serves all namespaces."""
EVERYTHING = Right(("everything",), GROUP, PLURAL, "for nothing")
"""Only a wildcard grants this; the admission policy does not apply to an identity that has it."""

WORK = (
    (("get", "list", "watch"), GROUP, PLURAL, "to see what is to be trained"),
    (("patch",), GROUP, f"{PLURAL}/status", "to record starts and progress"),
    (("get", "create", "update", "delete"), "", "configmaps", "to keep logs and results"),
    (("get",), "", "secrets", "to read API keys"),
    (("get", "create", "patch"), "", "events", "to publish events"),
)
"""Permissions in each namespace with resources."""


def rights(
    *,
    own: str,
    watches: Sequence[str],
    elects: bool,
    default_secret: str,
    notification_secret: str = "",
) -> Iterator[Right]:
    """All permissions that are needed.

    Args:
        own: The operator's own namespace.
        watches: The namespaces that are served; empty: all.
        elects: Whether leader election is on.
        default_secret: The Secret with the operator's own key; empty: there is none.
        notification_secret: The Secret that signs notifications; empty: they are off.
    """
    for namespace in watches or ("",):
        for verbs, group, resource, purpose in WORK:
            yield Right(verbs, group, resource, purpose, namespace)
    if not watches:
        yield OPERATE
    if elects:
        purpose = "to elect a leader"
        yield Right(("create",), LEASES, "leases", purpose, own)
        yield Right(("get", "update"), LEASES, "leases", purpose, own, LEASE)
    if watches:  # else included in the permissions in all namespaces
        purpose = "to keep the start ledger"
        yield Right(("create",), "", "configmaps", purpose, own)
        yield Right(("get", "update"), "", "configmaps", purpose, own, LEDGER)
        purpose = "to publish the quota left"
        yield Right(("get", "update"), "", "configmaps", purpose, own, QUOTA)
        if default_secret:
            yield Right(("get",), "", "secrets", "to read the default key", own, default_secret)
        if notification_secret:
            purpose = "to sign notifications"
            yield Right(("get",), "", "secrets", purpose, own, notification_secret)
    yield Right(("get",), "apiextensions.k8s.io", CRDS, "to see that status is kept", name=CRD_NAME)
