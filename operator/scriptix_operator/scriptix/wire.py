"""One exchange on the wire: observes the request, and bounds what is read and logged."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.model.text import one_line
from scriptix_operator.scriptix.decompress import BodyError, Decompressor
from scriptix_operator.scriptix.errors import MESSAGE_LENGTH, NotSentError
from scriptix_operator.scriptix.rate_headers import rate_limit_info

__all__ = [
    "LOCATION",
    "BodyError",
    "Wire",
    "read_body",
    "read_pieces",
    "stash_headers",
]

LOCATION = "scriptix_location"
"""Extension of the response to which `stash_headers` moves the Location of a redirect."""

_CODING = "scriptix_coding"
"""Extension of the response to which `stash_headers` moves Content-Encoding."""


class Wire:
    """Observes one request, by httpcore's trace hook, and the head of its reply.

    Args:
        before_send: Called once, synchronously, after the connection is open and right before the
            first byte of the request; its exception prevents the request.
        after_send: Called once, after the kernel has accepted the whole request.
        on_rate: Called once, synchronously, when the head of a reply with rate-limit info has
            arrived; must not raise.
    """

    def __init__(
        self,
        before_send: Callable[[], None] | None = None,
        after_send: Callable[[], None] | None = None,
        on_rate: Callable[[RateLimitInfo], None] | None = None,
    ) -> None:
        self._before_send = before_send
        self._after_send = after_send
        self._on_rate = on_rate
        self._seen = False
        self._begun = False

    @property
    def sent(self) -> bool | None:
        """Whether the first byte was sent; None if the transport does not report it."""
        return self._begun if self._seen else None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Note one trace event; this is the request extension `trace` of httpcore.

        Raises:
            NotSentError: `before_send` raised.
        """
        self._seen = True
        if event == "http11.send_request_body.complete" and self._begun and self._after_send:
            self._after_send()
        if event != "http11.send_request_headers.started" or info["request"].method == b"CONNECT":
            return  # CONNECT opens a tunnel at the proxy; the request follows
        if self._before_send is not None:
            try:
                self._before_send()
            except Exception as error:
                message = one_line(f"held back before sending: {error}", MESSAGE_LENGTH)
                raise NotSentError(CallFailure(FailureKind.NOT_SENT, message)) from error
        self._begun = True

    def replied(self, headers: Mapping[str, str], redact: Callable[[str], str]) -> None:
        """Note the head of the reply, whatever its status and its body.

        Args:
            headers: The reply's headers; names are case-insensitive.
            redact: Removes the key from a text.
        """
        if self._on_rate is None:
            return
        rate_info = rate_limit_info(headers, redact)
        if rate_info is not None:
            self._on_rate(rate_info)


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """Read a body of at most `limit` bytes; a larger one is not read further.

    The limit counts decompressed bytes.

    Raises:
        BodyError: The body is larger, or its compression cannot be read.
        httpx.RequestError: The connection failed.
    """
    body = bytearray()

    async def take(piece: bytes) -> None:
        body.extend(piece)

    await read_pieces(response, limit, take)
    return bytes(body)


async def read_pieces(
    response: httpx.Response, limit: int, take: Callable[[bytes], Awaitable[None]]
) -> None:
    """Read a body of at most `limit` bytes as it arrives; reading pauses during `take`.

    The limit counts decompressed bytes.

    Raises:
        BodyError: The body is larger, or its compression cannot be read.
        httpx.RequestError: The connection failed.
    """
    unpacking = Decompressor(response.extensions.get(_CODING, ""), limit)
    declared = response.headers.get("Content-Length", "")
    if declared.isdecimal() and int(declared[:20]) > limit:
        raise BodyError(f"reply is larger than {limit} bytes")
    async for part in response.aiter_bytes():
        for piece in unpacking.feed(part):
            await take(piece)
    unpacking.finish()


async def stash_headers(response: httpx.Response) -> None:
    """Response hook: hide two headers from httpx.

    httpx builds the next request from Location even if redirects are off, and an invalid address
    would turn the 3xx into a protocol error. By Content-Encoding httpx would decompress a body
    without a bound.
    """
    for header, extension in (("Location", LOCATION), ("Content-Encoding", _CODING)):
        value = response.headers.pop(header, None)
        if value is not None:
            response.extensions[extension] = value
