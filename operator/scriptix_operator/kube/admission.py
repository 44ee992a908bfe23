"""Tests whether the admission policy for ConfigMaps applies: tries a write that it refuses."""

from kubernetes.aio.client import ApiClient, CoreV1Api, V1ConfigMap, V1ObjectMeta

from scriptix_operator.kube.errors import RefusedError, translated

__all__ = ["is_confined"]

TIMEOUT = 15.0
REFUSAL = "may write only ConfigMaps that a CustomModelTraining controls"
"""Part of the refusal of the policy, in all of its versions."""
ALL = "All"


async def is_confined(api: ApiClient, namespace: str) -> bool:
    """Whether the policy refuses us a ConfigMap that no training controls; a dry run.

    Raises:
        KubeError: Unknown: we may not create ConfigMaps, something else refuses the request, or the
            API server did not answer.
    """
    body = V1ConfigMap(metadata=V1ObjectMeta(generate_name="scriptix-operator-check-"))
    try:
        with translated(f"create a ConfigMap in namespace {namespace} (server dry run)"):
            await CoreV1Api(api).create_namespaced_config_map(
                namespace, body, dry_run=ALL, _request_timeout=TIMEOUT
            )
    except RefusedError as error:
        if REFUSAL in str(error):
            return True
        raise
    return False
