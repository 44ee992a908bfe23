"""One Kopf in its own thread and event loop, from its start to its end.

In the engine's loop Kopf would take over SIGTERM, and at its end it cancels every task that is
younger than itself (kopf/_core/reactor/running.py), the engine's included (docs/decisions/0002).
Cancelling its task ends Kopf. A stop flag would not do: Kopf waits for a threading flag in the
loop's executor, and `asyncio.run` waits for that thread before it returns (docs/decisions/0028).
"""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from weakref import WeakSet

import aiohttp

from scriptix_operator.api.names import GROUP, PLURAL, VERSION
from scriptix_operator.core.model.text import one_line
from scriptix_operator.kube.cluster_config import ClusterConfig
from scriptix_operator.kube.kopf_import import kopf
from scriptix_operator.kube.streams import Scope, Streams

__all__ = ["EmbeddedKopf", "Sink"]

TICK = 0.5
"""Seconds between checks of the streams."""
STOP_TIMEOUT = 2.5
"""Seconds that a cancelled Kopf may take to end; then its thread is abandoned."""
STUCK_AFTER = 30.0
"""Seconds without a check after which the thread counts as stuck."""
CLOSE_TIMEOUT = 5.0
"""Most seconds that the loop keeps running after Kopf has ended, until connections are closed."""
CLOSE_CHECK = 0.05
"""Seconds between checks of the connections."""
PAGE = 500
"""Resources in one page of a list request."""
REQUEST_TIMEOUT = 15.0
BACKOFFS = (1.0, 1.0, 2.0, 3.0)
"""Seconds between the attempts of one request, each below `IDLE_LIMIT`. After the last one Kopf
ends, and is restarted."""
IDLE_TIMEOUT = 0.1
"""Seconds after which the task that handles the events of one resource ends. It keeps the resource
that it handled last, so a list of thousands would be held in memory for the time."""
SILENCE_LIMIT = 70.0
"""Seconds without an event after which a stream is reopened. The API server sends a bookmark at
least each minute, so a stream that is silent for longer has lost its connection."""
TEXT_LIMIT = 512

Sink = Callable[[str | None, dict[str, Any]], None]
"""Takes the watch event's type (None: from the initial list) and the raw object."""


class KopfEndedError(Exception):
    """Kopf does not watch any more."""


