"""One exchange on the wire: when it begins, how much of it is read, and what is logged of it."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import httpx

from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.model.text import one_line
from scriptix_operator.scriptix.decompress import BodyError, Decompressor
from scriptix_operator.scriptix.errors import MESSAGE_LENGTH, NotSentError
from scriptix_operator.scriptix.pauses import rate_limit_info

__all__ = [
    "LOCATION",
    "BodyError",
    "Wire",
    "quiet_wire_loggers",
    "read_body",
    "read_pieces",
    "stash_headers",
]

LOCATION = "scriptix_location"
"""Where `stash_headers` puts the Location of a redirect: an extension of the response."""

_CODING = "scriptix_coding"
"""The same for Content-Encoding."""

_WIRE_LOGGERS = (
    "httpx",
    "httpcore.connection",
    "httpcore.http11",
    "httpcore.proxy",
    "httpcore.socks",
)


class Wire:
    """Watches one request, through httpcore's trace hook, and the head of its reply.

    Args:
        before_send: Called once, synchronously, after the connection stands and right before the
            first byte of the request; an exception from it keeps the request from being sent.
        after_send: Called once all of the request is with the kernel.
        on_rate: Called once, synchronously, when the head of a reply is there that tells of the
            rate limit; must not raise.
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
        """Whether the first byte was on its way; None where the transport tells nothing."""
        return self._begun if self._seen else None

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of one step; this is the request extension `trace` of httpcore.

        Raises:
            NotSentError: `before_send` raised.
        """
        self._seen = True
        if event == "http11.send_request_body.complete" and self._begun and self._after_send:
            self._after_send()
        if event != "http11.send_request_headers.started" or info["request"].method == b"CONNECT":
            return  # CONNECT asks a proxy for a tunnel; the request comes after it
        if self._before_send is not None:
            try:
                self._before_send()
            except Exception as error:
                message = one_line(f"held back before sending: {error}", MESSAGE_LENGTH)
                raise NotSentError(CallFailure(FailureKind.NOT_SENT, message)) from error
        self._begun = True

    def replied(self, headers: Mapping[str, str], redact: Callable[[str], str]) -> None:
        """Take note of the head of the reply, whatever its status and whatever becomes of its body.

        Args:
            headers: Looked up without regard to case.
            redact: Takes the key out of a text.
        """
        if self._on_rate is None:
            return
        rate_info = rate_limit_info(headers, redact)
        if rate_info is not None:
            self._on_rate(rate_info)


async def read_body(response: httpx.Response, limit: int) -> bytes:
    """Read a body of at most `limit` bytes, and stop at the first one more.

    Of a compressed one the bytes count that it unfolds into.

    Raises:
        BodyError: It is larger, or compressed in a way that cannot be read.
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
    """Read a body of at most `limit` bytes as it arrives; nothing more is read during `take`.

    Of a compressed one the bytes count that it unfolds into.

    Raises:
        BodyError: It is larger, or compressed in a way that cannot be read.
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
    """Response hook: move two headers out of httpx's sight.

    Of Location it builds the next request even where redirects are off, and one to a broken
    address would turn the 3xx into a protocol error. By Content-Encoding it would unpack a body
    without a bound.
    """
    for header, extension in (("Location", LOCATION), ("Content-Encoding", _CODING)):
        value = response.headers.pop(header, None)
        if value is not None:
            response.extensions[extension] = value


def quiet_wire_loggers() -> None:
    """Keep httpx and httpcore from logging replies below WARNING, at whatever level they are set.

    They log no request header, but reason phrase (httpx, INFO) and headers (httpcore, DEBUG) of
    every reply, and a reply may quote the key.
    """
    for name in _WIRE_LOGGERS:
        logging.getLogger(name).addFilter(_is_warning)  # a filter twice added is there once


def _is_warning(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
