"""The wait that a refusal requests: the Retry-After header, or `retry_after` in the body.

Both are untrusted. This module has no clock: a date is compared with the reply's own Date, which
the same machine wrote. Without a Date it is ignored, because the clocks of the operator and the
server may differ by more than the wait.
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime

from scriptix_operator.core.model.text import one_line

__all__ = ["FARTHEST", "MAX_WAIT", "flaw_of", "http_date", "quoted", "retry_after", "seconds_of"]

MAX_WAIT = 86_400.0
"""Seconds: the longest wait; longer ones are cut to a day."""
FARTHEST = 31 * 86_400.0
"""Seconds; a time that is more than a month away is in other units than assumed."""
VALUE_LENGTH = 40
"""Characters of a header that a flaw quotes."""

_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")


def retry_after(headers: Mapping[str, str], body: Mapping[str, object]) -> float | None:
    """Seconds to wait: Retry-After, otherwise retry_after in the body.

    Args:
        headers: The reply's headers; names are case-insensitive.
        body: The reply's error object; empty if it has none.

    Returns:
        0 to MAX_WAIT; None without a usable value. Negative, infinite and unreadable values count
        as missing.
    """
    header, details = headers.get("Retry-After", ""), body.get("details")
    for seconds in (
        seconds_of(header),
        _until(http_date(header), http_date(headers.get("Date", ""))),
        seconds_of(body.get("retry_after")),
        seconds_of(details.get("retry_after")) if isinstance(details, Mapping) else None,
    ):
        if seconds is not None:
            return min(seconds, MAX_WAIT)
    return None


def flaw_of(headers: Mapping[str, str], redact: Callable[[str], str]) -> str | None:
    """Why Retry-After cannot be used, without the key; None: it is missing or usable."""
    header = headers.get("Retry-After")
    if header is None or seconds_of(header) is not None or http_date(header) is not None:
        return None
    return f"Retry-After: {quoted(header, redact)} is neither a number of seconds nor a date"


def quoted(value: str, redact: Callable[[str], str]) -> str:
    """A header as a flaw quotes it: one bounded line without the key."""
    # The key is removed before the text is cut, which could leave a part of it.
    return f'"{one_line(redact(value), VALUE_LENGTH)}"'


def seconds_of(value: object) -> float | None:
    """A number of seconds, as text or as a number; None: it is negative, infinite or no number."""
    if isinstance(value, str) and _SECONDS.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    seconds = float(value)
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def http_date(text: str) -> datetime | None:
    """A date as headers spell it; None: the text is no date."""
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _until(moment: datetime | None, date: datetime | None) -> float | None:
    if moment is None or date is None:
        return None
    seconds = (moment - date).total_seconds()
    return seconds if 0 <= seconds <= FARTHEST else None
