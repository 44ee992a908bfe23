"""The client of the Scriptix API: starts a run, polls a model, fetches a log.

Each method sends at most one HTTP request. The client never retries, not even a GET on a stale
connection: each call is charged to a quota, and the holder of the quota decides about further
calls.

Proxies: those of the environment (HTTPS_PROXY, ALL_PROXY, NO_PROXY) are used for https, through
CONNECT. Not for plain http, where a proxy would read the key and could repeat a POST, and not for
loopback hosts, which httpx would send through the proxy. NO_PROXY takes names, suffixes and
single addresses; httpx does not understand networks such as 10.0.0.0/8. SSL_CERT_FILE and
SSL_CERT_DIR replace the bundled CAs.
"""

import asyncio
import ipaddress
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
from scriptix_operator.scriptix.wire import Wire, read_body, stash_headers
from scriptix_operator.wire_loggers import quiet_wire_loggers

__all__ = ["ScriptixClient", "Timeouts"]

_T = TypeVar("_T")

MODEL_LIMIT = 1024 * 1024
"""Bytes of a reply, except for logs."""

MAX_CONNECTIONS = 20
"""Calls of one kind at once: 100 polls a minute for each key rarely overlap more than twice."""

_HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "scriptix-operator",
}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `connect` includes the wait for a free connection; `read` is between two pieces."""

    connect: float = 10
    read: float = 20
    total: float = 30
    """Seconds of a whole call, except for logs: P in docs/start-protocol.md."""
    log_total: float = 120
    """Seconds of a log call. The time that a large log waits for the others does not count."""


class ScriptixClient:
    """Client of one Scriptix API; each call has its own key.

    Use as a context manager, or call `aclose`.

    Args:
        base_url: Where the API is; may have a path, and a slash at its end.
        auth_header: The header for the key.
        auth_scheme: The scheme before the key; empty: the key alone (`x-zoom-s2t-key: KEY`).
        timeouts: The time-outs.
        transport: Replaces the network in tests. The transport then decides whether starts have
            their own connections.

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
        # Without https a context is never used; this one trusts no CA and costs nothing.
        verify = httpx.create_ssl_context() if is_https else SSLContext(PROTOCOL_TLS_CLIENT)

        def client(read: float) -> httpx.AsyncClient:
            return httpx.AsyncClient(
                headers=_HEADERS,
                verify=verify,
                trust_env=is_https and not _is_loopback(url.host),
                transport=transport,
                limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
                timeout=httpx.Timeout(read, connect=timeouts.connect, pool=timeouts.connect),
                # A cookie that was set for one key must not be sent with another.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
                event_hooks={"response": [stash_headers]},
            )

        self._polls = client(timeouts.read)
        # Large logs that wait for each other hold connections, which must not delay polls.
        self._logs = client(timeouts.read)
        self._log_streams = LogStreams()
        # Starts are separate from polls, each with `Connection: close`: so a start always has a new
        # connection, which cannot be stale.
        # A start waits for its reply up to the total time-out.
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
        """Request the base URL without a key, which uses no quota.

        Returns:
            The HTTP status of the reply.

        Raises:
            ScriptixError: There is no HTTP reply.
        """
        try:
            async with (
                asyncio.timeout(self._bounds.total),
                self._polls.stream("GET", self._base) as response,
            ):
                return response.status_code
        except TimeoutError:  # asyncio's time-out of the whole call, which is an OSError, too
            text = f"no answer within {self._bounds.total:g} s"
            failure = CallFailure(FailureKind.AMBIGUOUS, text)
        except (httpx.RequestError, OSError) as error:
            failure = transport_failure(error, sent=None, closing=False, redact=str)
        raise error_of(failure)

    async def model(
        self, model_id: int, key: ApiKey, *, on_rate: Callable[[RateLimitInfo], None] | None = None
    ) -> RemoteModel:
        """Poll a model.

        Args:
            model_id: The model.
            key: The key.
            on_rate: Called with the rate-limit info of the reply, accepted, refused or unusable,
                before the reply is processed; not called without such info. Must not raise.

        Raises:
            ScriptixError: As listed in `errors`; AmbiguousError for an unusable reply.
        """
        auth = self._auth(key)
        request = self._polls.build_request("GET", f"{self._models}/{model_id}")
        reply = await _send(self._polls, request, auth, self._bounds, Wire(on_rate=on_rate), _whole)
        model = _model(reply, auth, model_id)
        if isinstance(model, CallFailure):
            raise error_of(model)
        return model

    async def run(  # noqa: PLR0913 - each optional one is named
        self,
        model_id: int,
        key: ApiKey,
        *,
        before_send: Callable[[], None] | None = None,
        after_send: Callable[[], None] | None = None,
        on_rate: Callable[[RateLimitInfo], None] | None = None,
        on_flaw: Callable[[str], None] = lambda _: None,
    ) -> RemoteModel | None:
        """Start a run: one POST on a connection of its own.

        Args:
            model_id: The model.
            key: The key.
            before_send: Called right before the first byte; its exception becomes NotSentError.
            after_send: Called right after the last byte.
            on_rate: As for `model`.
            on_flaw: Called with what cannot be read in the reply to an accepted start, in one
                bounded line without the key.

        Returns:
            The model in the reply; None if the API accepted the start and the reply has no model,
            or an unusable one: the start counts all the same.

        Raises:
            NotSentError: No byte was sent.
            DefiniteError: The API refused; no run was started.
            AmbiguousError: A run may have started. Also for a 2xx whose body is not empty and not a
                JSON object, or has an error and no training_status.
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
        return _taken(body, model_id, on_flaw)

    async def log(
        self,
        model_id: int,
        key: ApiKey,
        add: Callable[[LogEntry], None],
        *,
        on_rate: Callable[[RateLimitInfo], None] | None = None,
    ) -> LogReply:
        """Fetch the training log. Large logs are read one at a time, for all keys.

        Args:
            model_id: The model.
            key: The key.
            add: Called once for each entry, in the order of the API, from a worker thread, while
                the reply is still being read.
            on_rate: As for `model`.

        Returns:
            The reply without its entries.

        Raises:
            ScriptixError: As listed in `errors`; AmbiguousError for an unusable reply. Entries that
                were added before are to be discarded: they may be of another model.
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
    """The model in a 2xx; a failure if it is unusable, with the API's error if it has one."""
    body: dict[str, object] = {}
    try:
        body = read_object(reply.body, reply.content_type, auth.redact)
        return read_model(body, model_id)
    except BadReplyError as error:
        return error_in_success(reply.status, body) or unusable(reply.status, error)


def _taken(
    body: dict[str, object], model_id: int, on_flaw: Callable[[str], None]
) -> RemoteModel | None:
    """The model in the reply to an accepted start; None if the reply has no usable one."""
    try:
        model = read_model(body, model_id)
    except BadReplyError as error:
        on_flaw(str(error))
        return None
    if model.flaw is not None:
        on_flaw(f"not readable in the reply: {model.flaw}")
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
