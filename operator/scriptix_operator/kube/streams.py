"""The watch streams of one embedded Kopf: which streams are open, and why a stream is not.

Kopf does not report whether it watches: it does not restart a watcher whose task has ended, or that
never began because the CRD was missing when Kopf started. So a client middleware of its session
observes its HTTP requests.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
from yarl import URL

from scriptix_operator.api.names import PLURAL
from scriptix_operator.core.model.text import one_line

__all__ = ["IDLE_LIMIT", "Scope", "Streams"]

IDLE_LIMIT = 5.0
"""Seconds without an open stream or a request after which Kopf counts as not watching; longer than
the delays between the attempts of one request."""
HEAD_TIMEOUT = 5.0
"""Seconds that the API server may take for the head of its reply to a watch request; Kopf itself
would wait without end."""
REPEAT_INTERVAL = 1.0
"""Least seconds between two lists, or two watch requests, of one scope. Kopf repeats a request at
once when its reply was cut off, and would flood an API server (or a load balancer) that cuts off
each reply."""
TEXT_LIMIT = 256

Scope = str | None
"""The scope of one stream: a namespace, or None for all."""

NOT_ASKED = "Kopf makes no request for it; the CustomResourceDefinition may be missing"


@dataclass(slots=True)
class _Stream:
    response: aiohttp.ClientResponse | None = None
    """The connection of the last watch request that the API server accepted."""
    trouble: str = NOT_ASKED
    is_listing: bool = False
    """Whether a page of the list has arrived, and nothing has failed since."""
    is_refused: bool = False
    """Whether the last reply was HTTP 403."""
    listed_at: float = -math.inf
    watched_at: float = -math.inf
    """When the last list, and the last watch request, began."""

    @property
    def is_open(self) -> bool:
        return self.response is not None and not self.response.closed

    def fail(self, text: str) -> None:
        self.is_listing, self.is_refused = False, False
        self.trouble = one_line(text, TEXT_LIMIT)


class Streams:
    """Observes the requests of one Kopf; any thread may ask what fails.

    Args:
        scopes: The scopes of the expected streams.
        clock: Monotonic seconds.
    """

    def __init__(self, scopes: frozenset[Scope], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._streams = {scope: _Stream() for scope in scopes}
        self._under_way = 0
        self._active_at = clock()
        self.is_answered = False
        """Whether the API server has answered the last request, and accepted the credentials."""
        self.is_unreachable = False
        """Whether the last request had no reply."""

    async def observe(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Middleware: pass a request on, and note its result."""
        stream = self._streams.get(_scope(request.url)) if _is_ours(request.url) else None
        is_watch = "watch" in request.url.query
        self._under_way += 1
        try:
            if stream is not None and "continue" not in request.url.query:
                await self._pause(stream, is_watch=is_watch)
            response = await _in_time(handler(request), HEAD_TIMEOUT if is_watch else None)
        except Exception as error:
            self.is_answered, self.is_unreachable = False, True
            if stream is not None:
                stream.fail(f"{type(error).__name__} {error}".strip())
            raise
        finally:
            self._under_way -= 1
            self._active_at = self._clock()
        self.is_answered = response.status != HTTPStatus.UNAUTHORIZED
        self.is_unreachable = False
        if stream is not None and not response.ok:
            stream.fail(f"HTTP {response.status} {response.reason or ''}")
            stream.is_refused = response.status == HTTPStatus.FORBIDDEN
        elif stream is not None and is_watch:
            stream.response = response
            stream.fail("the stream has ended")
        elif stream is not None:
            stream.is_listing, stream.is_refused = True, False
        return response

    async def _pause(self, stream: _Stream, *, is_watch: bool) -> None:
        """Wait until the request may be repeated; it begins then."""
        before = stream.watched_at if is_watch else stream.listed_at
        await asyncio.sleep(before + REPEAT_INTERVAL - self._clock())
        if is_watch:
            stream.watched_at = self._clock()
        else:
            stream.listed_at = self._clock()

    def active(self) -> None:
        """Note that Kopf has handled an event: a list of thousands delays its next request."""
        self._active_at = self._clock()

    def failing(self) -> dict[Scope, str]:
        """The scopes that are neither watched nor being listed, with the cause."""
        return {
            scope: one.trouble
            for scope, one in self._streams.items()
            if not (one.is_open or one.is_listing)
        }

    def refused(self) -> dict[Scope, str]:
        """The scopes that the operator may not list or watch, with the reply."""
        return {scope: one.trouble for scope, one in self._streams.items() if one.is_refused}

    @property
    def all_open(self) -> bool:
        """Whether everything is watched."""
        return all(one.is_open for one in self._streams.values())

    @property
    def all_fail(self) -> bool:
        """Whether nothing is watched or being listed."""
        return len(self.failing()) == len(self._streams)

    def abandoned(self) -> dict[Scope, str]:
        """The scopes that Kopf has stopped watching, or never tried to watch."""
        if self._under_way or self._clock() - self._active_at < IDLE_LIMIT:
            return {}
        return {scope: one.trouble for scope, one in self._streams.items() if not one.is_open}


async def _in_time(
    reply: Awaitable[aiohttp.ClientResponse], seconds: float | None
) -> aiohttp.ClientResponse:
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await reply
    except TimeoutError as error:
        if limit.expired():
            raise TimeoutError(f"no reply within {seconds:.0f} s") from error
        raise


def _is_ours(url: URL) -> bool:
    return url.path.endswith(f"/{PLURAL}")


def _scope(url: URL) -> Scope:
    _, found, rest = url.path.partition("/namespaces/")
    return rest.partition("/")[0] if found else None
