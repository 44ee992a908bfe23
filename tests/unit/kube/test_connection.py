"""kube/connection.py: each request shows whether the API server replies."""

import asyncio
import logging
import socket

import pytest

from scriptix_operator.kube.connection import connect
from scriptix_operator.kube.errors import KubeError, translated
from tests.unit.kube.clusters import a_cluster

REPLY = b"HTTP/1.1 %d X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def test_requests_log_an_outage_of_the_api_server(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "scriptix_operator")
    # Bound, so that no other process takes the port; connections are refused until it listens.
    away = socket.socket()
    away.bind(("127.0.0.1", 0))
    replies = iter((503, 429, 500, 403))
    host = f"http://127.0.0.1:{away.getsockname()[1]}"
    async with connect(a_cluster(host)) as api:

        async def ask() -> None:
            with pytest.raises(KubeError), translated("read"):
                await api.get("/version")

        for _ in range(2):
            await ask()
        assert not api.reachability.is_reachable

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(REPLY % next(replies))
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, sock=away):
            for is_reachable in (False, False, True, True):
                await ask()
                assert api.reachability.is_reachable == is_reachable
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0].startswith("the API server is unreachable: ClientConnectorError ")
    assert said[1].startswith("the API server is reachable again after ")
