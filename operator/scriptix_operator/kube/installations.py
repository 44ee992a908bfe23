"""Operators in the cluster, by their Leases."""

from kubernetes.aio.client import ApiClient, CoordinationV1Api, V1Lease, V1LeaseSpec, V1ObjectMeta

from scriptix_operator.api.names import (
    LEASE,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    PROBLEMS_ANNOTATION,
    WATCHES_ANNOTATION,
)
from scriptix_operator.core.cluster.installation import Installation, watches_of
from scriptix_operator.core.model.text import one_line
from scriptix_operator.kube.errors import GoneError, translated

__all__ = ["installation_in", "installations"]

TIMEOUT = 15.0
PROBLEMS_LIMIT = 1024


async def installations(api: ApiClient) -> list[Installation]:
    """All installations that have a Lease, running or not.

    Raises:
        RefusedError: We may not list Leases; the ServiceAccount of an operator may not.
        KubeError: The API server did not return the Leases.
    """
    with translated("list Leases in all namespaces"):
        found = await CoordinationV1Api(api).list_lease_for_all_namespaces(
            label_selector=f"{MANAGED_BY_LABEL}={MANAGED_BY}", _request_timeout=TIMEOUT
        )
    return [_installation(lease) for lease in found.items if _metadata(lease).name == LEASE]


async def installation_in(api: ApiClient, namespace: str) -> Installation | None:
    """The installation in a namespace; None if there is no Lease.

    Raises:
        KubeError: The API server did not return the Lease.
    """
    try:
        with translated(f"get Lease {namespace}/{LEASE}"):
            return _installation(
                await CoordinationV1Api(api).read_namespaced_lease(
                    LEASE, namespace, _request_timeout=TIMEOUT
                )
            )
    except GoneError:
        return None


def _installation(lease: V1Lease) -> Installation:
    metadata, spec = _metadata(lease), lease.spec or V1LeaseSpec()
    notes = metadata.annotations or {}
    return Installation(
        namespace=metadata.namespace or "",
        watches=watches_of(notes.get(WATCHES_ANNOTATION)),
        holder=spec.holder_identity or "",
        renewed_at=spec.renew_time,
        problems=one_line(notes.get(PROBLEMS_ANNOTATION, ""), PROBLEMS_LIMIT),
    )


def _metadata(lease: V1Lease) -> V1ObjectMeta:
    return lease.metadata or V1ObjectMeta()
