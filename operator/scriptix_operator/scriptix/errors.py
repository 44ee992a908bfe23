"""The errors of a call, and the two tables that determine them.

* ScriptixError                 has .failure, a core.model.remote.CallFailure
  x DefiniteError               the call has had no effect
    + NotSentError              no connection was made, or the sender held the request back
    + UnauthorizedError         401, 402, 403
    + NotFoundError             404
    + ConflictError             409
    + RejectedError             400, 413, 422
    + RateLimitedError          429
  x AmbiguousError              the call may have acted: everything else

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
"""Characters of a failure's message: one line of status, an event or a log. Enough for messages of
APIs, so that an unforeseen message is shown whole."""


class ScriptixError(Exception):
    """A call has failed.

    Args:
        failure: The facts of the failure; str() of the error is its message.
    """

    def __init__(self, failure: CallFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class DefiniteError(ScriptixError):
    """The call has had no effect: such a start has started no run."""


class NotSentError(DefiniteError):
    """No byte was sent: there was no connection, or `before_send` or the key prevented it."""


class UnauthorizedError(DefiniteError):
    """401, 402 or 403: the key is refused."""


class NotFoundError(DefiniteError):
    """404: no such model for this key."""


class ConflictError(DefiniteError):
    """409: the model is not in a state to be started."""


class RejectedError(DefiniteError):
    """400, 413 or 422: the request is invalid."""


class RateLimitedError(DefiniteError):
    """429; `failure.retry_after` is the wait that the API requests, if any."""


class AmbiguousError(ScriptixError):
    """The call may have acted; only a poll of the model can determine that. Never resend it."""


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
"""The definite statuses; any other status except 2xx is ambiguous."""


def kind_of_status(status: int) -> FailureKind:
    """The kind of failure of an HTTP status other than 2xx."""
    return STATUS_KINDS.get(status, FailureKind.AMBIGUOUS)


@dataclass(frozen=True, slots=True)
class Meaning:
    """The meaning of a transport error.

    Attributes:
        text: Text for users; the error's own text follows.
        kind: NOT_SENT only if the error cannot occur after the first byte of the request.
        ended: The sender saw its connection end, so no byte is still on its way to the server.
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
    # The peer ended the connection. A failed write appears as one of the others: httpcore
    # continues to read the reply that such a server may have sent.
    httpx.ReadError: Meaning("connection lost before the reply", ended=True),
    httpx.WriteError: Meaning("connection lost while sending", ended=True),
    httpx.CloseError: Meaning("connection lost", ended=True),
    httpx.RemoteProtocolError: Meaning("connection ended without a whole HTTP reply", ended=True),
    # The client gave up; the request may be on its way.
    httpx.ReadTimeout: Meaning("no reply in time"),
    httpx.WriteTimeout: Meaning("request not sent in time"),
    httpx.LocalProtocolError: Meaning("request is not HTTP"),
    # Our use of httpx does not raise these; they complete the table.
    httpx.DecodingError: Meaning("reply is wrongly compressed"),
    httpx.TooManyRedirects: Meaning("redirected too often"),
    # Base classes, for subclasses of a later httpx.
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
    """The failure of a call by an error of httpx, or by a socket error that httpx passes on.

    Args:
        error: The error.
        sent: Whether any byte of the request was sent; None: the error decides.
        closing: We closed the connection ourselves, so its end says nothing about the server.
        redact: Removes the key from a text.
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
    """Whether the peer ended the connection, and not our kernel by a time-out."""
    return all(isinstance(e, ConnectionError) for e in _chain(error) if isinstance(e, OSError))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    # httpcore raises `from None`, so what lies below is in __context__ only.
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
