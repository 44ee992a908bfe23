"""How the operator reaches its cluster: in a pod by its ServiceAccount, else by kubeconfig."""

import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import yaml

from scriptix_operator.kube.api import KubeApi
from scriptix_operator.kube.cluster_config import HOST, ClusterConfig, in_pod

__all__ = ["ClusterUnreachableError", "configure", "connect", "reconnect"]

logger = logging.getLogger(__name__)


class ClusterUnreachableError(Exception):
    """There is no usable cluster configuration; the message names the places that were tried."""


async def configure(environ: Mapping[str, str] = os.environ) -> ClusterConfig:
    """Load the cluster's address and credentials.

    KUBECONFIG wins, then a pod's ServiceAccount, then ~/.kube/config.

    Raises:
        ClusterUnreachableError: No configuration can be used.
    """
    path = environ.get("KUBECONFIG")
    try:
        if not path and HOST in environ:
            return in_pod(environ)
        # Imported here, since it takes 20 MB that a process in a pod does not need.
        from scriptix_operator.kube.kubeconfig import read_kubeconfig  # noqa: PLC0415

        return await read_kubeconfig(path or None)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ClusterUnreachableError(
            f"no usable cluster configuration: {error}. Set KUBECONFIG, or run in a pod with a "
            "ServiceAccount."
        ) from error


@asynccontextmanager
async def connect(config: ClusterConfig) -> AsyncIterator[KubeApi]:
    """A client that is open during the block."""
    api = KubeApi(config)
    try:
        yield api
    finally:
        await api.close()


async def reconnect(api: KubeApi, environ: Mapping[str, str] = os.environ) -> None:
    """Read address, CA and credentials again, and use them for all further requests.

    A client reads its CA once, and the token of a kubeconfig, too: otherwise a process would never
    trust a certificate of a new CA. Requests under way fail. If the files cannot be read, the
    client is unchanged and the failure is logged.
    """
    try:
        await api.reconnect(await configure(environ))
    except (ClusterUnreachableError, OSError, ValueError) as error:
        logger.warning("the cluster's address and credentials cannot be read again: %s", error)
    else:
        logger.info("the cluster's address and credentials were read again")
