"""Requests to the API server: JSON in, JSON out.

The typed clients of the kubernetes package are not used: importing their models takes 25 MB and a
second (docs/decisions/0053).
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, cast
from urllib.parse import quote, urlencode

import aiohttp
from yarl import URL

from scriptix_operator import __version__
from scriptix_operator.kube.cluster_config import ClusterConfig
from scriptix_operator.kube.errors import ApiError
from scriptix_operator.kube.reachability import Reachability

__all__ = [
    "CONFIG_MAPS",
    "EVENTS",
    "LEASES",
    "SECRETS",
    "Json",
    "KubeApi",
    "ResourceType",
    "map_of",
]

Json = dict[str, Any]
"""An object of the API server, as JSON."""

TIMEOUT = 15.0
"""Seconds for one request, unless the caller has another bound."""
USER_AGENT = f"scriptix-operator/{__version__}"
JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
NO_QUERY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ResourceType:
    """A type of objects, by its place in the API; the core group is empty."""

    group: str
    version: str
    plural: str

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The path of an object, or of all objects."""
        root = ("apis", self.group) if self.group else ("api",)
        scope = ("namespaces", namespace) if namespace else ()
        parts = (*root, self.version, *scope, self.plural, name, subresource)
        return "/" + "/".join(quote(part, safe="") for part in parts if part)


CONFIG_MAPS = ResourceType("", "v1", "configmaps")
EVENTS = ResourceType("", "v1", "events")
LEASES = ResourceType("coordination.k8s.io", "v1", "leases")
SECRETS = ResourceType("", "v1", "secrets")


class KubeApi:
    """A client of the API server; open until `close`.

    Args:
        config: The cluster; its files are read here.
        reachability: Takes in whether each request has a reply.

    Raises:
        OSError, ValueError: A file of the configuration cannot be used.
    """

    def __init__(self, config: ClusterConfig, reachability: Reachability | None = None) -> None:
        self.config = config
        self.reachability = reachability or Reachability()
        self._session = _session(config)

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def reconnect(self, config: ClusterConfig) -> None:
        """Use another configuration for all further requests; those under way fail.

        Raises:
            OSError, ValueError: A file of the configuration cannot be used; nothing is changed.
        """
        old, self._session, self.config = self._session, _session(config), config
        await old.close()

    async def get(
        self, path: str, query: Mapping[str, str] = NO_QUERY, *, seconds: float = TIMEOUT
    ) -> Json:
        """Read an object or a list."""
        return _object(await self.send("GET", path, query, seconds=seconds))

    async def create(
        self,
        path: str,
        body: Json,
        query: Mapping[str, str] = NO_QUERY,
        *,
        seconds: float = TIMEOUT,
    ) -> Json:
        """Create an object."""
        return _object(await self.send("POST", path, query, body, seconds=seconds))

    async def replace(self, path: str, body: Json, *, seconds: float = TIMEOUT) -> Json:
        """Replace an object."""
        return _object(await self.send("PUT", path, NO_QUERY, body, seconds=seconds))

    async def merge(
        self,
        path: str,
        patch: Json,
        query: Mapping[str, str] = NO_QUERY,
        *,
        seconds: float = TIMEOUT,
    ) -> Json:
        """Merge a patch into an object."""
        sent = self.send("PATCH", path, query, patch, MERGE_PATCH, seconds=seconds)
        return _object(await sent)

    async def delete(self, path: str, options: Json, *, seconds: float = TIMEOUT) -> None:
        """Delete an object."""
        await self.send("DELETE", path, NO_QUERY, options, seconds=seconds)

    async def send(  # noqa: PLR0913 - a request is made of as many parts
        self,
        method: str,
        path: str,
        query: Mapping[str, str] = NO_QUERY,
        body: Json | None = None,
        content_type: str = JSON,
        *,
        seconds: float = TIMEOUT,
    ) -> bytes:
        """Make a request.

        Returns:
            The body of the reply.

        Raises:
            ApiError: The API server refuses the request.
            TimeoutError, aiohttp.ClientError, OSError: There is no reply, or the credentials cannot
                be read.
        """
        headers = {"Accept": JSON, "Content-Type": content_type}
        authorization = await self.config.authorization()
        if authorization is not None:
            headers["Authorization"] = authorization
        url = f"{self.config.server}{path}{'?' + urlencode(query) if query else ''}"
        begun_at = self.reachability.now()
        try:
            response = await self._session.request(
                method,
                URL(url, encoded=True),
                data=None if body is None else json.dumps(body).encode(),
                headers=headers,
                timeout=_timeout(seconds),
                server_hostname=self.config.tls_server_name,
            )
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            self.reachability.failed(begun_at, f"{type(error).__name__} {error}")
            raise
        self.reachability.replied(begun_at, response.status)
        content = await response.read()  # which _session has read already
        if not response.ok:
            raise ApiError(response.status, response.reason or "", content)
        return content


def map_of(raw: Mapping[str, Any], field: str) -> Json:
    """A field that holds an object; empty if it is absent.

    Raises:
        ValueError: The field holds something else.
    """
    value = raw.get(field)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{field} is not an object")  # noqa: TRY004 - as any unreadable reply
    return value


def _object(content: bytes) -> Json:
    value = json.loads(content)
    if not isinstance(value, dict):
        raise ValueError("the reply is not an object")  # noqa: TRY004 - as any unreadable reply
    return value


def _session(config: ClusterConfig) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=config.ssl_context()),
        headers={"User-Agent": USER_AGENT},
        proxy=config.proxy,
        # The proxy is known: with trust_env, aiohttp would read ~/.netrc for each request.
        trust_env=False,
        # The session reads the whole body, so that a request is one await for its caller, and ends
        # within its time-out.
        raise_for_status=cast(
            "Callable[[aiohttp.ClientResponse], Awaitable[None]]", aiohttp.ClientResponse.read
        ),
    )


@lru_cache(maxsize=16)
def _timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds)
