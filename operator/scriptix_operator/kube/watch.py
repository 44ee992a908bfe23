"""The watch: Kopf's handlers, which hand each event to the engine and return.

Kopf runs in a thread and event loop of its own. In ours it would take over SIGTERM, and on its
way out it cancels every task that is younger than itself (kopf/_core/reactor/running.py), the
engine's included. Polling, status and decisions stay away from it (docs/decisions/0002).
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Self

import kopf
from kubernetes.aio.client import Configuration

from scriptix_operator.api.names import GROUP, PLURAL, VERSION

__all__ = ["Watch"]

RESTART_DELAY = 5.0
"""Seconds before a watch that Kopf gave up (repeated 5xx) is begun anew."""
STOP_TIMEOUT = 10.0

logger = logging.getLogger(__name__)

Sink = Callable[[str | None, dict[str, Any]], None]
"""Takes the watch event's type (None: from the initial list) and the raw object."""


class Watch:
    """Feeds watch events of all trainings into a sink, on the caller's loop.

    Args:
        configuration: The cluster.
        namespaces: What to watch; empty: all.
    """

    def __init__(self, configuration: Configuration, namespaces: Sequence[str]) -> None:
        self._configuration = configuration
        self._namespaces = tuple(namespaces)
        self._stop = threading.Event()
        self._ended: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        """Nothing is watched before `run`."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Wait for Kopf to close its connections, for a bounded time."""
        self._stop.set()
        if self._ended is None:
            return
        _done, running = await asyncio.wait({self._ended}, timeout=STOP_TIMEOUT)
        if running:
            logger.warning("the watch did not end within %s s; left behind", STOP_TIMEOUT)

    async def run(self, sink: Sink) -> None:
        """Watch until cancelled; then the watch is told to stop, but not waited for.

        Args:
            sink: Called on this loop with each event.

        Raises:
            RuntimeError: The watch's thread has died.
        """
        loop = asyncio.get_running_loop()
        self._ended = ended = loop.create_future()
        # A daemon: were Kopf to hang, the process could still end.
        threading.Thread(target=self._work, args=(loop, sink), name="kopf", daemon=True).start()
        try:
            await asyncio.shield(ended)
        finally:
            self._stop.set()
        raise RuntimeError("the watch's thread has died")

    def _work(self, loop: asyncio.AbstractEventLoop, sink: Sink) -> None:
        """Be the thread: watch until told to stop."""
        try:
            while not self._stop.is_set():
                try:
                    asyncio.run(self._operate(loop, sink))
                except Exception:
                    # The engine's own periodic list covers the gap.
                    logger.exception("the watch ended; it begins anew in %s s", RESTART_DELAY)
                self._stop.wait(RESTART_DELAY)
        except BaseException:
            logger.exception("the watch's thread dies")
        finally:
            with contextlib.suppress(RuntimeError):  # the loop was closed without waiting for us
                loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    async def _operate(self, loop: asyncio.AbstractEventLoop, sink: Sink) -> None:
        await kopf.operator(
            registry=self._registry(loop, sink),
            settings=_settings(),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
            stop_flag=self._stop,
        )

    def _registry(self, loop: asyncio.AbstractEventLoop, sink: Sink) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        async def login(**_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401 - kopf's kwargs
            return await _connection_info(self._configuration)

        @kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)
        async def seen(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 - kopf's kwargs
            raw: Any = event["object"]
            if not self._stop.is_set():
                loop.call_soon_threadsafe(sink, event["type"], raw)

        return registry


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True  # no list/watch of namespaces and CRDs, so no rights for it
    settings.peering.standalone = True
    return settings


async def _connection_info(configuration: Configuration) -> kopf.ConnectionInfo:
    header = await configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
    scheme, _, token = (header or "").rpartition(" ")
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        insecure=not configuration.verify_ssl,
        username=configuration.username or None,
        password=configuration.password or None,
        scheme=scheme or None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        trust_env=True,
    )
