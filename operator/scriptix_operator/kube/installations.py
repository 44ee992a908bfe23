"""Operators in the cluster, by their Leases."""

from scriptix_operator.api.names import (
    LEASE,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PROBLEMS_ANNOTATION,
    WATCHES_ANNOTATION,
)
from scriptix_operator.core.cluster.installation import Installation, watches_of
from scriptix_operator.core.model.text import one_line
from scriptix_operator.kube.api import LEASES, Json, KubeApi, map_of
from scriptix_operator.kube.errors import GoneError, translated
from scriptix_operator.kube.lease import read_lease

__all__ = ["installation_in", "installations"]

PROBLEMS_LIMIT = 1024
OURS = {"labelSelector": f"{MANAGED_BY_LABEL}={MANAGED_BY}"}


async def installations(api: KubeApi) -> list[Installation]:
    """All installations that have a Lease, running or not.

    Raises:
        RefusedError: We may not list Leases; the ServiceAccount of an operator may not.
        KubeError: The API server did not return the Leases.
    """
    with translated("list Leases in all namespaces"):
        found = await api.get(LEASES.path(), OURS)
        leases = [raw for raw in found.get("items") or () if _is_named(raw)]
        return [_installation(raw) for raw in leases]


async def installation_in(api: KubeApi, namespace: str) -> Installation | None:
    """The installation in a namespace; None if there is no Lease.

    Raises:
        KubeError: The API server did not return the Lease.
    """
    try:
        with translated(f"get Lease {namespace}/{LEASE}"):
            return _installation(await api.get(LEASES.path(namespace, LEASE)))
    except GoneError:
        return None


def _is_named(raw: Json) -> bool:
    return map_of(raw, "metadata").get("name") == LEASE


def _installation(raw: Json) -> Installation:
    lease = read_lease(raw)
    return Installation(
        namespace=str(lease.metadata.get("namespace", "")),
        watches=watches_of(lease.annotations.get(WATCHES_ANNOTATION)),
        holder=lease.holder,
        renewed_at=lease.renewed_at,
        problems=one_line(lease.annotations.get(PROBLEMS_ANNOTATION, ""), PROBLEMS_LIMIT),
    )
