"""How the operator reaches its cluster: in a pod by its ServiceAccount, else by kubeconfig."""

import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import yaml
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.rest import RESTClientObject

from scriptix_operator.kube.reachability import Reachability

__all__ = ["ClusterUnreachableError", "configure", "connect", "reachability_of", "reconnect"]

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
        client.rest_client = _Rest(configuration, Reachability())
        yield client


def reachability_of(api: ApiClient) -> Reachability:
    """The record of the replies to a client; for one that `connect` has not made, an empty one."""
    return api.rest_client.reachability if isinstance(api.rest_client, _Rest) else Reachability()


async def reconnect(api: ApiClient, environ: Mapping[str, str] = os.environ) -> None:
    """Read address, CA and credentials again, and use them for all further requests.

    A client reads its CA once, and the token of a kubeconfig, too: otherwise a process would never
    trust a certificate of a new CA. Requests under way fail. If the files cannot be read, the
    client is unchanged and the failure is logged.
    """
    try:
        configuration = await configure(environ)
        renewed = _Rest(configuration, reachability_of(api))
    except (ClusterUnreachableError, OSError, ValueError) as error:
        logger.warning("the cluster's address and credentials cannot be read again: %s", error)
        return
    old, api.rest_client, api.configuration = api.rest_client, renewed, configuration
    await old.close()
    logger.info("the cluster's address and credentials were read again")


class _Rest(RESTClientObject):
    """Notes whether each request has a reply, of any status."""

    def __init__(self, configuration: Configuration, reachability: Reachability) -> None:
        super().__init__(configuration)
        self.reachability = reachability

    async def request(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as the base class
        """Make a request."""
        begun_at = self.reachability.now()
        try:
            reply = await super().request(*args, **kwargs)  # type: ignore[no-untyped-call]
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            self.reachability.failed(begun_at, f"{type(error).__name__} {error}")
            raise
        self.reachability.answered()
        return reply
