"""Reachability of the API, without a key: any HTTP reply counts."""

import socket

import pytest

from scriptix_operator.scriptix import NotSentError, ScriptixClient, ScriptixError
from tests.scriptix.calls import BRIEF
from tests.scriptix.rawserver import Ending, raw_server, reply


@pytest.mark.parametrize("status", [200, 302, 401, 404, 429, 503])
@pytest.mark.parametrize("path", ["", "/", "/gateway"])
async def test_any_http_reply_means_reachable(status: int, path: str) -> None:
    answer = reply(f"{status} Whatever", headers=("Location: /elsewhere",))
    async with raw_server(lambda _: (answer, Ending.CLOSE)) as server:
        async with ScriptixClient(base_url=server.url + path) as client:
            assert await client.reach() == status
        [request] = server.requests
    head = request.decode().lower()
    assert head.startswith(f"get {path.rstrip('/')}/ http/1.1\r\n")
    assert "authorization" not in head


async def test_reachability_does_not_wait_for_the_body() -> None:
    endless = reply("200 OK", b"<html>", length=1_000_000)
    async with (
        raw_server(lambda _: (endless, Ending.HANG)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        assert await client.reach() == 200


@pytest.mark.parametrize(
    ("answer", "ending", "rate_info"),
    [
        pytest.param(b"", Ending.CLOSE, "ended without a whole HTTP reply", id="closed"),
        pytest.param(b"", Ending.RESET, "connection lost before the reply", id="reset"),
        pytest.param(b"SSH-2.0-server\r\n", Ending.CLOSE, "HTTP reply", id="another protocol"),
        pytest.param(b"", Ending.HANG, "no answer within 0.5 s", id="silent"),
    ],
)
async def test_reply_that_is_not_http_is_reported(
    answer: bytes, ending: Ending, rate_info: str
) -> None:
    async with (
        raw_server(lambda _: (answer, ending)) as server,
        ScriptixClient(base_url=server.url, timeouts=BRIEF) as client,
    ):
        with pytest.raises(ScriptixError, match=rate_info):
            await client.reach()


async def test_refused_connection_is_reported() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with ScriptixClient(base_url=f"http://127.0.0.1:{port}") as client:
        with pytest.raises(NotSentError, match="no connection"):
            await client.reach()
