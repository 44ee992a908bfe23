"""The client reports the rate-limit info of each reply to its caller, whatever the reply is."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Literal, Protocol

import pytest

from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.model.remote import FailureKind, RateLimitInfo
from scriptix_operator.scriptix import RateLimitedError, ScriptixClient, ScriptixError, Timeouts
from scriptix_simulator import Limit, ManualClock, SimulatorConfig, serve
from tests.scriptix.calls import BRIEF, KEY, MODEL
from tests.scriptix.rawserver import Ending, raw_server, reply

HOUR = 3600.0
DATE = "Date: Thu, 16 Jan 2025 08:00:00 GMT"
HEADERS = ("X-RateLimit-Limit: 5", "X-RateLimit-Remaining: 4", "X-RateLimit-Reset: 1737014430")
RATE_INFO = RateLimitInfo(limit=5, remaining=4, reset=30)
MODEL_BODY = b'{"id": 7, "training_status": 3, "log_entries": []}'


class RatedCall(Protocol):
    """A call of the client that receives rate-limit info."""

    def __call__(
        self, model_id: int, key: ApiKey, *, on_rate: Callable[[RateLimitInfo], None] | None
    ) -> Awaitable[object]:
        """Make the call."""


CALLS = ["model", "run", "log"]
LIMITED = SimulatorConfig(
    speed=1,
    keys={KEY.value: "write"},
    limit_starts=(Limit(1, HOUR),),
    limit_status=(Limit(1, HOUR),),
    limit_logs=(Limit(1, HOUR),),
)


def method(client: ScriptixClient, call: str) -> RatedCall:
    """The call of this name."""
    made: RatedCall = (
        partial(client.log, add=lambda _: None) if call == "log" else getattr(client, call)
    )
    return made


async def heard(
    answer: bytes, call: str, ending: Ending = Ending.CLOSE, timeouts: Timeouts | None = None
) -> tuple[list[RateLimitInfo], ScriptixError | None]:
    """Return the rate-limit info of a call with this answer, and the error of the call."""
    rate_info: list[RateLimitInfo] = []
    async with (
        raw_server(lambda _: (answer, ending)) as server,
        ScriptixClient(base_url=server.url, timeouts=timeouts or Timeouts()) as client,
    ):
        try:
            await method(client, call)(MODEL, KEY, on_rate=rate_info.append)
        except ScriptixError as error:
            return rate_info, error
    return rate_info, None


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("rate_headers", "accepted", "refused"), [("always", 1, 1), ("refused", 0, 1), ("never", 0, 0)]
)
async def test_accepted_and_refused_calls_report_their_limit(
    call: str, rate_headers: Literal["always", "refused", "never"], accepted: int, refused: int
) -> None:
    exhausted = RateLimitInfo(limit=1, remaining=0, reset=HOUR)
    rate_info: list[RateLimitInfo] = []
    config = replace(LIMITED, rate_headers=rate_headers)
    async with (
        serve(config, clock=ManualClock()) as simulator,
        ScriptixClient(base_url=simulator.url) as client,
    ):
        simulator.put(MODEL)
        await method(client, call)(MODEL, KEY, on_rate=rate_info.append)
        assert rate_info == [exhausted] * accepted
        with pytest.raises(RateLimitedError):
            await method(client, call)(MODEL, KEY, on_rate=rate_info.append)
    assert rate_info == [exhausted] * (accepted + refused)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [200, 201, 204, 302, 400, 401, 404, 409, 422, 429, 500, 503])
async def test_each_status_reports_the_limit_once(call: str, status: int) -> None:
    body = b"" if status == 204 else MODEL_BODY
    rate_info, _ = await heard(reply(f"{status} X", body, (DATE, *HEADERS)), call)
    assert rate_info == [RATE_INFO]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("body", "extra", "length"),
    [
        pytest.param(b"<html>", (), None, id="no JSON"),
        pytest.param(b"[1]", (), None, id="no object"),
        pytest.param(b"x", ("Content-Encoding: gzip",), None, id="compressed"),
        pytest.param(b"x", (), 2**30, id="too large"),
        pytest.param(b"{", (), 100, id="broken off"),
    ],
)
async def test_unusable_reply_reports_its_limit(
    call: str, body: bytes, extra: tuple[str, ...], length: int | None
) -> None:
    answer = reply("200 OK", body, (DATE, *HEADERS, *extra), length=length)
    rate_info, error = await heard(answer, call)
    assert error is not None
    assert error.failure.kind is FailureKind.AMBIGUOUS
    assert rate_info == [RATE_INFO]


@pytest.mark.parametrize("call", CALLS)
async def test_limit_is_reported_before_the_body_arrives(call: str) -> None:
    answer = reply("200 OK", b"{", (DATE, *HEADERS), length=100)
    rate_info, error = await heard(answer, call, Ending.HANG, BRIEF)
    assert error is not None
    assert error.failure.message == "no whole reply within 0.5 s"
    assert rate_info == [RATE_INFO]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [200, 429])
async def test_reply_without_rate_headers_reports_nothing(call: str, status: int) -> None:
    answer = reply(f"{status} X", MODEL_BODY, (DATE, "Retry-After: 60"))
    assert (await heard(answer, call))[0] == []


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.RESET, Ending.HANG])
async def test_call_without_a_reply_reports_no_limit(call: str, ending: Ending) -> None:
    beginning = "\r\n".join(("HTTP/1.1 200 OK", DATE, *HEADERS)).encode()
    rate_info, error = await heard(beginning, call, ending, BRIEF)
    assert error is not None
    assert rate_info == []


@pytest.mark.parametrize("call", CALLS)
async def test_call_that_is_not_made_reports_no_limit(call: str) -> None:
    rate_info: list[RateLimitInfo] = []
    async with ScriptixClient(base_url="http://localhost") as client:
        with pytest.raises(ScriptixError) as caught:
            await method(client, call)(MODEL, replace(KEY, value=""), on_rate=rate_info.append)
    assert caught.value.failure.kind is FailureKind.NOT_SENT
    assert rate_info == []


@pytest.mark.parametrize("call", CALLS)
async def test_each_call_reports_to_its_own_listener(call: str) -> None:
    first: list[RateLimitInfo] = []
    third: list[RateLimitInfo] = []
    answer = reply("200 OK", MODEL_BODY, (DATE, *HEADERS))
    async with (
        raw_server(lambda _: (answer, Ending.KEEP)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        for listener in (first.append, None, third.append):
            await method(client, call)(MODEL, KEY, on_rate=listener)
    assert len(server.requests) == 3
    assert (first, third) == ([RATE_INFO], [RATE_INFO])


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("status", [200, 429])
async def test_key_echoed_in_a_rate_header_is_not_reported(
    call: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = reply(f"{status} X", MODEL_BODY, tuple(f"{h[:-2]}{KEY.value}" for h in HEADERS))
    rate_info, error = await heard(answer, call)
    (one,) = rate_info
    assert (one.limit, one.remaining, one.reset) == (None, None, None)
    assert one.flaw is not None
    assert one.flaw.count("[API key]") == 3
    for text in (repr(rate_info), repr(error), caplog.text):
        assert KEY.value[:8] not in text


async def test_limit_of_a_start_is_reported_after_sending() -> None:
    order: list[str] = []
    answer = reply("200 OK", MODEL_BODY, (DATE, *HEADERS))
    async with (
        raw_server(lambda _: (answer, Ending.CLOSE)) as server,
        ScriptixClient(base_url=server.url) as client,
    ):
        await client.run(
            MODEL,
            KEY,
            before_send=lambda: order.append("before"),
            after_send=lambda: order.append("after"),
            on_rate=lambda _: order.append("rate"),
        )
    assert order == ["before", "after", "rate"]


async def test_unreadable_limit_does_not_change_a_start() -> None:
    odd = tuple(f"{h.partition(':')[0]}: {'9' * 5000}" for h in HEADERS)
    rate_info, error = await heard(reply("201 Created", MODEL_BODY, ("Date: never", *odd)), "run")
    assert error is None
    assert [one.flaw is not None for one in rate_info] == [True]
