"""Tests whether the admission policy for ConfigMaps applies: tries a write that it refuses."""

from scriptix_operator.kube.api import CONFIG_MAPS, KubeApi
from scriptix_operator.kube.errors import RefusedError, translated

__all__ = ["is_confined"]

REFUSAL = "may write only ConfigMaps that a CustomModelTraining controls"
"""Part of the refusal of the policy, in all of its versions."""
DRY_RUN = {"dryRun": "All"}


async def is_confined(api: KubeApi, namespace: str) -> bool:
    """Whether the policy refuses us a ConfigMap that no training controls; a dry run.

    Raises:
        KubeError: Unknown: we may not create ConfigMaps, something else refuses the request, or the
            API server did not answer.
    """
    body = {"metadata": {"generateName": "scriptix-operator-check-"}}
    try:
        with translated(f"create a ConfigMap in namespace {namespace} (server dry run)"):
            await api.create(CONFIG_MAPS.path(namespace), body, DRY_RUN)
    except RefusedError as error:
        if REFUSAL in str(error):
            return True
        raise
    return False
