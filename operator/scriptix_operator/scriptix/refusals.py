"""Replies with an error, read into a CallFailure.

Known forms are `{error, message, error_code, details}`, the same inside `result`, and `error` as an
object. A body without `error`, `errors` and `error_code` is not the API's own: a proxy or a gateway
has replied, and its reply is no evidence about model, key or start.
"""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from http import HTTPStatus

from scriptix_operator.core.model.remote import CallFailure, FailureKind
from scriptix_operator.core.model.text import one_line
from scriptix_operator.scriptix.errors import MESSAGE_LENGTH, kind_of_status
from scriptix_operator.scriptix.jsontext import BadReplyError, excerpt, read_object
from scriptix_operator.scriptix.rate_headers import wait_for_reset
from scriptix_operator.scriptix.retry_after import retry_after

__all__ = ["FIELDS", "error_in_success", "refusal"]

CODE_LENGTH = 64
MAX_DETAILS = 32
DETAIL_LENGTH = 256
_MAX_INT = 2**53
_REDIRECTS = range(300, 400)
_CLIENT_ERRORS = range(400, 500)
_ERROR_FIELDS = ("error", "errors", "error_code")
FIELDS = (*_ERROR_FIELDS, "message", "details", "success", "training_status")
"""The fields that decide whether a 2xx is an error."""


def refusal(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    location: str | None,
    redact: Callable[[str], str],
) -> CallFailure:
    """Read a reply that is not 2xx.

    Args:
        status: HTTP status, which decides the kind if the API itself has replied.
        headers: The reply's headers; names are case-insensitive.
        body: The body, as far as it could be read.
        location: The target of a redirect.
        redact: Removes the key from a text.
    """
    try:
        reply = _unwrapped(read_object(body, headers.get("Content-Type", ""), redact))
    except BadReplyError:
        reply = {}
    said = _said(reply)
    if status in _REDIRECTS:
        where = f" to {redact(location).partition('?')[0]}" if location else ""
        text = f"redirected{where}, which is not followed; check the base URL"
    else:
        text = said.text or excerpt(body, redact) or _phrase(status)
    is_from_gateway = _is_from_gateway(status, reply)
    wait = retry_after(headers, reply)
    if wait is None and status == HTTPStatus.TOO_MANY_REQUESTS:
        # The reset is when more calls fit. With another status it says nothing of the wait.
        wait = wait_for_reset(headers)
    return CallFailure(
        kind=FailureKind.AMBIGUOUS if is_from_gateway else kind_of_status(status),
        message=_message(status, said.code, text),
        status=status,
        code=said.code,
        details=said.details,
        retry_after=wait,
        is_from_gateway=is_from_gateway,
    )


def error_in_success(status: int, body: dict[str, object]) -> CallFailure | None:
    """Read a 2xx that has an error in place of a result; None: it has no error.

    Whether the call has acted is unknown: status and body contradict each other.
    """
    if not _has_error_only(body):
        return None
    reply = _unwrapped(body)
    said = _said(reply)
    return CallFailure(
        kind=FailureKind.AMBIGUOUS,
        message=_message(status, said.code, said.text or "the reply reports a failure"),
        status=status,
        code=said.code,
        details=said.details,
        is_error_in_success=True,
    )


def _has_error_only(body: dict[str, object]) -> bool:
    """Whether a 2xx has an error, or `success: false`, and no training_status."""
    result = body.get("result")
    parts = (body, result) if isinstance(result, dict) else (body,)
    if any(part.get("training_status") is not None for part in parts):
        return False
    return any(_has_error(part) or part.get("success") is False for part in parts)


def _has_error(reply: Mapping[str, object]) -> bool:
    """Whether a reply has an error; null, "", [], {} and 0 are none."""
    values = (reply.get(name) for name in _ERROR_FIELDS)
    return any(value.strip() if isinstance(value, str) else value for value in values)


def _is_from_gateway(status: int, reply: dict[str, object]) -> bool:
    """Whether a refusal is not the API's own.

    429 is an exception: from the API and from a gateway alike, the call was not accepted. So are
    5xx, which are ambiguous from both.
    """
    if status in _REDIRECTS:
        return True
    is_refusal = status in _CLIENT_ERRORS and status != HTTPStatus.TOO_MANY_REQUESTS
    return is_refusal and not _has_error(reply)


@dataclass(frozen=True, slots=True)
class _Said:
    """The error in a body, with bounded texts."""

    text: str
    code: str | None
    details: dict[str, object]


def _said(reply: dict[str, object]) -> _Said:
    error = reply.get("error") or _first(reply.get("errors"))
    inner: Mapping[str, object] = error if isinstance(error, dict) else {}
    details = reply.get("details", inner.get("details"))
    return _Said(
        text=_text(reply.get("message"), inner.get("message"), error),
        code=_code(reply.get("error_code"), inner.get("error_code"), inner.get("code")),
        details=_details(details) if isinstance(details, dict) else {},
    )


def _first(errors: object) -> object:
    """The first of several errors, which is shown for all."""
    return errors[0] if isinstance(errors, list) and errors else errors


def _message(status: int, code: str | None, text: str) -> str:
    return one_line(f"HTTP {status}{f' {code}' if code else ''}: {text}", MESSAGE_LENGTH)


def _unwrapped(body: dict[str, object]) -> dict[str, object]:
    result = body.get("result")
    return result if isinstance(result, dict) and not _has_error(body) else body


def _text(*candidates: object) -> str:
    return next((c for c in candidates if isinstance(c, str) and c.strip()), "")


def _code(*candidates: object) -> str | None:
    for candidate in candidates:
        if isinstance(candidate, str | int) and not isinstance(candidate, bool):
            return one_line(str(candidate), CODE_LENGTH) or None
    return None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "unknown status"


def _details(details: dict[str, object]) -> dict[str, object]:
    """Bounded details of plain types: bool, int, float, text; nested values become text."""
    return {
        one_line(name, CODE_LENGTH): _detail(value)
        for name, value in list(details.items())[:MAX_DETAILS]
    }


def _detail(value: object) -> object:
    match value:
        case None | bool():
            return value
        case int() if abs(value) <= _MAX_INT:
            return value
        case Decimal() if math.isfinite(float(value)):
            return float(value)
        case str():
            return one_line(value, DETAIL_LENGTH)
        case _:
            return one_line(json.dumps(value, default=str), DETAIL_LENGTH)
