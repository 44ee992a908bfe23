"""Clusters for tests of one class: an address, without TLS and credentials."""

import ssl

from scriptix_operator.kube.cluster_config import ClusterConfig

__all__ = ["a_cluster"]


def a_cluster(server: str, header: str | None = None) -> ClusterConfig:
    """A cluster at a URL; `header` is the Authorization."""

    async def authorization() -> str | None:
        return header

    return ClusterConfig(server, lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), authorization)
