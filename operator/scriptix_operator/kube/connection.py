"""How the operator reaches its cluster: in a pod by its ServiceAccount, else by kubeconfig."""

import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import yaml
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.rest import RESTClientObject

__all__ = ["ClusterUnreachableError", "configure", "connect", "reconnect"]

logger = logging.getLogger(__name__)


class ClusterUnreachableError(Exception):
    """There is no usable cluster configuration; the message names the places that were tried."""


async def configure(environ: Mapping[str, str] = os.environ) -> Configuration:
    """Load the cluster's address and credentials.

    KUBECONFIG wins, then a pod's ServiceAccount, then ~/.kube/config.

    Raises:
        ClusterUnreachableError: No configuration can be used.
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
    except (config.ConfigException, OSError, ValueError, yaml.YAMLError) as error:
        raise ClusterUnreachableError(
            f"no usable cluster configuration: {error}. Set KUBECONFIG, or run in a pod with a "
            "ServiceAccount."
        ) from error
    return configuration


@asynccontextmanager
async def connect(configuration: Configuration) -> AsyncIterator[ApiClient]:
    """An API client that is open during the block."""
    async with ApiClient(configuration) as client:
        yield client


async def reconnect(api: ApiClient, environ: Mapping[str, str] = os.environ) -> None:
    """Read address, CA and credentials again, and use them for all further requests.

    A client reads its CA once, and the token of a kubeconfig, too: otherwise a process would never
    trust a certificate of a new CA. Requests under way fail. If the files cannot be read, the
    client is unchanged and the failure is logged.
    """
    try:
        configuration = await configure(environ)
        renewed = RESTClientObject(configuration)
    except (ClusterUnreachableError, OSError, ValueError) as error:
        logger.warning("the cluster's address and credentials cannot be read again: %s", error)
        return
    old, api.rest_client, api.configuration = api.rest_client, renewed, configuration
    await old.close()
    logger.info("the cluster's address and credentials were read again")
