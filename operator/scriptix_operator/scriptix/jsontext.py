"""Untrusted JSON, whole in memory: parsed safely, whatever its content.

Numbers with a point become Decimals, so that 12.3 stays 12.3; NaN, Infinity and implausibly long
numbers become a Decimal that no field accepts, so that they invalidate only their own field.
Invalid UTF-8 becomes U+FFFD; the last of repeated keys counts.
"""

import json
from collections.abc import Callable
from decimal import Decimal, DecimalException

from scriptix_operator.core.model.text import one_line

__all__ = [
    "DECODER",
    "EXCERPT_BYTES",
    "BadReplyError",
    "excerpt",
    "found",
    "not_json",
    "read_object",
    "scrubbed",
    "too_deep",
    "too_many_items",
]

MAX_ITEMS = 2_000_000
"""Objects and lists in one reply: `{},` is 3 bytes on the wire and 70 in memory."""

MAX_INT_DIGITS = 20
EXCERPT_LENGTH = 200
EXCERPT_BYTES = 4096
"""Bytes of a body that are used for an excerpt. The excerpt is much shorter, so that a key across
the end of these bytes is not shown in part."""


class BadReplyError(ValueError):
    """A reply cannot be used; the message says why, in one bounded line without the key."""


def _float(text: str) -> Decimal:
    try:
        return Decimal(text)
    except DecimalException:
        return Decimal("NaN")


def _int(text: str) -> int | Decimal:
    return int(text) if len(text) <= MAX_INT_DIGITS else Decimal("NaN")


DECODER = json.JSONDecoder(
    parse_float=_float, parse_int=_int, parse_constant=lambda _: Decimal("NaN"), strict=False
)


def read_object(body: bytes, content_type: str, redact: Callable[[str], str]) -> dict[str, object]:
    """Parse a body that must be a JSON object; the key is removed from every text in it.

    Args:
        body: The body.
        content_type: The Content-Type header, for the message only.
        redact: Removes the key from a text.

    Raises:
        BadReplyError: The body is not a JSON object.
    """
    text = body.decode("utf-8-sig", "replace")
    if not text.strip():
        raise BadReplyError("reply is empty")
    if text.count("{") + text.count("[") > MAX_ITEMS:
        raise too_many_items()
    try:
        value = scrubbed(DECODER.decode(text), redact)
    except RecursionError:
        raise too_deep() from None
    except ValueError:
        raise not_json(body, content_type, redact) from None
    if not isinstance(value, dict):
        raise BadReplyError(f"reply is not a JSON object but {found(value)}")
    return value


def not_json(body: bytes, content_type: str, redact: Callable[[str], str]) -> BadReplyError:
    """The error for a body that is not JSON; its first EXCERPT_BYTES are enough."""
    # Redacted first: a key in lower case is not recognised any more.
    kind = redact(content_type).partition(";")[0].strip().lower()
    but = "" if "json" in kind else f" but {kind or 'of no declared type'}"
    return BadReplyError(
        one_line(f"reply is not JSON{but}: {excerpt(body, redact)}", EXCERPT_LENGTH)
    )


def too_deep() -> BadReplyError:
    """The error for JSON that is nested too deep."""
    return BadReplyError("reply is nested too deep")


def too_many_items() -> BadReplyError:
    """The error for more than MAX_ITEMS objects and lists."""
    return BadReplyError(f"reply has more than {MAX_ITEMS} items")


def scrubbed(value: object, redact: Callable[[str], str]) -> object:
    """A JSON value with the key removed from every text in it."""
    match value:
        case str():
            return redact(value)
        case dict():
            return {redact(name): scrubbed(inner, redact) for name, inner in value.items()}
        case list():
            return [scrubbed(inner, redact) for inner in value]
        case _:
            return value


def excerpt(body: bytes, redact: Callable[[str], str]) -> str:
    """The beginning of an unusable body, in one safe line."""
    return one_line(redact(body[:EXCERPT_BYTES].decode("utf-8", "replace")), EXCERPT_LENGTH)


def found(value: object) -> str:
    """A JSON value as an error message names it."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f'text "{one_line(value, 40)}"'
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return f"number {one_line(str(value), 40)}"
