"""How the operator reaches its cluster: in a pod by its ServiceAccount, else by kubeconfig."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

__all__ = ["ClusterUnreachableError", "configure", "connect"]


class ClusterUnreachableError(Exception):
    """There is no usable cluster configuration; the message says where it was looked for."""


async def configure(environ: Mapping[str, str] = os.environ) -> Configuration:
    """Load the cluster's address and credentials.

    KUBECONFIG wins, then a pod's ServiceAccount, then ~/.kube/config.

    Raises:
        ClusterUnreachableError: None of them can be used.
    """
    configuration = Configuration()
    path = environ.get("KUBECONFIG")
    try:
        if not path and "KUBERNETES_SERVICE_HOST" in environ:
            config.load_incluster_config(client_configuration=configuration)
        else:
            await config.load_kube_config(
                config_file=path or None,
                client_configuration=configuration,
                persist_config=False,
            )
    except config.ConfigException as error:
        raise ClusterUnreachableError(
            f"no usable cluster configuration: {error}. Set KUBECONFIG, or run in a pod with a "
            "ServiceAccount."
        ) from error
    return configuration


@asynccontextmanager
async def connect(configuration: Configuration) -> AsyncIterator[ApiClient]:
    """An API client for as long as the block runs."""
    async with ApiClient(configuration) as client:
        yield client
