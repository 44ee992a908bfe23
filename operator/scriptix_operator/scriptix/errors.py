"""What a call can raise, and the two tables that decide it.

* ScriptixError                 has .failure, a core.model.remote.CallFailure
  x DefiniteError               the call has had no effect
    + NotSentError              no connection was made, or the sender held it back
    + UnauthorizedError         401, 402, 403
    + NotFoundError             404
    + ConflictError             409
    + RejectedError             400, 413, 422
    + RateLimitedError          429
  x AmbiguousError              it may have acted: everything else

`STATUS_KINDS` has the HTTP statuses, `TRANSPORT_ERRORS` the errors of httpx; tests enumerate both.
An error is raised without its cause: an httpx error holds the request, and that holds the key.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import httpx

from scriptix_operator.core.model.remote import CallFailure, FailureKind
from scriptix_operator.core.model.text import one_line

__all__ = [
    "STATUS_KINDS",
    "TRANSPORT_ERRORS",
    "AmbiguousError",
    "ConflictError",
    "DefiniteError",
    "Meaning",
    "NotFoundError",
    "NotSentError",
    "RateLimitedError",
    "RejectedError",
    "ScriptixError",
    "UnauthorizedError",
    "error_of",
    "kind_of_status",
    "transport_failure",
]

MESSAGE_LENGTH = 1024
"""Characters of a failure's message: one line of status, an event or a log. Room for what an API
has to say, so that words that nobody has foreseen are shown whole."""


class ScriptixError(Exception):
    """A call did not succeed.

    Args:
        failure: What is known about it; str() of the error is its message.
    """

    def __init__(self, failure: CallFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class DefiniteError(ScriptixError):
    """The call has had no effect: a start that ends so has not started anything."""


class NotSentError(DefiniteError):
    """Nothing of the request has left: no connection, or `before_send` or the key forbade it."""


class UnauthorizedError(DefiniteError):
    """401, 402 or 403: the key is refused."""


class NotFoundError(DefiniteError):
    """404: no such model for this key."""


class ConflictError(DefiniteError):
    """409: the model is not in a state to be started."""


class RejectedError(DefiniteError):
    """400, 413 or 422: the request will not do as it is."""


class RateLimitedError(DefiniteError):
    """429; `failure.retry_after` says how long to wait, where the API did."""


class AmbiguousError(ScriptixError):
    """The call may have acted; only a look at the model can tell. Never resend it blindly."""


_CLASSES: Mapping[FailureKind, type[ScriptixError]] = {
    FailureKind.NOT_SENT: NotSentError,
    FailureKind.UNAUTHORIZED: UnauthorizedError,
    FailureKind.NOT_FOUND: NotFoundError,
    FailureKind.CONFLICT: ConflictError,
    FailureKind.REJECTED: RejectedError,
    FailureKind.RATE_LIMITED: RateLimitedError,
    FailureKind.AMBIGUOUS: AmbiguousError,
}


def error_of(failure: CallFailure) -> ScriptixError:
    """The error to raise for a failure."""
    return _CLASSES[failure.kind](failure)


STATUS_KINDS: Mapping[int, FailureKind] = {
    400: FailureKind.REJECTED,
    401: FailureKind.UNAUTHORIZED,
    402: FailureKind.UNAUTHORIZED,
    403: FailureKind.UNAUTHORIZED,
    404: FailureKind.NOT_FOUND,
    409: FailureKind.CONFLICT,
    413: FailureKind.REJECTED,
    422: FailureKind.REJECTED,
    429: FailureKind.RATE_LIMITED,
}
"""The definite answers; whatever is not here and not 2xx is ambiguous."""


def kind_of_status(status: int) -> FailureKind:
    """What an HTTP status other than 2xx means."""
    return STATUS_KINDS.get(status, FailureKind.AMBIGUOUS)


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an error of the transport means.

    Attributes:
        text: For people; the error's own text follows.
        kind: NOT_SENT only where it cannot come up after the first byte of the request.
        ended: The sender saw its connection end, so nothing is still on its way to the server.
    """

    text: str
    kind: FailureKind = FailureKind.AMBIGUOUS
    ended: bool = False


TRANSPORT_ERRORS: Mapping[type[httpx.RequestError], Meaning] = {
    # Before the first byte. httpcore raises these from the pool, from connect_tcp, from start_tls
    # and (ProxyError) from CONNECT; over HTTP/1.1 all of that ends before the request begins.
    httpx.UnsupportedProtocol: Meaning("not an http or https address", FailureKind.NOT_SENT),
    httpx.PoolTimeout: Meaning("no free connection in time", FailureKind.NOT_SENT),
    httpx.ConnectTimeout: Meaning("no connection in time", FailureKind.NOT_SENT),
    httpx.ConnectError: Meaning("no connection", FailureKind.NOT_SENT),
    httpx.ProxyError: Meaning("refused by the proxy", FailureKind.NOT_SENT),
    # The connection ended under us. A failed write comes out as one of the others: httpcore
    # goes on to read the reply that such a server may have sent.
    httpx.ReadError: Meaning("connection lost before the reply", ended=True),
    httpx.WriteError: Meaning("connection lost while sending", ended=True),
    httpx.CloseError: Meaning("connection lost", ended=True),
    httpx.RemoteProtocolError: Meaning("connection ended without a whole HTTP reply", ended=True),
    # We gave up; the request may be on its way.
    httpx.ReadTimeout: Meaning("no reply in time"),
    httpx.WriteTimeout: Meaning("request not sent in time"),
    httpx.LocalProtocolError: Meaning("request is not HTTP"),
    # Not raised by the way we use httpx, but mapped so that the table is whole.
    httpx.DecodingError: Meaning("reply is wrongly compressed"),
    httpx.TooManyRedirects: Meaning("redirected too often"),
    # Base classes, for what a later httpx may add below them.
    httpx.TimeoutException: Meaning("no reply in time"),
    httpx.NetworkError: Meaning("network error"),
    httpx.ProtocolError: Meaning("protocol error"),
    httpx.TransportError: Meaning("transport error"),
    httpx.RequestError: Meaning("request failed"),
}
"""Every httpx.RequestError; the entry nearest in the class's MRO counts."""

_OTHER = Meaning("connection broke")


def transport_failure(
    error: Exception, *, sent: bool | None, closing: bool, redact: Callable[[str], str]
) -> CallFailure:
    """What an error of httpx, or one that it lets through from the sockets, means.

    Args:
        error: The error.
        sent: Whether anything of the request was sent; None if only the error can tell.
        closing: We closed the connection ourselves, so its end tells nothing about the server.
        redact: Takes the key out of a text.
    """
    meaning = next(
        (TRANSPORT_ERRORS[cls] for cls in type(error).__mro__ if cls in TRANSPORT_ERRORS), _OTHER
    )
    own = redact(str(error))
    if sent is None:
        sent = meaning.kind is not FailureKind.NOT_SENT
    return CallFailure(
        kind=FailureKind.AMBIGUOUS if sent else FailureKind.NOT_SENT,
        message=one_line(f"{meaning.text}: {own}" if own else meaning.text, MESSAGE_LENGTH),
        reset_seen=meaning.ended and not closing and _by_peer(error),
    )


def _by_peer(error: BaseException) -> bool:
    """Whether the connection ended by the peer's word, and not by our kernel's giving up."""
    return all(isinstance(e, ConnectionError) for e in _chain(error) if isinstance(e, OSError))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    # httpcore raises `from None`, so what lies below is in __context__ only.
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