class EmbeddedKopf:
    """Feeds the watch events of some namespaces into a sink, on the caller's loop, once.

    Args:
        config: The cluster; its files are read at `start`.
        namespaces: What to watch; None: all.
        sink: Called on the caller's loop with each event, until `stop`.
    """

    def __init__(
        self, config: ClusterConfig, namespaces: frozenset[str] | None, sink: Sink
    ) -> None:
        self._config = config
        self._namespaces = namespaces
        self._sink = sink
        self._caller = asyncio.get_running_loop()
        self._is_stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._refusal: str | None = None
        self._sockets: WeakSet[socket.socket] = WeakSet()
        self._checked_at = time.monotonic()
        scopes: frozenset[Scope] = frozenset({None}) if namespaces is None else namespaces
        self.streams = Streams(scopes, time.monotonic)
        self.ended: asyncio.Future[str] = self._caller.create_future()
        """Why Kopf has ended, as text; set even if the thread itself cannot end."""

    def start(self) -> None:
        """Begin to watch."""
        # A daemon thread, so that the process can end although Kopf hangs.
        threading.Thread(target=self._work, name="kopf", daemon=True).start()

    def stop(self) -> None:
        """Stop Kopf soon; the sink is not called any more."""
        self._is_stopped = True
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended
                self._loop.call_soon_threadsafe(self._stop.set)

    @property
    def is_stuck(self) -> bool:
        """Whether the thread has not shown a sign of life for long."""
        return time.monotonic() - self._checked_at > STUCK_AFTER

    def _work(self) -> None:
        """Run the thread."""
        try:
            asyncio.run(self._watch())
        except BaseException as error:  # noqa: BLE001 - whatever ends it is reported
            self._report(_describe(error))

    async def _watch(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        if self._is_stopped:
            self._report("stopped")
            return
        try:
            async with self._session() as session:
                await self._supervise(session, self._stop)
        except Exception as error:  # noqa: BLE001 - whatever ends it is reported
            self._report(_describe(error))
        else:
            self._report("stopped")
        # A TLS connection whose request was cancelled closes only after its peer, and aiohttp does
        # not wait for that. The end is reported already, so this wait delays no restart.
        deadline = time.monotonic() + CLOSE_TIMEOUT
        while time.monotonic() < deadline and (connections := self._open_connections()):
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            await asyncio.sleep(CLOSE_CHECK)

    def _open_connections(self) -> list[socket.socket]:
        return [one for one in tuple(self._sockets) if one.fileno() >= 0]

    def _report(self, text: str) -> None:
        """Report the end before the loop is closed: closing may wait for threads."""

        def end() -> None:
            if not self.ended.done():
                self.ended.set_result(text)

        with contextlib.suppress(RuntimeError):  # the caller's loop was closed without waiting
            self._caller.call_soon_threadsafe(end)

    async def _supervise(self, session: aiohttp.ClientSession, stop: asyncio.Event) -> None:
        """Run Kopf until it ends, is stopped, or does not watch.

        Raises:
            Exception: What ended Kopf.
        """
        kopf_task = asyncio.create_task(self._operate(session), name="kopf")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            while not (kopf_task.done() or stop.is_set()):
                self._checked_at = time.monotonic()
                if abandoned := self.streams.abandoned():
                    raise KopfEndedError(describe_scopes(abandoned))
                await asyncio.wait(
                    {kopf_task, stopping}, timeout=TICK, return_when=asyncio.FIRST_COMPLETED
                )
            if self._refusal is not None:
                raise KopfEndedError(self._refusal)
            if kopf_task.done():
                await kopf_task
                raise KopfEndedError("Kopf has ended without an error")
        finally:
            stopping.cancel()
            kopf_task.cancel()
            await asyncio.wait({kopf_task}, timeout=STOP_TIMEOUT)

    async def _operate(self, session: aiohttp.ClientSession) -> None:
        await kopf.operator(
            registry=self._registry(session),
            settings=_settings(),
            standalone=True,
            clusterwide=self._namespaces is None,
            namespaces=sorted(self._namespaces or ()),
        )

    def _registry(self, session: aiohttp.ClientSession) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()
        server = self._config.server

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.AiohttpSession:  # noqa: ANN401 - kopf's kwargs
            return kopf.AiohttpSession(server=server, aiohttp_session=session)

        @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
        async def seen(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 - kopf's kwargs
            self.streams.active()
            raw: Any = event["object"]
            self._caller.call_soon_threadsafe(self._pass_on, event["type"], raw)

        return registry

    def _pass_on(self, kind: str | None, raw: dict[str, Any]) -> None:
        if not self._is_stopped:
            self._sink(kind, raw)

    def _session(self) -> aiohttp.ClientSession:
        trusted = self._config.ssl_context()  # reads the CA's file, so a new one is used
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=trusted, socket_factory=self._open_socket),
            proxy=self._config.proxy,
            trust_env=False,  # as kube/api.py
            read_bufsize=2**21,
            middlewares=(self._authorize, self.streams.observe),
        )

    def _open_socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _name, _address = address
        connection = socket.socket(family=family, type=kind, proto=protocol)
        self._sockets.add(connection)
        return connection

    async def _authorize(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Send the current token: a ServiceAccount's token is replaced each hour.

        If the API server does not accept the token, this Kopf ends: Kopf's own reaction, another
        login, would be repeated without a pause.
        """
        header = await self._config.authorization()
        if header is not None:
            request.headers["Authorization"] = header
        response = await handler(request)
        if response.status == HTTPStatus.UNAUTHORIZED:
            response.close()
            self._refusal = "HTTP 401: the API server does not accept the operator's credentials"
            if self._stop is not None:
                self._stop.set()
            await asyncio.Event().wait()  # until Kopf is cancelled
        return response


class _NoDiff(kopf.DiffBaseStorage):
    """No record of the last version of a resource.

    Kopf makes the difference between two versions for each event, whether or not a handler takes
    it; ours takes the event alone (docs/decisions/0053). An empty version costs nothing to compare.
    """

    def build(self, *, body: kopf.Body, extra_fields: object = None) -> kopf.BodyEssence:  # noqa: ARG002 - kopf's kwargs
        """Return an empty version."""
        return kopf.BodyEssence()

    def fetch(self, *, body: kopf.Body) -> None:
        """Return no earlier version."""

    def store(self, *, body: object, patch: object, essence: object) -> None:
        """Store nothing: a resource is never patched by Kopf."""


def describe_scopes(scopes: dict[Scope, str]) -> str:
    """The failure of each namespace, as text."""
    texts = (
        f"{'all namespaces' if scope is None else f'namespace {scope}'}: {text}"
        for scope, text in sorted(scopes.items(), key=lambda item: item[0] or "")
    )
    return one_line("; ".join(texts), TEXT_LIMIT)


def _describe(error: BaseException) -> str:
    if isinstance(error, KopfEndedError):
        return str(error)
    return one_line(f"{type(error).__name__} {error}".strip(), TEXT_LIMIT)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True  # no list/watch of namespaces and CRDs: no permissions
    settings.peering.standalone = True
    settings.process.ultimate_exiting_timeout = None  # SIGKILL for the whole process
    settings.networking.request_timeout = REQUEST_TIMEOUT
    settings.networking.connect_timeout = REQUEST_TIMEOUT
    settings.networking.error_backoffs = BACKOFFS
    settings.queueing.exit_timeout = 1.0
    settings.queueing.idle_timeout = IDLE_TIMEOUT
    settings.watching.chunk_size = PAGE
    settings.persistence.diffbase_storage = _NoDiff()
    settings.watching.inactivity_timeout = SILENCE_LIMIT
    return settings
