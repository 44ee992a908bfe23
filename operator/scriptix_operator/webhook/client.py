"""The client of the sink: one signed POST (Standard Webhooks), bounded in time and bytes.

Errors have no text of httpx: that may quote the URL, which is a credential. Proxies are used as by
the client of the Scriptix API: for https, and not for loopback hosts.
"""

import asyncio
import base64
import hashlib
import hmac
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ssl import SSLContext
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import httpx

from scriptix_operator.webhook.destination import Destination, is_loopback
from scriptix_operator.wire_loggers import quiet_wire_loggers

__all__ = ["Delivery", "WebhookClient", "signature"]

TOTAL = 10.0
"""Seconds of a whole call: the sink has to queue what takes longer."""
READ = 16 * 1024
"""Bytes of a reply that are read; the rest is not awaited."""
GONE = 410
REDIRECTS = range(300, 400)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of a POST."""

    is_delivered: bool = False
    is_gone: bool = False
    """The sink wants no further attempt of this notification (410)."""
    cause: str = ""
    """Why it was not delivered; without the URL."""


class WebhookClient:
    """Sends notifications; use as a context manager.

    Args:
        total: Seconds of a whole call.
    """

    def __init__(self, total: float = TOTAL) -> None:
        quiet_wire_loggers()
        self._total = total
        trusted = httpx.create_ssl_context()
        self._direct = _client(trusted, uses_proxies=False)
        self._proxied = _client(trusted, uses_proxies=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._direct.aclose()
        await self._proxied.aclose()

    async def post(
        self, to: Destination, message_id: str, timestamp: int, body: bytes, content_type: str
    ) -> Delivery:
        """Send one notification, once; failures are returned.

        Args:
            to: The sink.
            message_id: The id, the same at each attempt.
            timestamp: Seconds since 1970 of this attempt.
            body: The body.
            content_type: Its type.
        """
        headers = {
            "content-type": content_type,
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(to.keys, message_id, timestamp, body),
        }
        url = urlsplit(to.url)
        is_direct = url.scheme == "http" or is_loopback(url.hostname or "")
        client = self._direct if is_direct else self._proxied
        try:
            async with (
                asyncio.timeout(self._total),
                client.stream("POST", to.url, headers=headers, content=body) as reply,
            ):
                status = reply.status_code
                # A whole short reply is read, so that its connection can be used again.
                size = 0
                async for piece in reply.aiter_raw():
                    size += len(piece)
                    if size > READ:
                        break
        except TimeoutError:
            return Delivery(cause=f"no whole reply within {self._total:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            return Delivery(cause=type(error).__name__)
        return _delivery(status)


def signature(keys: tuple[bytes, ...], message_id: str, timestamp: int, body: bytes) -> str:
    """The header webhook-signature: one signature for each key."""
    content = f"{message_id}.{timestamp}.".encode() + body
    digests = (hmac.digest(key, content, hashlib.sha256) for key in keys)
    return " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)


def _delivery(status: int) -> Delivery:
    if status // 100 == 2:  # noqa: PLR2004 - the class of success
        return Delivery(is_delivered=True)
    if status == GONE:
        return Delivery(is_gone=True, cause="HTTP 410")
    if status in REDIRECTS:
        return Delivery(cause=f"HTTP {status}, and redirects are not followed")
    return Delivery(cause=f"HTTP {status}")


def _client(trusted: SSLContext, *, uses_proxies: bool) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        verify=trusted,
        headers={"User-Agent": "scriptix-operator", "Accept-Encoding": "identity"},
        follow_redirects=False,
        trust_env=uses_proxies,
        timeout=httpx.Timeout(TOTAL),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )
