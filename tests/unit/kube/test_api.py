"""kube/api.py: one request to the API server, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from scriptix_operator.kube.api import CONFIG_MAPS, LEASES, KubeApi
from scriptix_operator.kube.connection import connect
from scriptix_operator.kube.errors import ApiError, UnavailableError, translated
from tests.unit.kube.clusters import a_cluster


@asynccontextmanager
async def answering(
    reply: bytes, *, status: str = "200 OK", length: int | None = None, header: str | None = None
) -> AsyncIterator[tuple[KubeApi, list[tuple[str, str]]]]:
    """A client, and the requests (head, body) of a server that always gives the same reply."""
    requests: list[tuple[str, str]] = []
    writers: list[asyncio.StreamWriter] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        _, found, rest = head.lower().partition("content-length: ")
        body = await reader.readexactly(int(rest.split()[0])) if found else b""
        requests.append((head, body.decode()))
        size = len(reply) if length is None else length
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n".encode() + reply)
        writers.append(writer)

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(a_cluster(f"http://127.0.0.1:{port}", header)) as api:
            yield api, requests
        for writer in writers:
            writer.close()
            await writer.wait_closed()


def test_path_quotes_each_part() -> None:
    assert CONFIG_MAPS.path("a", "b/c?d") == "/api/v1/namespaces/a/configmaps/b%2Fc%3Fd"
    assert LEASES.path() == "/apis/coordination.k8s.io/v1/leases"


async def test_request_has_query_type_and_credentials() -> None:
    async with answering(b'{"a": 1}', header="Bearer t") as (api, requests):
        assert await api.merge("/x", {"b": None}, {"continue": "a+b="}) == {"a": 1}
    [(head, body)] = requests
    assert head.startswith("PATCH /x?continue=a%2Bb%3D HTTP/1.1\r\n")
    assert "Content-Type: application/merge-patch+json\r\n" in head
    assert "Authorization: Bearer t\r\n" in head
    assert json.loads(body) == {"b": None}


async def test_refusal_has_status_and_body() -> None:
    async with answering(b'{"message": "no"}', status="403 Forbidden") as (api, _):
        with pytest.raises(ApiError) as caught:
            await api.get("/x")
    assert (caught.value.status, caught.value.body) == (403, b'{"message": "no"}')
    assert api.reachability.is_reachable


@pytest.mark.parametrize("reply", [b"[]", b"{", b""], ids=["a list", "cut", "empty"])
async def test_reply_that_is_no_object_is_unavailable(reply: bytes) -> None:
    async with answering(reply) as (api, _):
        with pytest.raises(UnavailableError, match="cannot be read"), translated("get it"):
            await api.get("/x")


async def test_body_that_does_not_end_is_no_reply() -> None:
    async with answering(b"{", length=9) as (api, _):
        with pytest.raises(TimeoutError):
            await api.get("/x", seconds=0.2)
        assert not api.reachability.is_reachable


async def test_api_server_is_reached_without_proxy_and_netrc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with answering(b"{}") as (api, requests):
        await api.get("/x")
    [(head, _)] = requests
    assert "Authorization" not in head
