"""The client of the Scriptix API: start a run, look at a model, fetch its log.

Each method is one HTTP request, or none. Nothing is retried, not even a GET that met a stale
connection: each call is paid for from a budget, and whoever keeps it decides about the next.

Proxies: those of the environment (HTTPS_PROXY, ALL_PROXY, NO_PROXY) are used for https, through
CONNECT. Not for plain http, where a proxy would read the key and could repeat a POST, and not for
loopback hosts, which httpx by itself would leave to the proxy. NO_PROXY takes names, suffixes and
single addresses; httpx does not understand networks such as 10.0.0.0/8. SSL_CERT_FILE and
SSL_CERT_DIR replace the bundled CAs.
"""

import asyncio
import ipaddress
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ssl import PROTOCOL_TLS_CLIENT, SSLContext
from types import TracebackType
from typing import Self, TypeVar

import httpx

from scriptix_operator.core.model.api_key import ApiKey, check_key
from scriptix_operator.core.model.remote import (
    CallFailure,
    FailureKind,
    LogEntry,
    LogReply,
    RateLimitInfo,
    RemoteModel,
)
from scriptix_operator.scriptix.auth import KeyAuth, check_header
from scriptix_operator.scriptix.errors import error_of, transport_failure
from scriptix_operator.scriptix.exchange import Bounds, Read, Success, exchange, unusable
from scriptix_operator.scriptix.jsontext import BadReplyError, read_object
from scriptix_operator.scriptix.logstream import LogStreams
from scriptix_operator.scriptix.refusals import error_in_success
from scriptix_operator.scriptix.replies import read_model
from scriptix_operator.scriptix.wire import Wire, quiet_wire_loggers, read_body, stash_headers

__all__ = ["ScriptixClient", "Timeouts"]

logger = logging.getLogger(__name__)
_T = TypeVar("_T")

MODEL_LIMIT = 1024 * 1024
"""Bytes of any reply but a log."""

MAX_CONNECTIONS = 20
"""Calls of one kind at once: 100 polls a minute for each key seldom are more than two."""

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "scriptix-operator",
}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `connect` is also for a free connection; `read` is between two pieces of a reply."""

    connect: float = 10
    read: float = 20
    total: float = 30
    """Of a whole call but for a log: P of the design."""
    log_total: float = 120
    """Of a log call. The time that a large log waits for its turn does not count."""


class ScriptixClient:
    """Talks to one Scriptix API, with whatever key a call is given.

    Use as a context manager, or call `aclose`.

    Args:
        base_url: Where the API is; may have a path, and a slash at its end.
        auth_header: The header for the key.
        auth_scheme: The word before the key; empty: the key alone (`x-zoom-s2t-key: KEY`).
        timeouts: Bounds in time.
        transport: In place of the network, for tests. Whether runs have their own connections is
            then up to it.

    Raises:
        ValueError: base_url, auth_header or auth_scheme cannot be used.
    """

    def __init__(
        self,
        *,
        base_url: str,
        auth_header: str = "Authorization",
        auth_scheme: str = "Bearer",
        timeouts: Timeouts = Timeouts(),
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        url = _checked_url(base_url)
        check_header(auth_header, auth_scheme)
        quiet_wire_loggers()
        self._base = str(url).rstrip("/") + "/"
        self._models = self._base + "api/v3/custom_models"
        self._auth_header = auth_header
        self._auth_scheme = auth_scheme
        self._bounds = Bounds(timeouts.total, MODEL_LIMIT)
        self._log_bounds = Bounds(timeouts.log_total, MODEL_LIMIT)
        is_https = url.scheme == "https"
        # Without https a context is never used; this one trusts nobody and costs nothing to make.
        verify = httpx.create_ssl_context() if is_https else SSLContext(PROTOCOL_TLS_CLIENT)

        def client(read: float) -> httpx.AsyncClient:
            return httpx.AsyncClient(
                headers=_HEADERS,
                verify=verify,
                trust_env=is_https and not _is_loopback(url.host),
                transport=transport,
                limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
                timeout=httpx.Timeout(read, connect=timeouts.connect, pool=timeouts.connect),
                # A cookie set for one key must not ride along with the next.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                event_hooks={"response": [stash_headers]},
            )

        self._polls = client(timeouts.read)
        # Large logs that wait for their turn hold connections, which polls must not wait for.
        self._logs = client(timeouts.read)
        self._log_streams = LogStreams()
        # Apart from the looks, and each with `Connection: close`: so a start always has a new
        # connection, which cannot turn out to be stale.
        # An answer to a start is worth waiting for, up to the total.
        self._starts = client(timeouts.total)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections."""
        await self._polls.aclose()
        await self._logs.aclose()
        await self._starts.aclose()

    async def reach(self) -> int:
        """Ask for the base URL itself, without a key: whatever answers, no call is spent.

        Returns:
            The status of the answer.

        Raises:
            ScriptixError: There is no HTTP answer.
        """
        try:
            async with (
                asyncio.timeout(self._bounds.total),
                self._polls.stream("GET", self._base) as response,
            ):
                return response.status_code
        except TimeoutError:  # asyncio's, of the whole; it is an OSError, too
            text = f"no answer within {self._bounds.total:g} s"
            failure = CallFailure(FailureKind.AMBIGUOUS, text)
        except (httpx.RequestError, OSError) as error:
            failure = transport_failure(error, sent=None, closing=False, redact=str)
        raise error_of(failure)

    async def model(
        self, model_id: int, key: ApiKey, *, on_rate: Callable[[RateLimitInfo], None] | None = None
    ) -> RemoteModel:
        """Look at a model.

        Args:
            model_id: The model.
            key: The key.
            on_rate: Called with what the reply, accepted, refused or unusable, tells of the rate
                limit, before anything else is made of it; not without a reply that does. Must not
                raise.

        Raises:
            ScriptixError: As drawn in `errors`; AmbiguousError for a reply that cannot be used.
        """
        auth = self._auth(key)
        request = self._polls.build_request("GET", f"{self._models}/{model_id}")
        reply = await _send(self._polls, request, auth, self._bounds, Wire(on_rate=on_rate), _whole)
        model = _model(reply, auth, model_id)
        if isinstance(model, CallFailure):
            raise error_of(model)
        return model

    async def run(
        self,
        model_id: int,
        key: ApiKey,
        *,
        before_send: Callable[[], None] | None = None,
        after_send: Callable[[], None] | None = None,
        on_rate: Callable[[RateLimitInfo], None] | None = None,
    ) -> RemoteModel | None:
        """Start a run: one POST on a connection of its own.

        Args:
            model_id: The model.
            key: The key.
            before_send: Called right before the first byte; what it raises becomes NotSentError.
            after_send: Called right after the last byte.
            on_rate: As for `model`.

        Returns:
            The model as the reply gave it; None where the API took the start and said nothing
            about the model, or nothing usable (logged, as the start counts all the same).

        Raises:
            NotSentError: Nothing has left.
            DefiniteError: The API refused; nothing was started.
            AmbiguousError: It may have started. Also a 2xx whose body is there but no JSON object,
                or has an error and no training_status.
        """
        auth = self._auth(key)
        request = self._starts.build_request(
            "POST",
            f"{self._models}/{model_id}/run",
            content=b"{}",
            headers={"Content-Type": "application/json", "Connection": "close"},
        )
        reply = await _send(
            self._starts,
            request,
            auth,
            self._bounds,
            Wire(before_send, after_send, on_rate),
            _whole,
        )
        if not reply.body.strip():
            return None
        try:
            body = read_object(reply.body, reply.content_type, auth.redact)
        except BadReplyError as error:
            raise error_of(unusable(reply.status, error)) from None
        failure = error_in_success(reply.status, body)
        if failure is not None:
            raise error_of(failure)
        return _taken(body, model_id)

    async def log(
        self,
        model_id: int,
        key: ApiKey,
        add: Callable[[LogEntry], None],
        *,
        on_rate: Callable[[RateLimitInfo], None] | None = None,
    ) -> LogReply:
        """Fetch the training log. Of large logs one at a time is read, whatever their keys.

        Args:
            model_id: The model.
            key: The key.
            add: Called once for each entry, in the order of the API, from a worker thread, while
                the reply is still being read.
            on_rate: As for `model`.

        Returns:
            What the reply holds beside the entries.

        Raises:
            ScriptixError: As drawn in `errors`; AmbiguousError for a reply that cannot be used.
                What was added before is to be discarded: it may be another model's log.
        """
        auth = self._auth(key)
        request = self._logs.build_request("GET", f"{self._models}/{model_id}/log")
        read = partial(self._log_streams.read, model_id=model_id, redact=auth.redact, add=add)
        wire = Wire(on_rate=on_rate)
        reply = await _send(self._logs, request, auth, self._log_bounds, wire, read)
        if isinstance(reply.body, CallFailure):
            raise error_of(reply.body)
        return reply.body

    def _auth(self, key: ApiKey) -> KeyAuth:
        try:
            check_key(key.value)
        except ValueError as error:
            failure = CallFailure(FailureKind.NOT_SENT, str(error))
        else:
            return KeyAuth(key, self._auth_header, self._auth_scheme)
        raise error_of(failure)


async def _send(  # noqa: PLR0913, PLR0917 - as `exchange`
    client: httpx.AsyncClient,
    request: httpx.Request,
    auth: KeyAuth,
    bounds: Bounds,
    wire: Wire,
    read: Read[_T],
) -> Success[_T]:
    result = await exchange(client, request, auth, bounds, wire, read)
    if isinstance(result, CallFailure):
        raise error_of(result)
    return result


async def _whole(response: httpx.Response, _: asyncio.Timeout) -> bytes:
    return await read_body(response, MODEL_LIMIT)


def _model(reply: Success[bytes], auth: KeyAuth, model_id: int) -> RemoteModel | CallFailure:
    """What a 2xx holds; a failure where it cannot be used, with the API's error if it has one."""
    body: dict[str, object] = {}
    try:
        body = read_object(reply.body, reply.content_type, auth.redact)
        return read_model(body, model_id)
    except BadReplyError as error:
        return error_in_success(reply.status, body) or unusable(reply.status, error)


def _taken(body: dict[str, object], model_id: int) -> RemoteModel | None:
    """The model in the reply to a start that was taken, in whatever form the reply is."""
    try:
        model = read_model(body, model_id)
    except BadReplyError as error:
        logger.warning("run of model %d was accepted; %s", model_id, error)
        return None
    if model.flaw is not None:
        logger.warning("run of model %d was accepted; not readable: %s", model_id, model.flaw)
    return model


def _checked_url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise ValueError(f"not a URL: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ValueError("the base URL must begin with https:// (or http://) and a host")
    if url.userinfo or url.query or url.fragment:
        raise ValueError("the base URL must have no user, query or fragment")
    return url


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
