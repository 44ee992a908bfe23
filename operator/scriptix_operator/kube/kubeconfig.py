"""The API server that a kubeconfig names; as kubectl, through the proxy of the environment.

A process in a pod does not import this module, nor with it the kubernetes package (connection.py).
"""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from kubernetes.aio import config
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject

from scriptix_operator.kube.cluster_config import ClusterConfig

__all__ = ["read_kubeconfig"]


async def read_kubeconfig(path: str | None) -> ClusterConfig:
    """The cluster of the current context.

    Args:
        path: The kubeconfig; None: ~/.kube/config.

    Raises:
        OSError, ValueError, yaml.YAMLError: The kubeconfig cannot be used.
    """
    configuration = Configuration()
    try:
        await config.load_kube_config(
            config_file=path, client_configuration=configuration, persist_config=False
        )
    except config.ConfigException as error:
        raise ValueError(str(error)) from error

    async def authorization() -> str | None:
        try:
            header: str | None = await configuration.get_api_key_with_prefix(
                "BearerToken", alias="authorization"
            )
        except config.ConfigException as error:
            raise OSError(str(error)) from error
        if header is None and configuration.username:
            header = configuration.get_basic_auth_token()
        return header

    server = configuration.host.rstrip("/")
    return ClusterConfig(
        server=server,
        ssl_context=lambda: RESTClientObject(configuration).ssl_context,
        authorization=authorization,
        proxy=configuration.proxy or _environment_proxy(server),
        tls_server_name=configuration.tls_server_name,
    )


def _environment_proxy(server: str) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY name for a URL."""
    url = urlsplit(server)
    if not url.hostname or proxy_bypass(url.hostname):
        return None
    return getproxies().get(url.scheme)
