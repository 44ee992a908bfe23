"""kube/connection.py: each request shows whether the API server replies."""

import asyncio
import datetime as dt
import logging
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
from kubernetes.aio.client import Configuration, CoordinationV1Api
from kubernetes.aio.config import incluster_config

from scriptix_operator.kube.connection import configure, connect, reachability_of
from scriptix_operator.kube.errors import KubeError, UnavailableError, translated

REPLY = b"HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def test_requests_log_an_outage_of_the_api_server(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "scriptix_operator")
    # Bound, so that no other process takes the port; connections are refused until it listens.
    away = socket.socket()
    away.bind(("127.0.0.1", 0))
    host = f"http://127.0.0.1:{away.getsockname()[1]}"
    async with connect(Configuration(host=host)) as api:

        async def ask() -> None:
            with pytest.raises(KubeError) as raised, translated("read"):
                await CoordinationV1Api(api).read_namespaced_lease("a", "b", _request_timeout=10.0)
            assert isinstance(raised.value, UnavailableError)

        for _ in range(2):
            await ask()
        assert not reachability_of(api).is_reachable

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(REPLY)
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, sock=away):
            for _ in range(2):
                await ask()
        assert reachability_of(api).is_reachable
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0].startswith("the API server is unreachable: ClientConnectorError ")
    assert said[1].startswith("the API server is reachable again after ")


async def test_token_of_a_pod_is_read_again_after_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, now = tmp_path / "token", [dt.datetime(2025, 1, 16, 8)]  # noqa: DTZ001 - as it is
    wall = SimpleNamespace(now=lambda: now[0])
    clock = SimpleNamespace(datetime=wall, timedelta=dt.timedelta)
    monkeypatch.setattr(incluster_config, "datetime", clock)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(token))
    token.write_text("first")
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    configuration = await configure()

    async def header() -> str | None:
        sent: str | None = await configuration.get_api_key_with_prefix("BearerToken")
        return sent

    token.write_text("second")
    now[0] += dt.timedelta(seconds=59)
    assert await header() == "bearer first"
    now[0] += dt.timedelta(seconds=1)
    assert await header() == "bearer second"
