"""Replies that are not 2xx: what the API says of them, as a CallFailure.

Known shapes are `{error, message, error_code, details}`, the same inside `result`, and `error` as
an object of its own; a proxy's HTML page is quoted.
"""

import json
import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from http import HTTPStatus

from scriptix_operator.core.remote import CallFailure
from scriptix_operator.core.text import one_line
from scriptix_operator.scriptix.errors import MESSAGE_LENGTH, kind_of_status
from scriptix_operator.scriptix.jsontext import BadReplyError, excerpt, read_object
from scriptix_operator.scriptix.pauses import retry_after

__all__ = ["refusal"]

CODE_LENGTH = 64
MAX_DETAILS = 32
DETAIL_LENGTH = 256
_MAX_INT = 2**53
_REDIRECTS = range(300, 400)


def refusal(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    location: str | None,
    redact: Callable[[str], str],
) -> CallFailure:
    """Read a reply that is not 2xx.

    Args:
        status: HTTP status; it alone decides the kind.
        headers: Its headers, looked up without regard to case.
        body: As much of it as could be read.
        location: Where a redirect points.
        redact: Takes the key out of a text.
    """
    try:
        told = _unwrapped(read_object(body, headers.get("Content-Type", ""), redact))
    except BadReplyError:
        told = {}
    error = told.get("error")
    inner: Mapping[str, object] = error if isinstance(error, dict) else {}
    code = _code(told.get("error_code"), inner.get("error_code"), inner.get("code"))
    if status in _REDIRECTS:
        where = f" to {redact(location).partition('?')[0]}" if location else ""
        text = f"redirected{where}, which is not followed; check the base URL"
    else:
        text = (
            _text(told.get("message"), inner.get("message"), error)
            or excerpt(body, redact)
            or _phrase(status)
        )
    details = told.get("details", inner.get("details"))
    return CallFailure(
        kind=kind_of_status(status),
        message=one_line(f"HTTP {status}{f' {code}' if code else ''}: {text}", MESSAGE_LENGTH),
        status=status,
        code=code,
        details=_details(details) if isinstance(details, dict) else {},
        retry_after=retry_after(headers, told),
    )


def _unwrapped(body: dict[str, object]) -> dict[str, object]:
    result = body.get("result")
    return result if isinstance(result, dict) and "error" not in body else body


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
    """Details bounded, and plain: bool, int, float, text; what is nested becomes text."""
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
