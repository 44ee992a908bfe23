"""What the operator must be granted in its cluster, and what each right is for.

`scriptix-operator check` asks for these; tests/operator/rights shows that the shipped roles grant
them and no others, and that the operator uses them all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from scriptix_operator.api.names import CRD_NAME, GROUP, LEASE, LEDGER, PLURAL

__all__ = ["EVERYTHING", "Right", "rights"]


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on one kind of object.

    Args:
        verbs: What is to be done with it.
        group: API group; empty: the core.
        resource: Its plural; `custommodeltrainings/status` for a subresource.
        purpose: What for, for people.
        namespace: Where; empty: in all namespaces, or it is in none.
        name: The only object that is meant; empty: any.
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
        """The rule that a role lacks, as it would stand in YAML."""
        names = f", resourceNames: [{self.name}]" if self.name else ""
        group = self.group or '""'
        return (
            f"{{apiGroups: [{group}], resources: [{self.resource}]{names}, "
            f"verbs: [{', '.join(self.verbs)}]}}"
        )


CRDS = "customresourcedefinitions"
LEASES = "coordination.k8s.io"

OPERATE = Right(("operate",), GROUP, PLURAL, "for the admission policy to apply")
"""What the admission policy knows the operator by, where that serves all namespaces."""
EVERYTHING = Right(("everything",), GROUP, PLURAL, "for nothing")
"""Only a wildcard grants this; the admission policy does not apply to an identity that has it."""

WORK = (
    (("get", "list", "watch"), GROUP, PLURAL, "to see what is to be trained"),
    (("patch",), GROUP, f"{PLURAL}/status", "to note a start before it is made, and tell progress"),
    (("get", "create", "update", "delete"), "", "configmaps", "to keep logs and results"),
    (("get",), "", "secrets", "to read API keys"),
    (("get", "create", "patch"), "", "events", "to tell news"),
)
"""Wherever resources are served."""


def rights(
    *, own: str, watches: Sequence[str], elects: bool, default_secret: str
) -> Iterator[Right]:
    """All that is needed.

    Args:
        own: The operator's own namespace.
        watches: The namespaces that are served; empty: all.
        elects: Whether a Lease says who works.
        default_secret: The Secret with the operator's own key; empty: there is none.
    """
    for namespace in watches or ("",):
        for verbs, group, resource, purpose in WORK:
            yield Right(verbs, group, resource, purpose, namespace)
    if not watches:
        yield OPERATE
    if elects:
        purpose = "to elect who works"
        yield Right(("create",), LEASES, "leases", purpose, own)
        yield Right(("get", "update"), LEASES, "leases", purpose, own, LEASE)
    if watches:  # else it is among the rights in all namespaces
        purpose = "to keep the start ledger"
        yield Right(("create",), "", "configmaps", purpose, own)
        yield Right(("get", "update"), "", "configmaps", purpose, own, LEDGER)
        if default_secret:
            yield Right(("get",), "", "secrets", "to read the default key", own, default_secret)
    yield Right(("get",), "apiextensions.k8s.io", CRDS, "to see that status is kept", name=CRD_NAME)
