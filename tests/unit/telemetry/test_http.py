"""telemetry/http.py: over real sockets, with an event loop that is really stuck."""

import asyncio
import gzip
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry, Counter

from scriptix_operator.telemetry.health import UNREACHABLE_AFTER, Heartbeat, Problems, Readiness
from scriptix_operator.telemetry.http import MAX_CONNECTIONS, TelemetryServer

LOOPBACK = "127.0.0.1"
PATIENCE = 30.0


@contextmanager
def serving(
    *,
    heartbeat: Heartbeat | None = None,
    readiness: Readiness | None = None,
    problems: Problems | None = None,
    connection_seconds: float = PATIENCE,
    host: str = LOOPBACK,
) -> Iterator[TelemetryServer]:
    registry = CollectorRegistry()
    Counter("cakes_total", "Cakes eaten.", registry=registry).inc()
    with TelemetryServer(
        (host, 0),
        registry=registry,
        heartbeat=heartbeat or Heartbeat(),
        readiness=readiness or Readiness(),
        problems=problems,
        connection_seconds=connection_seconds,
    ) as server:
        yield server


def ask(
    server: TelemetryServer, path: str, method: str = "GET", host: str = LOOPBACK, **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection(host, server.port, timeout=PATIENCE)
    try:
        connection.request(method, path, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.read(), reply.headers
    finally:
        connection.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for does not happen"
        time.sleep(0.01)


def test_a_stuck_event_loop_is_noticed_and_its_recovery_too() -> None:
    heartbeat = Heartbeat(limit=0.5)
    tick = threading.Event()

    async def work(stop: asyncio.Event) -> None:
        beating = asyncio.create_task(heartbeat.follow_event_loop(interval=0.01))
        await stop.wait()
        beating.cancel()

    with serving(heartbeat=heartbeat) as server, asyncio.Runner() as runner:
        loop, stop = runner.get_loop(), asyncio.Event()
        thread = threading.Thread(target=runner.run, args=(work(stop),), daemon=True)
        thread.start()
        until(lambda: bool(heartbeat._beats))
        until(lambda: ask(server, "/healthz")[:2] == (200, b"ok\n"))

        # A blocking call where none should be: it holds the loop until the test lets go.
        loop.call_soon_threadsafe(tick.wait, PATIENCE)
        until(lambda: ask(server, "/healthz")[0] == 503)
        complaint = ask(server, "/healthz")[1]
        assert complaint.startswith(b"The event loop has shown no sign of life for ")
        assert ask(server, "/metrics")[0] == 200

        tick.set()
        until(lambda: ask(server, "/healthz")[:2] == (200, b"ok\n"))
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_readyz_gives_the_reason_until_ready() -> None:
    readiness = Readiness("Waiting for the CRD.")
    with serving(readiness=readiness) as server:
        assert ask(server, "/readyz")[:2] == (503, b"Waiting for the CRD.\n")
        readiness.set()
        assert ask(server, "/readyz")[:2] == (200, b"ok\n")


def test_readyz_shows_problems_and_fails_on_an_outage() -> None:
    now = [0.0]
    readiness, problems = Readiness(), Problems(lambda: now[0])
    readiness.set()
    with serving(readiness=readiness, problems=problems) as server:
        problems.report("Namespaces", "Namespace b is not listed.", subject="b")
        assert ask(server, "/readyz")[:2] == (200, b"ok\nFor 0s: Namespace b is not listed.\n")
        problems.report("Watch", "The watch fails.", is_outage=True)
        assert ask(server, "/readyz")[0] == 200
        now[0] = UNREACHABLE_AFTER
        assert ask(server, "/readyz")[:2] == (
            503,
            b"For 1m0s: Namespace b is not listed.\nFor 1m0s: The watch fails.\n",
        )
        assert ask(server, "/healthz")[:2] == (200, b"ok\n")
        readiness.unset("Stopping.")
        assert ask(server, "/readyz")[1].startswith(b"Stopping.\nFor 1m0s: ")


def test_metrics_are_of_the_registry_and_may_be_compressed() -> None:
    with serving() as server:
        status, body, headers = ask(server, "/metrics?x=1")
        assert status == 200
        assert b"\ncakes_total 1.0\n" in body
        assert headers["Content-Type"].startswith("text/plain; version=")
        _, packed, headers = ask(server, "/metrics", **{"Accept-Encoding": "gzip"})
        assert headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed) == body
        _, body, headers = ask(
            server, "/metrics", Accept="application/openmetrics-text; version=1.0.0"
        )
        assert headers["Content-Type"].startswith("application/openmetrics-text")
        assert body.endswith(b"# EOF\n")


def test_other_paths_and_methods_are_refused() -> None:
    with serving() as server:
        assert ask(server, "/")[0] == 404
        assert ask(server, "/healthz/")[0] == 404
        assert ask(server, "/healthz", "POST")[0] == 501
        assert ask(server, "/healthz")[2]["Server"] == "scriptix-operator "


def test_a_head_has_the_headers_of_a_get_and_no_body() -> None:
    with serving() as server:
        with socket.create_connection((LOOPBACK, server.port), timeout=PATIENCE) as raw:
            raw.sendall(b"HEAD /healthz HTTP/1.0\r\n\r\n")
            reply = b"".join(iter(lambda: raw.recv(4096), b""))
        assert reply.startswith(b"HTTP/1.0 200 OK\r\n")
        assert b"\r\nContent-Length: 3\r\n" in reply
        assert reply.endswith(b"\r\n\r\n")


def test_server_listens_on_ipv6() -> None:
    with serving(host="::1") as server:
        assert ask(server, "/healthz", host="::1")[0] == 200


def test_slow_connection_is_closed() -> None:
    with serving(connection_seconds=1.0) as server:
        with socket.create_connection((LOOPBACK, server.port), timeout=PATIENCE) as slow:
            slow.settimeout(0.02)

            def cut() -> bool:
                try:
                    slow.sendall(b"x")
                    return slow.recv(1) == b""
                except TimeoutError:
                    return False
                except OSError:
                    return True

            until(cut)
        assert ask(server, "/healthz")[0] == 200


def test_excess_connections_are_dropped_until_others_close() -> None:
    with serving() as server:
        held = [
            socket.create_connection((LOOPBACK, server.port), timeout=PATIENCE)
            for _ in range(MAX_CONNECTIONS)
        ]
        with pytest.raises((http.client.RemoteDisconnected, ConnectionResetError)):
            ask(server, "/healthz")
        for one in held:
            one.close()

        def answers() -> bool:
            try:
                return ask(server, "/healthz")[0] == 200
            except (http.client.RemoteDisconnected, ConnectionResetError):
                return False

        until(answers)


def test_server_frees_its_port_at_the_end() -> None:
    with serving() as server:
        port = server.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, port), timeout=PATIENCE)
    with pytest.raises(RuntimeError, match="not running"):
        _ = server.port
    with serving() as again:
        assert again.port > 0
    assert not [one for one in threading.enumerate() if one.name == "telemetry-http"]


def test_a_port_that_is_taken_is_an_error_at_once() -> None:
    with serving() as first:
        second = TelemetryServer(
            (LOOPBACK, first.port),
            registry=CollectorRegistry(),
            heartbeat=Heartbeat(),
            readiness=Readiness(),
        )
        with pytest.raises(OSError, match="in use"):
            second.__enter__()
