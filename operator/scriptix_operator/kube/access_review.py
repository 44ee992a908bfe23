"""Asks the API server for our identity and our permissions; every identity may ask."""

from dataclasses import replace

from scriptix_operator.core.cluster.permissions import Right
from scriptix_operator.kube.api import KubeApi, ResourceType, map_of
from scriptix_operator.kube.errors import translated

__all__ = ["missing_verbs", "whoami"]

IDENTITIES = ResourceType("authentication.k8s.io", "v1", "selfsubjectreviews")
PERMISSIONS = ResourceType("authorization.k8s.io", "v1", "selfsubjectaccessreviews")


async def whoami(api: KubeApi) -> str:
    """The name under which the API server has authenticated us.

    Raises:
        KubeError: The API server did not reply; a RefusedError if it does not know us.
    """
    with translated("ask who we are"):
        review = await api.create(IDENTITIES.path(), {})
        user = map_of(map_of(review, "status"), "userInfo")
    return str(user.get("username") or "an unnamed user")


async def missing_verbs(api: KubeApi, right: Right) -> Right | None:
    """The part of a permission that we lack; None if we have all of it.

    Raises:
        KubeError: The API server did not reply.
    """
    missing = tuple([verb for verb in right.verbs if not await _may(api, verb, right)])
    return replace(right, verbs=missing) if missing else None


async def _may(api: KubeApi, verb: str, right: Right) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "verb": verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": right.namespace,
        "name": right.name,
    }
    with translated(f"ask whether we may {verb} {right.resource}"):
        body = {"spec": {"resourceAttributes": attributes}}
        review = await api.create(PERMISSIONS.path(), body)
        return map_of(review, "status").get("allowed") is True
