"""How long a reply asks us to wait: three places where an API may say so, all of them forgeable.

There is no clock here. Instants are read against the reply's own Date, which the same machine
wrote; without one they say nothing, because our clock and theirs may differ by more than the pause.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime

__all__ = ["MAX_PAUSE", "retry_after"]

MAX_PAUSE = 86_400.0
"""Seconds; whoever asks for more gets a day."""

ABSURD = 31 * 86_400.0
"""Seconds; an instant farther away than a month's quota is in other units than we think."""

_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")


def retry_after(headers: Mapping[str, str], body: Mapping[str, object]) -> float | None:
    """Seconds to wait: Retry-After, else retry_after in the body, else X-RateLimit-Reset.

    Args:
        headers: The reply's headers, looked up without regard to case.
        body: The reply's error object; empty if it has none.

    Returns:
        0 to MAX_PAUSE; None where nothing usable is said. Negative, infinite and unreadable
        values are as good as missing.
    """
    date = _http_date(headers.get("Date", ""))
    header = headers.get("Retry-After", "")
    details = body.get("details")
    for seconds in (
        _seconds(header),
        _until(_http_date(header), date),
        _seconds(body.get("retry_after")),
        _seconds(details.get("retry_after")) if isinstance(details, Mapping) else None,
        _until(_unix(headers.get("X-RateLimit-Reset", "")), date),
    ):
        if seconds is not None:
            return min(seconds, MAX_PAUSE)
    return None


def _seconds(value: object) -> float | None:
    if isinstance(value, str) and _SECONDS.fullmatch(value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    seconds = float(value)
    return seconds if math.isfinite(seconds) and seconds >= 0 else None


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _unix(text: str) -> datetime | None:
    seconds = _seconds(text)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _until(moment: datetime | None, date: datetime | None) -> float | None:
    if moment is None or date is None:
        return None
    seconds = (moment - date).total_seconds()
    return seconds if 0 <= seconds <= ABSURD else None
