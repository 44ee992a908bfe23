"""/healthz, /readyz and /metrics, served from threads so that a stuck event loop is noticed.

Read-only and bounded: one request a connection, no bodies, at most `MAX_CONNECTIONS` at a time
(more are dropped), and a connection that takes longer than `CONNECTION_SECONDS` is cut, even if it
is active.
"""

import gzip
import logging
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Final, Self, cast

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from scriptix_operator.telemetry.health import Heartbeat, Problems, Readiness

__all__ = ["TelemetryServer"]

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 8
"""The kubelet's two probes, two scrapers, and a few people."""
CONNECTION_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.25
"""Seconds between the checks of the accepting thread for slow connections and for a stop."""

PLAIN_TEXT: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class _Page:
    status: HTTPStatus
    body: bytes
    content_type: str = PLAIN_TEXT
    encoding: str | None = None


_Pages = Callable[[str, Message], _Page]
"""Returns the page for a path and request headers."""


class TelemetryServer:
    """Serves health and metrics inside a `with` block.

    Leaving the block ends the accepting thread, which takes up to `POLL_SECONDS`; a request that is
    being answered is left to its daemon thread.

    Args:
        address: IP address (`0.0.0.0` or `::` for all) and port (0 for a free one) to listen on.
        registry: The metrics of /metrics.
        heartbeat: The tasks that /healthz checks.
        readiness: The readiness that /readyz shows.
        problems: The problems that /readyz shows; an outage makes its status 503.
        connection_seconds: Seconds that one connection may last.

    Raises:
        OSError: On entering: the address cannot be listened on.
    """

    def __init__(  # noqa: PLR0913 - all named, all needed
        self,
        address: tuple[str, int],
        *,
        registry: CollectorRegistry,
        heartbeat: Heartbeat,
        readiness: Readiness,
        problems: Problems | None = None,
        connection_seconds: float = CONNECTION_SECONDS,
    ) -> None:
        self._address = address
        self._registry = registry
        self._heartbeat = heartbeat
        self._readiness = readiness
        self._problems = problems or Problems()
        self._connection_seconds = connection_seconds
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port listened on.

        Raises:
            RuntimeError: Outside the `with` block.
        """
        if self._server is None:
            raise RuntimeError("the server is not running")
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._server = _Server(self._address, self._page, self._connection_seconds)
        self._thread = threading.Thread(
            target=self._server.serve_forever,
            args=(POLL_SECONDS,),
            name="telemetry-http",
            daemon=True,
        )
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
        self._server = self._thread = None

    def _page(self, path: str, headers: Message) -> _Page:
        match path.partition("?")[0]:
            case "/healthz":
                return _outcome(" ".join(self._heartbeat.complaints()))
            case "/readyz":
                return self._ready()
            case "/metrics":
                encode, content_type = choose_encoder(headers.get("Accept", ""))
                body = encode(self._registry)
                if "gzip" in headers.get("Accept-Encoding", ""):
                    body = gzip.compress(body, compresslevel=1)
                    return _Page(HTTPStatus.OK, body, content_type, "gzip")
                return _Page(HTTPStatus.OK, body, content_type)
            case _:
                return _Page(HTTPStatus.NOT_FOUND, b"/healthz, /readyz and /metrics are here.\n")

    def _ready(self) -> _Page:
        """503 where nothing is served; otherwise 200, with the problems of a part as text."""
        lines = self._problems.sentences()
        if self._readiness.reason is not None:
            lines.insert(0, self._readiness.reason)
        if self._readiness.reason is not None or self._problems.outage():
            return _outcome("\n".join(lines))
        return _Page(HTTPStatus.OK, "".join(f"{line}\n" for line in ["ok", *lines]).encode())


def _outcome(complaint: str) -> _Page:
    if complaint:
        return _Page(HTTPStatus.SERVICE_UNAVAILABLE, f"{complaint}\n".encode())
    return _Page(HTTPStatus.OK, b"ok\n")


_Request = socket.socket | tuple[bytes, socket.socket]


class _Server(socketserver.ThreadingTCPServer):
    """A thread a connection, a bounded number of them, each for a bounded time."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], pages: _Pages, seconds: float) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.pages = pages
        self.seconds = seconds
        self._lock = threading.Lock()
        self._deadlines: dict[socket.socket, float] = {}
        super().__init__(address, _Handler)

    def process_request(self, request: _Request, client_address: object) -> None:
        connection = cast("socket.socket", request)  # a tuple is for UDP
        with self._lock:
            full = len(self._deadlines) >= MAX_CONNECTIONS
            if not full:
                self._deadlines[connection] = time.monotonic() + self.seconds
        if full:
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def shutdown_request(self, request: _Request) -> None:
        # Called however a connection ends.
        with self._lock:
            self._deadlines.pop(cast("socket.socket", request), None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        now = time.monotonic()
        with self._lock:
            for connection, deadline in self._deadlines.items():
                if now > deadline:
                    # The peer may have closed already; the connection's thread notices either way.
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: _Request, client_address: object) -> None:
        del request, client_address
        # Called while the error is being handled. A client that disconnects is no problem.
        error = sys.exc_info()[1]
        level = logging.DEBUG if isinstance(error, OSError) else logging.ERROR
        log.log(level, "a connection of the telemetry server failed", exc_info=error)


class _Handler(BaseHTTPRequestHandler):
    """Answers one GET or HEAD (HTTP/1.0: the connection ends with it)."""

    server: _Server
    server_version = "scriptix-operator"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(self.server.seconds)

    def do_GET(self) -> None:
        page = self.server.pages(self.path, self.headers)
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        if page.encoding is not None:
            self.send_header("Content-Encoding", page.encoding)
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(page.body)

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        log.debug(format, *args)
