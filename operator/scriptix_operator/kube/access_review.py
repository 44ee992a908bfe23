"""Asks the API server for our identity and our permissions; every identity may ask."""

from dataclasses import replace

from kubernetes.aio.client import (
    ApiClient,
    AuthenticationV1Api,
    AuthorizationV1Api,
    V1ResourceAttributes,
    V1SelfSubjectAccessReview,
    V1SelfSubjectAccessReviewSpec,
    V1SelfSubjectReview,
)

from scriptix_operator.core.cluster.permissions import Right
from scriptix_operator.kube.errors import translated

__all__ = ["missing_verbs", "whoami"]

TIMEOUT = 15.0


async def whoami(api: ApiClient) -> str:
    """The name under which the API server has authenticated us.

    Raises:
        KubeError: The API server did not reply; a RefusedError if it does not know us.
    """
    with translated("ask who we are"):
        review = await AuthenticationV1Api(api).create_self_subject_review(
            V1SelfSubjectReview(), _request_timeout=TIMEOUT
        )
    user = review.status and review.status.user_info
    return (user and user.username) or "an unnamed user"


async def missing_verbs(api: ApiClient, right: Right) -> Right | None:
    """The part of a permission that we lack; None if we have all of it.

    Raises:
        KubeError: The API server did not reply.
    """
    missing = tuple([verb for verb in right.verbs if not await _may(api, verb, right)])
    return replace(right, verbs=missing) if missing else None


async def _may(api: ApiClient, verb: str, right: Right) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = V1ResourceAttributes(
        verb=verb,
        group=right.group,
        resource=resource,
        subresource=subresource,
        namespace=right.namespace,
        name=right.name,
    )
    body = V1SelfSubjectAccessReview(
        spec=V1SelfSubjectAccessReviewSpec(resource_attributes=attributes)
    )
    with translated(f"ask whether we may {verb} {right.resource}"):
        review = await AuthorizationV1Api(api).create_self_subject_access_review(
            body, _request_timeout=TIMEOUT
        )
    return bool(review.status and review.status.allowed)
