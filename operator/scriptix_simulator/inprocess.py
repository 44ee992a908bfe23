"""The API without sockets: an httpx transport that serves a state on any clock.

    transport = InProcess(SimulatorState(SimulatorConfig(), clock.now()), clock)
    async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
        ...

A client sees the same as over HTTP: the same replies, and the same errors of httpx if a fault ends
the connection. The server continues with a call whose client has disconnected or was closed. Each
call has its own connection, without a bound: there is no pool, no connect time-out, no TLS.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol

import httpx

from .changes import Changes
from .clock import Clock
from .delivery import Background, Delivery, HangUp, Send, Stream
from .reception import Reception
from .replies import Reply
from .state import MAX_BODY, ApiRequest, SimulatorState

__all__ = ["InProcess"]

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


def _at_once() -> float:
    return 0.0


class InProcess(httpx.AsyncBaseTransport):
    """Answers the requests of httpx clients from a state.

    Args:
        state: The state to serve.
        clock: The clock of the server, its faults and the latency. Time-outs of the client use the
            event loop.
        latency: Called once for each request: seconds between request and reply, half of them
            before the server receives the request.
        changes: Notified of every call received, acted on and answered.

    Attributes:
        refusing: Whether connections are refused; then no call is recorded.
    """

    def __init__(
        self,
        state: SimulatorState,
        clock: Clock,
        latency: Callable[[], float] = _at_once,
        changes: Changes | None = None,
    ) -> None:
        self.refusing = False
        self._auth_header = state.config.auth_header
        self._clock = clock
        self._latency = latency
        self._background = Background()
        self._reception = Reception(state, clock, changes or Changes(), self._background)

    async def stop(self) -> None:
        """Stop the server: pending calls are not acted on any more, and connections close."""
        await self._background.cancel()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return the reply, its body still to be read.

        Raises:
            httpx.ConnectError: Connections are refused.
            httpx.RemoteProtocolError: The server has closed the connection.
            httpx.ReadError: The server has reset the connection.
            httpx.ReadTimeout: The read time-out of the request has expired.
        """
        if self.refusing:
            raise httpx.ConnectError("All connection attempts failed", request=request)
        trace: _Trace | None = request.extensions.get("trace")
        if trace is not None:
            sent = _Sent(request.method.encode())
            await trace("http11.send_request_headers.started", {"request": sent})
        asked = self._asked(request, await request.aread())
        # From here on the server has the request, even if the client disconnects.
        served = self._background.start(self._serve(asked, self._latency() / 2))
        if trace is not None:
            await trace("http11.send_request_body.complete", {"return_value": None})
        patience = request.extensions.get("timeout", {}).get("read")
        await asyncio.wait({served}, timeout=patience)
        if not served.done():
            raise httpx.ReadTimeout("", request=request)
        delivery = HangUp(reset=False) if served.cancelled() else served.result()
        return self._received(request, delivery, patience)

    def _asked(self, request: httpx.Request, body: bytes) -> ApiRequest:
        return ApiRequest(
            method=request.method,
            path=request.url.path,
            credential=request.headers.get(self._auth_header),
            content_type=request.headers.get("Content-Type", "").partition(";")[0].strip().lower(),
            body=body if len(body) <= MAX_BODY else None,
        )

    async def _serve(self, asked: ApiRequest, half: float) -> Delivery:
        await self._clock.sleep(half)
        with self._reception.receive(asked) as answer:
            delivery = await answer()
        await self._clock.sleep(half)
        return delivery

    def _received(
        self, request: httpx.Request, delivery: Delivery, patience: float | None
    ) -> httpx.Response:
        match delivery:
            case HangUp():
                raise _ended(request, delivery, "Server disconnected without sending a response.")
            case Send(reply):
                return _response(reply, _Whole(reply.payload))
            case Stream(reply):
                return _response(reply, _Body(request, delivery, self._clock, patience))


def _response(reply: Reply, stream: httpx.AsyncByteStream) -> httpx.Response:
    headers = dict(reply.headers)
    if reply.status != HTTPStatus.NO_CONTENT:
        headers["Content-Length"] = str(len(reply.payload))
    extensions = {"http_version": b"HTTP/1.1", "reason_phrase": _REASONS.get(reply.status, b"")}
    return httpx.Response(reply.status, headers=headers, stream=stream, extensions=extensions)


def _ended(request: httpx.Request, end: HangUp, message: str) -> httpx.TransportError:
    """Return the error of httpx for a connection that the server has ended."""
    if end.reset:
        return httpx.ReadError("", request=request)
    return httpx.RemoteProtocolError(message, request=request)


class _Trace(Protocol):
    """The request extension `trace` of httpcore."""

    async def __call__(self, event: str, info: Mapping[str, object]) -> None:
        """Note a trace event; an exception ends the request."""
        ...


@dataclass(frozen=True, slots=True)
class _Sent:
    """The sent part of a request, as the trace of httpcore reports it."""

    method: bytes


@dataclass(frozen=True, slots=True)
class _Whole(httpx.AsyncByteStream):
    """A complete body; unlike in httpx, only the client reads it."""

    payload: bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.payload


@dataclass(frozen=True, slots=True)
class _Body(httpx.AsyncByteStream):
    """A body that arrives in pieces, and perhaps incompletely."""

    request: httpx.Request
    stream: Stream
    clock: Clock
    patience: float | None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = self.stream.pieces(self.clock)
        while True:
            try:
                async with asyncio.timeout(self.patience):
                    piece = await anext(pieces, None)
            except TimeoutError as error:
                raise httpx.ReadTimeout("", request=self.request) from error
            if piece is None:
                break
            yield piece
        upto, whole = self.stream.upto, len(self.stream.reply.payload)
        if self.stream.end is not None and upto < whole:
            message = (
                "peer closed connection without sending complete message body "
                f"(received {upto} bytes, expected {whole})"
            )
            raise _ended(self.request, self.stream.end, message)
