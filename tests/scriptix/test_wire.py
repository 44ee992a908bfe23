"""The bytes of a request, its connection, and the time of its first byte."""

import asyncio

import httpcore
import httpx
import pytest

from scriptix_operator.core.model.remote import FailureKind
from scriptix_operator.scriptix import (
    AmbiguousError,
    NotSentError,
    ScriptixClient,
    Timeouts,
)
from scriptix_operator.scriptix.client import MAX_CONNECTIONS
from scriptix_operator.scriptix.wire import Wire
from tests.scriptix.calls import BRIEF, CALLS, KEY, MODEL, Call, failure_of, fetched_log
from tests.scriptix.rawserver import Ending, raw_server, reply

MODEL_BODY = b'{"id": 7, "training_status": 3, "log_entries": []}'
TAKEN = reply(body=MODEL_BODY)
STARTED = "http11.send_request_headers.started"


def keep(answer: bytes) -> tuple[bytes, Ending]:
    return answer, Ending.KEEP


def headers_of(request: bytes) -> dict[str, str]:
    lines = request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    return {name.lower(): value.strip() for name, _, value in (ln.partition(":") for ln in lines)}


async def test_the_bytes_of_a_start() -> None:
    async with (
        raw_server(lambda _: keep(TAKEN)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        await client.run(MODEL, KEY)
    (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/v3/custom_models/7/run HTTP/1.1\r\n")
    assert body == b"{}"
    assert headers_of(request) == {
        "host": f"127.0.0.1:{server.port}",
        "authorization": f"Bearer {KEY.value}",
        "content-type": "application/json",
        "content-length": "2",
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": "scriptix-operator",
        "connection": "close",
    }


async def test_the_bytes_of_a_poll() -> None:
    async with (
        raw_server(lambda _: keep(TAKEN)) as server,
        ScriptixClient(
            base_url=f"{server.url}/a/", auth_header="x-zoom-s2t-key", auth_scheme=""
        ) as client,
    ):
        await client.model(MODEL, KEY)
        await fetched_log(client)
    assert [request.partition(b" HTTP")[0] for request in server.requests] == [
        b"GET /a/api/v3/custom_models/7",
        b"GET /a/api/v3/custom_models/7/log",
    ]
    for request in server.requests:
        rate_info = headers_of(request)
        assert rate_info["x-zoom-s2t-key"] == KEY.value
        assert "authorization" not in rate_info
        assert request.endswith(b"\r\n\r\n")


async def test_polls_share_a_connection_logs_another_starts_none() -> None:
    async with (
        raw_server(lambda _: keep(TAKEN)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        for _ in range(3):
            await client.model(MODEL, KEY)
            await fetched_log(client)
        assert server.connections == 2
        for _ in range(3):
            await client.run(MODEL, KEY)
        assert server.connections == 5


async def test_starts_at_the_same_time_have_connections_of_their_own() -> None:
    async with (
        raw_server(lambda _: keep(TAKEN)) as server,
        ScriptixClient(base_url=server.url) as client,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(5):
            group.create_task(client.run(MODEL, KEY))
    assert (server.connections, len(server.requests)) == (5, 5)


async def test_many_polls_share_a_few_connections() -> None:
    async with (
        raw_server(lambda _: keep(TAKEN)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        async with asyncio.TaskGroup() as group:
            for _ in range(200):
                group.create_task(client.model(MODEL, KEY))
        assert len(server.requests) == 200
        assert server.connections <= MAX_CONNECTIONS


async def test_no_free_connection_is_not_sent() -> None:
    timeouts = Timeouts(connect=3, read=30, total=30)
    async with (
        raw_server(lambda _: (b"", Ending.HANG)) as server,
        ScriptixClient(base_url=server.url, timeouts=timeouts) as client,
    ):
        busy = [asyncio.create_task(client.model(MODEL, KEY)) for _ in range(MAX_CONNECTIONS)]
        await server.received(MAX_CONNECTIONS)
        failure = await failure_of(client.model(MODEL, KEY), NotSentError)
        assert failure.message == "no free connection in time"
        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)


async def test_cookies_do_not_travel_from_key_to_key() -> None:
    answer = reply(body=MODEL_BODY, headers=("Set-Cookie: session=of-one-key; Path=/",))
    async with (
        raw_server(lambda _: keep(answer)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        await client.model(MODEL, KEY)
        await client.model(MODEL, KEY)
        await client.run(MODEL, KEY)
    assert len(server.requests) == 3
    assert all("cookie" not in headers_of(request) for request in server.requests)


@pytest.mark.parametrize("call", CALLS)
async def test_a_refused_connection_is_not_sent(call: Call) -> None:
    async with raw_server(lambda _: keep(TAKEN)) as server:
        pass  # the port is closed again
    async with ScriptixClient(base_url=server.url) as client:
        failure = await failure_of(call(client), NotSentError)
    assert (failure.kind, failure.status) == (FailureKind.NOT_SENT, None)
    assert failure.message.startswith("no connection: ")


@pytest.mark.parametrize("call", CALLS)
async def test_unknown_host_name_is_not_sent(call: Call) -> None:
    async with ScriptixClient(base_url="http://scriptix.invalid") as client:
        await failure_of(call(client), NotSentError)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("greeting", [b"SSH-2.0-OpenSSH\n", b""], ids=["failed", "endless"])
async def test_a_connection_without_tls_is_not_sent(call: Call, greeting: bytes) -> None:
    timeouts = Timeouts(connect=1)
    async with (
        raw_server(lambda _: keep(TAKEN), greeting=greeting) as server,
        ScriptixClient(base_url=f"https://127.0.0.1:{server.port}", timeouts=timeouts) as client,
    ):
        failure = await failure_of(call(client), NotSentError)
    assert failure.message.startswith("no connection")
    assert (server.connections, server.requests) == (1, [])


@pytest.mark.parametrize(
    ("answer", "ending", "status", "reset_seen"),
    [
        pytest.param(b"", Ending.CLOSE, None, True, id="closed"),
        pytest.param(b"", Ending.RESET, None, True, id="reset"),
        pytest.param(b"HTTP/1.1 200 O", Ending.CLOSE, None, True, id="half-a-status-line"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n\r\n", Ending.CLOSE, None, True, id="not-http"),
        pytest.param(b"", Ending.HANG, None, False, id="silent"),
        pytest.param(reply(body=b"{", length=9), Ending.CLOSE, 200, True, id="half-a-body"),
        pytest.param(reply(body=b"{", length=9), Ending.HANG, 200, False, id="stuck-in-the-body"),
        pytest.param(reply("101 Switching"), Ending.CLOSE, None, True, id="upgrade"),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\n" + reply("500 Oops"), Ending.CLOSE, 500, False, id="100"
        ),
    ],
)
@pytest.mark.parametrize("call", CALLS)
async def test_broken_replies_are_ambiguous(
    call: Call, answer: bytes, ending: Ending, status: int | None, *, reset_seen: bool
) -> None:
    async with (
        raw_server(lambda _: (answer, ending)) as server,
        ScriptixClient(base_url=server.url, timeouts=_timeouts(ending)) as client,
    ):
        failure = await failure_of(call(client), AmbiguousError)
    assert (failure.status, failure.reset_seen) == (status, reset_seen)
    assert len(server.requests) == 1


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET, Ending.HANG])
async def test_a_refusal_without_its_body_is_not_definite(ending: Ending) -> None:
    answer = reply("409 Conflict", b'{"error', length=100)
    async with (
        raw_server(lambda _: (answer, ending)) as server,
        ScriptixClient(base_url=server.url, timeouts=BRIEF) as client,
    ):
        failure = await failure_of(client.run(MODEL, KEY), AmbiguousError)
    assert (failure.message, failure.is_from_gateway) == ("HTTP 409: Conflict", True)


async def test_an_endless_error_page_is_not_read() -> None:
    answer = reply("422 Unprocessable", b"x" * 10, length=2**40)
    async with (
        raw_server(lambda _: (answer, Ending.HANG)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        await failure_of(client.run(MODEL, KEY), AmbiguousError)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("size", "message"), [(2**20, "HTTP 500: no"), (2**20 + 1, "HTTP 500: Internal Server Error")]
)
async def test_the_body_of_a_refusal_is_bounded(call: Call, size: int, message: str) -> None:
    answer = reply("500 Oops", b'{"error": "no"}'.ljust(size))
    async with (
        raw_server(lambda _: (answer, Ending.CLOSE)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        failure = await failure_of(call(client), AmbiguousError)
    assert failure.message == message


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(reply("204 No Content"), id="204"),
        pytest.param(reply("202 Accepted"), id="202"),
        pytest.param(reply(body=b" \n"), id="white-space"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n", id="until-closed"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", id="chunked"
        ),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\n\r\n" + reply("200 OK"), id="after-103"),
    ],
)
async def test_empty_2xx_confirms_a_start_and_is_no_reply_to_a_poll(answer: bytes) -> None:
    async with (
        raw_server(lambda _: (answer, Ending.CLOSE)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        assert await client.run(MODEL, KEY) is None
        for read in (client.model(MODEL, KEY), fetched_log(client)):
            failure = await failure_of(read, AmbiguousError)
            assert failure.message == "reply is empty"


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip"])
async def test_an_unknown_compression_is_refused_unread(call: Call, coding: str) -> None:
    answer = reply(body=b"\x1f\x8b", headers=(f"Content-Encoding: {coding}",), length=100)
    async with (
        raw_server(lambda _: (answer, Ending.HANG)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        failure = await failure_of(call(client), AmbiguousError)
    assert failure.message == (
        f"reply is compressed: the operator asks for none and cannot read {coding}"
    )


async def test_replies_left_unread_hold_no_connection() -> None:
    answer = reply(body=b"x", headers=("Content-Encoding: br",), length=100)
    async with (
        raw_server(lambda _: (answer, Ending.HANG)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        for _ in range(2 * MAX_CONNECTIONS):
            await failure_of(client.model(MODEL, KEY), AmbiguousError)
    assert server.connections == 2 * MAX_CONNECTIONS


async def test_reply_with_an_excessive_length_is_refused_unread() -> None:
    answer = reply(body=b"{", length=2**20 + 1)
    async with (
        raw_server(lambda _: (answer, Ending.HANG)) as server,
        ScriptixClient(base_url=server.url, timeouts=BRIEF) as client,
    ):
        failure = await failure_of(client.run(MODEL, KEY), AmbiguousError)
    assert failure.message == "reply is larger than 1048576 bytes"


async def test_a_chunked_reply_is_bounded_too() -> None:
    chunk = b"100000\r\n" + b" " * 2**20 + b"\r\n"
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk + b"1\r\n"
    async with (
        raw_server(lambda _: (answer + b"x", Ending.HANG)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        failure = await failure_of(client.run(MODEL, KEY), AmbiguousError)
    assert failure.message == "reply is larger than 1048576 bytes"


class HeldBackError(Exception):
    """An error of the caller."""


async def test_before_send_can_abort_a_start() -> None:
    def before_send() -> None:
        raise HeldBackError("the window is over")

    async with (
        raw_server(lambda _: keep(TAKEN)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        failure = await failure_of(client.run(MODEL, KEY, before_send=before_send), NotSentError)
        assert failure.kind is FailureKind.NOT_SENT
        assert failure.message == "held back before sending: the window is over"
        await client.run(MODEL, KEY)  # another start on the same client: the first left no state
    assert [request[:4] for request in server.requests] == [b"POST"]


async def test_before_send_is_called_once_after_connecting() -> None:
    seen: list[tuple[int, int]] = []
    async with (
        raw_server(lambda _: keep(TAKEN)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        await client.run(
            MODEL,
            KEY,
            before_send=lambda: seen.append((server.connections, len(server.requests))),
        )
    assert len(seen) == 1
    assert seen[0][1] == 0


async def test_before_send_is_not_called_without_a_connection() -> None:
    async with raw_server(lambda _: keep(TAKEN)) as server:
        pass
    called: list[None] = []
    async with ScriptixClient(base_url=server.url) as client:
        start = client.run(MODEL, KEY, before_send=lambda: called.append(None))
        await failure_of(start, NotSentError)
    assert called == []


async def test_before_send_is_not_called_for_a_proxy_tunnel() -> None:
    called: list[bool | None] = []
    wire = Wire(lambda: called.append(wire.sent))
    assert wire.sent is None
    await wire.trace("connection.connect_tcp.started", {})
    await wire.trace(STARTED, {"request": httpcore.Request("CONNECT", "https://api.example/")})
    assert not called
    await wire.trace(STARTED, {"request": httpcore.Request("POST", "https://api.example/")})
    assert called == [False]
    assert wire.sent is True


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize(
    ("answer", "ending"),
    [
        (reply("403 Forbidden"), Ending.CLOSE),
        (b"", Ending.CLOSE),
        (b"", Ending.RESET),
        (b"", Ending.HANG),
        (reply("200 OK"), Ending.CLOSE),
    ],
    ids=["refused", "closed", "reset", "silent", "no-tls-behind-it"],
)
async def test_refused_proxy_tunnel_is_not_sent(
    monkeypatch: pytest.MonkeyPatch, answer: bytes, ending: Ending
) -> None:
    called: list[None] = []
    async with raw_server(lambda _: (answer, ending)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with ScriptixClient(base_url="https://api.invalid", timeouts=BRIEF) as client:
            start = client.run(MODEL, KEY, before_send=lambda: called.append(None))
            await failure_of(start, NotSentError)
    (request,) = proxy.requests
    assert request.startswith(b"CONNECT api.invalid:443 HTTP/1.1\r\n")
    assert KEY.value.encode() not in request
    assert called == []


@pytest.mark.usefixtures("no_proxies")
@pytest.mark.parametrize(
    "base_url",
    ["https://localhost:9", "https://127.0.0.1:9", "https://127.9.9.9:9", "https://[::1]:9"],
)
async def test_loopback_never_goes_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch, base_url: str
) -> None:
    async with raw_server(lambda _: keep(reply("200 OK"))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with ScriptixClient(base_url=base_url) as client:
            await failure_of(client.run(MODEL, KEY), NotSentError)
    assert proxy.connections == 0


@pytest.mark.usefixtures("no_proxies")
async def test_plain_http_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(lambda _: keep(reply("200 OK"))) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        async with ScriptixClient(base_url="http://api.invalid") as client:
            await failure_of(client.run(MODEL, KEY), NotSentError)
    assert proxy.connections == 0


@pytest.mark.usefixtures("no_proxies")
async def test_no_proxy_variable_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(lambda _: keep(reply("200 OK"))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("NO_PROXY", "example.com, .invalid")
        async with ScriptixClient(base_url="https://api.invalid") as client:
            await failure_of(client.run(MODEL, KEY), NotSentError)
    assert proxy.connections == 0


async def test_cancelled_call_raises_cancelled_error() -> None:
    async with (
        raw_server(lambda _: (b"", Ending.HANG)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        task = asyncio.create_task(client.run(MODEL, KEY))
        await server.received(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_client_closed_under_a_call_does_not_pass_for_a_reset() -> None:
    async with (
        raw_server(lambda _: (b"", Ending.HANG)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        task = asyncio.create_task(client.run(MODEL, KEY))
        await server.received(1)
        await client.aclose()
        failure = await failure_of(task, AmbiguousError)
    assert not failure.reset_seen


def of(method: str) -> dict[str, httpcore.Request]:
    return {"request": httpcore.Request(method, "https://api.example/")}


async def test_after_send_is_called_once_after_the_last_byte() -> None:
    rate_info: list[str] = []

    def script(request: bytes) -> tuple[bytes, Ending]:
        rate_info.append(f"received {request[-2:].decode()}")
        return keep(TAKEN)

    async with (
        raw_server(script) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        await client.run(
            MODEL,
            KEY,
            before_send=lambda: rate_info.append("before"),
            after_send=lambda: rate_info.append("after"),
        )
        assert rate_info == ["before", "after", "received {}"]
        # after_send depends on the bytes, not on the reply.
        await client.run(MODEL, KEY, after_send=lambda: rate_info.append("after"))
    assert rate_info[3:] == ["after", "received {}"]


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET, Ending.HANG])
async def test_after_send_does_not_wait_for_a_reply(ending: Ending) -> None:
    rate_info: list[str] = []
    async with (
        raw_server(lambda _: (b"", ending)) as server,
        ScriptixClient(base_url=server.url, timeouts=BRIEF) as client,
    ):
        start = client.run(MODEL, KEY, after_send=lambda: rate_info.append("after"))
        await failure_of(start, AmbiguousError)
    assert rate_info == ["after"]


async def test_after_send_is_not_called_for_an_aborted_start() -> None:
    rate_info: list[str] = []

    def before_send() -> None:
        rate_info.append("before")
        raise HeldBackError("the window is over")

    async with (
        raw_server(lambda _: keep(TAKEN)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        start = client.run(
            MODEL, KEY, before_send=before_send, after_send=lambda: rate_info.append("after")
        )
        await failure_of(start, NotSentError)
        start = client.run(MODEL, KEY, after_send=lambda: rate_info.append("after"))
        await start
    assert rate_info == ["before", "after"]


@pytest.mark.usefixtures("no_proxies")
async def test_after_send_is_not_called_for_a_proxys_tunnel(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rate_info: list[str] = []
    async with raw_server(lambda _: (reply("403 Forbidden"), Ending.CLOSE)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with ScriptixClient(base_url="https://api.invalid", timeouts=BRIEF) as client:
            start = client.run(MODEL, KEY, after_send=lambda: rate_info.append("after"))
            await failure_of(start, NotSentError)
    assert rate_info == []


async def test_after_send_ignores_the_body_of_a_proxy_tunnel() -> None:
    rate_info: list[str] = []
    wire = Wire(after_send=lambda: rate_info.append("after"))
    for event, method in (
        (STARTED, "CONNECT"),
        ("http11.send_request_body.complete", "CONNECT"),
        (STARTED, "POST"),
        ("http11.send_request_headers.complete", "POST"),
    ):
        await wire.trace(event, of(method))
        assert rate_info == []
    await wire.trace("http11.send_request_body.complete", of("POST"))
    await wire.trace("http11.response_closed.complete", of("POST"))
    assert rate_info == ["after"]


async def test_another_transport_can_replace_the_network() -> None:
    def app(request: httpx.Request) -> httpx.Response:
        assert request.headers["authorization"] == f"Bearer {KEY.value}"
        return httpx.Response(200, content=MODEL_BODY)

    transport = httpx.MockTransport(app)
    async with ScriptixClient(base_url="https://api.invalid", transport=transport) as client:
        assert (await client.model(MODEL, KEY)).training_status == 3
        assert await client.run(MODEL, KEY) is not None
        assert await fetched_log(client) == ()


def _timeouts(ending: Ending) -> Timeouts:
    """Short time-outs only where nothing else ends the call: a busy machine is slow."""
    return BRIEF if ending is Ending.HANG else Timeouts()
