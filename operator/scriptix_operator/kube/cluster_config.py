"""Where the API server is, and with which credentials: a pod's ServiceAccount."""

import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["HOST", "ClusterConfig", "in_pod"]

HOST, PORT = "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_AGE = 60.0
"""Seconds after which the token's file is read again: the kubelet replaces the token each hour."""


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """How to reach an API server; any thread may use it.

    Attributes:
        server: The URL, without a slash at its end.
        ssl_context: Reads the CA and the client certificate; raises OSError or ValueError.
        authorization: Returns the Authorization header, None without one; raises OSError.
        proxy: The proxy; None: the connections are direct.
        tls_server_name: The name in the server's certificate, if not that of `server`.
    """

    server: str
    ssl_context: Callable[[], ssl.SSLContext]
    authorization: Callable[[], Awaitable[str | None]]
    proxy: str | None = None
    tls_server_name: str | None = None


def in_pod(
    environ: Mapping[str, str],
    files: Path = SERVICE_ACCOUNT,
    now: Callable[[], float] = time.monotonic,
) -> ClusterConfig:
    """The cluster of the pod that this process runs in; never through a proxy.

    Args:
        environ: The environment variables.
        files: The directory of the ServiceAccount.
        now: Monotonic seconds.

    Raises:
        OSError, ValueError: The ServiceAccount's files or the variables are missing or empty.
    """
    host, port, authority = environ.get(HOST), environ.get(PORT), files / "ca.crt"
    if not host or not port:
        raise ValueError(f"{HOST} and {PORT} are not both set")
    token = _Token(files / "token", now)
    token.read()
    if not authority.read_text(encoding="ascii", errors="replace").strip():
        raise ValueError(f"{authority} is empty")

    async def authorization() -> str:
        return f"Bearer {token.read()}"

    return ClusterConfig(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        ssl_context=lambda: ssl.create_default_context(cafile=str(authority)),
        authorization=authorization,
    )


class _Token:
    """The token in a file, read again when it may have been replaced."""

    def __init__(self, file: Path, now: Callable[[], float]) -> None:
        self._file = file
        self._now = now
        self._known = ("", float("-inf"))

    def read(self) -> str:
        """Return the token.

        Raises:
            OSError: The file cannot be read, or is empty.
        """
        token, read_at = self._known
        now = self._now()
        if now - read_at < TOKEN_AGE:
            return token
        token = self._file.read_text(encoding="ascii").strip()
        if not token:
            raise OSError(f"{self._file} is empty")
        self._known = (token, now)
        return token
