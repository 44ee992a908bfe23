"""One request and its reply, bounded in time and bytes: a 2xx, or a failure."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import httpx

from scriptix_operator.core.model.remote import CallFailure, FailureKind
from scriptix_operator.scriptix.auth import KeyAuth
from scriptix_operator.scriptix.errors import NotSentError, transport_failure
from scriptix_operator.scriptix.jsontext import BadReplyError
from scriptix_operator.scriptix.refusals import refusal
from scriptix_operator.scriptix.wire import LOCATION, BodyError, Wire, read_body

__all__ = ["Bounds", "Read", "Success", "exchange", "unusable"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of a call.

    Attributes:
        total: Seconds, from the wait for a connection to the last byte of the reply.
        limit: Bytes of the body of a refusal.
    """

    total: float
    limit: int


@dataclass(frozen=True, slots=True)
class Success(Generic[_T]):
    """A 2xx and its body, which may quote the key and so is in no repr."""

    status: int
    content_type: str = field(repr=False)
    body: _T = field(repr=False)


Read = Callable[[httpx.Response, asyncio.Timeout], Awaitable[_T]]
"""Reads the body of a 2xx; takes the response and the deadline of the call."""


async def exchange(  # noqa: PLR0913, PLR0917 - a call is made of as many parts
    client: httpx.AsyncClient,
    request: httpx.Request,
    auth: KeyAuth,
    bounds: Bounds,
    wire: Wire,
    read: Read[_T],
) -> Success[_T] | CallFailure:
    """Send a request and read its reply.

    Failures are returned, not raised: an error raised while one of httpx is handled would refer to
    it, and so to the request and the key.
    """
    request.extensions["trace"] = wire.trace
    response: httpx.Response | None = None
    refused = b""
    flaw: CallFailure | None = None
    try:
        async with asyncio.timeout(bounds.total) as deadline:
            response = await client.send(request, auth=auth, stream=True)
            try:
                # Before the body is read: a reset counts from the head, and a log takes long.
                wire.replied(response.headers, auth.redact)
                if response.is_success:
                    kind = response.headers.get("Content-Type", "")
                    body = await read(response, deadline)
                    return Success(response.status_code, kind, body)
                refused = await read_body(response, bounds.limit)
            finally:
                await response.aclose()
    except NotSentError as error:
        return error.failure
    except (BodyError, httpx.RequestError, OSError) as error:
        flaw = _flaw(error, client, auth, bounds, wire)
        if response is None:
            return flaw
    if flaw is not None and response.is_success:
        return replace(flaw, status=response.status_code)
    # The status is definite, even if the body could not be read.
    location = response.extensions.get(LOCATION)
    return refusal(response.status_code, response.headers, refused, location, auth.redact)


def unusable(status: int, error: BadReplyError) -> CallFailure:
    """The failure of a call whose 2xx cannot be used."""
    return CallFailure(FailureKind.AMBIGUOUS, str(error), status=status)


def _flaw(
    error: Exception, client: httpx.AsyncClient, auth: KeyAuth, bounds: Bounds, wire: Wire
) -> CallFailure:
    if isinstance(error, BodyError):
        return CallFailure(FailureKind.AMBIGUOUS, auth.redact(str(error)))
    if isinstance(error, TimeoutError):  # asyncio.timeout's; httpx raises other classes
        kind = FailureKind.NOT_SENT if wire.sent is False else FailureKind.AMBIGUOUS
        return CallFailure(kind, f"no whole reply within {bounds.total:g} s")
    return transport_failure(error, sent=wire.sent, closing=client.is_closed, redact=auth.redact)
