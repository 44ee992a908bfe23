"""The tables of errors are complete for httpx's errors and all HTTP statuses."""

import errno
from collections.abc import Iterator

import httpx
import pytest

from scriptix_operator.core.model.remote import CallFailure, FailureKind
from scriptix_operator.scriptix import errors
from scriptix_operator.scriptix.errors import (
    TRANSPORT_ERRORS,
    AmbiguousError,
    DefiniteError,
    ScriptixError,
    error_of,
    kind_of_status,
    transport_failure,
)

DEFINITE = {
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

NOT_SENT = {
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
}

ENDED = {httpx.ReadError, httpx.WriteError, httpx.CloseError, httpx.RemoteProtocolError}

NOT_OF_A_CALL = {
    httpx.HTTPStatusError,  # of raise_for_status, which the client does not call
    httpx.InvalidURL,  # the base URL is checked, and the client makes the path
    httpx.CookieConflict,  # no cookies are kept
    httpx.StreamError,  # wrong use of httpx: a bug must not be hidden
    httpx.StreamConsumed,
    httpx.StreamClosed,
    httpx.ResponseNotRead,
    httpx.RequestNotRead,
}


def subclasses(cls: type[Exception]) -> Iterator[type[Exception]]:
    yield cls
    for sub in cls.__subclasses__():
        if sub.__module__.startswith("httpx"):
            yield from subclasses(sub)


def meaning(error: Exception, *, sent: bool | None = None, closing: bool = False) -> CallFailure:
    return transport_failure(error, sent=sent, closing=closing, redact=lambda text: text)


def test_every_request_error_of_httpx_has_an_entry_of_its_own() -> None:
    assert set(TRANSPORT_ERRORS) == set(subclasses(httpx.RequestError))


def test_other_httpx_exceptions_do_not_come_from_a_call() -> None:
    public = {
        cls
        for cls in vars(httpx).values()
        if isinstance(cls, type) and issubclass(cls, Exception) and cls is not httpx.HTTPError
    }
    assert public - set(TRANSPORT_ERRORS) == NOT_OF_A_CALL


@pytest.mark.parametrize("cls", list(TRANSPORT_ERRORS))
def test_only_errors_before_the_first_byte_say_not_sent(cls: type[httpx.RequestError]) -> None:
    failure = meaning(cls("why"))
    assert (failure.kind is FailureKind.NOT_SENT) == (cls in NOT_SENT)
    assert failure.kind in {FailureKind.NOT_SENT, FailureKind.AMBIGUOUS}
    assert failure.reset_seen == (cls in ENDED)
    assert "why" in failure.message


@pytest.mark.parametrize("cls", list(TRANSPORT_ERRORS))
def test_bytes_on_the_wire_outweigh_the_error(cls: type[httpx.RequestError]) -> None:
    assert meaning(cls("why"), sent=True).kind is FailureKind.AMBIGUOUS
    assert meaning(cls("why"), sent=False).kind is FailureKind.NOT_SENT


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status_has_a_kind(status: int) -> None:
    assert kind_of_status(status) is DEFINITE.get(status, FailureKind.AMBIGUOUS)


@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_kind_has_an_error_of_its_own(kind: FailureKind) -> None:
    error = error_of(CallFailure(kind, "why"))
    assert isinstance(error, AmbiguousError) == (kind is FailureKind.AMBIGUOUS)
    assert isinstance(error, DefiniteError) == (kind is not FailureKind.AMBIGUOUS)
    assert type(error) not in {
        type(error_of(CallFailure(other, ""))) for other in FailureKind if other is not kind
    }
    assert (str(error), error.failure.kind) == ("why", kind)


def test_the_docstring_draws_every_class() -> None:
    assert errors.__doc__ is not None
    classes: list[type[ScriptixError]] = [ScriptixError, *ScriptixError.__subclasses__()]
    for cls in [*classes, *DefiniteError.__subclasses__()]:
        assert f" {cls.__name__} " in errors.__doc__


@pytest.mark.parametrize(
    ("below", "by_peer"),
    [
        pytest.param(ConnectionResetError(errno.ECONNRESET, "reset"), True, id="rst"),
        pytest.param(BrokenPipeError(errno.EPIPE, "pipe"), True, id="pipe"),
        pytest.param(OSError(errno.ETIMEDOUT, "no acknowledgement"), False, id="kernel-gave-up"),
        pytest.param(OSError(errno.EHOSTUNREACH, "no route"), False, id="no-route"),
    ],
)
def test_only_a_reset_by_the_peer_counts(below: OSError, *, by_peer: bool) -> None:
    error = httpx.ReadError("")
    error.__context__ = RuntimeError("a layer between")
    error.__context__.__context__ = below
    assert meaning(error).reset_seen is by_peer


def test_connection_closed_by_the_client_is_no_reset() -> None:
    assert meaning(httpx.ReadError("")).reset_seen
    assert not meaning(httpx.ReadError(""), closing=True).reset_seen


def test_an_errors_own_text_is_redacted_and_bounded() -> None:
    error = httpx.LocalProtocolError("Illegal header value sk-123" + "x" * 2000)
    failure = transport_failure(
        error, sent=None, closing=False, redact=lambda text: text.replace("sk-123", "***")
    )
    assert failure.message.startswith("request is not HTTP: Illegal header value ***x")
    assert len(failure.message) == 1024


def test_error_of_the_transport_is_ambiguous() -> None:
    failure = meaning(OSError(errno.EIO, "odd"))
    assert (failure.kind, failure.reset_seen) == (FailureKind.AMBIGUOUS, False)
    assert "odd" in failure.message
