"""The pause that a reply requests, and its rate-limit info; both are untrusted.

This module has no clock. Instants are compared with the reply's own Date, which the same machine
wrote; without a Date they are ignored, because our clock and theirs may differ by more than the
pause.

The headers are X-RateLimit-Limit, -Remaining and -Reset; each is read without its X- if the header
with X- is missing. The first value of a list (`100, 100;w=60`, as in the IETF draft) counts, which
is that of the window nearest to its end.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import parsedate_to_datetime
from typing import TypeVar

from scriptix_operator.core.model.remote import RateLimitInfo
from scriptix_operator.core.model.text import one_line

__all__ = ["MAX_CALLS", "MAX_PAUSE", "rate_limit_info", "retry_after"]

_T = TypeVar("_T")

MAX_PAUSE = 86_400.0
"""Seconds: the longest pause; longer ones are cut to a day."""

ABSURD = 31 * 86_400.0
"""Seconds; an instant that is more than a month away is in other units than assumed."""

MAX_CALLS = 1_000_000
"""Calls in a window: ten thousand times the documented limit. Larger figures mean "no limit" at
some servers (2147483647), and are ignored."""

UNIX_TIMES = 1e8
"""Seconds; a smaller X-RateLimit-Reset would be a unix time before 1973, and as seconds from now
this one is three years: no plausible value can be read both ways."""

VALUE_LENGTH = 40
"""Characters of a header that a flaw quotes."""

_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_CALLS = re.compile(r"[0-9]{1,15}")
_PARTS = ("Limit", "Remaining", "Reset")


def retry_after(
    headers: Mapping[str, str], body: Mapping[str, object], *, with_reset: bool = True
) -> float | None:
    """Seconds to wait: Retry-After, otherwise retry_after in the body, otherwise the limit's reset.

    Args:
        headers: The reply's headers; names are case-insensitive.
        body: The reply's error object; empty if it has none.
        with_reset: Whether the limit's reset counts: whether the limit is why the call failed.

    Returns:
        0 to MAX_PAUSE; None without a usable value. Negative, infinite and unreadable values count
        as missing, and so does a reset in the past.
    """
    date = _http_date(headers.get("Date", ""))
    header = headers.get("Retry-After", "")
    details = body.get("details")
    for seconds in (
        _seconds(header),
        _until(_http_date(header), date),
        _seconds(body.get("retry_after")),
        _seconds(details.get("retry_after")) if isinstance(details, Mapping) else None,
        _pause_to_reset(headers, date) if with_reset else None,
    ):
        if seconds is not None:
            return min(seconds, MAX_PAUSE)
    return None


def rate_limit_info(
    headers: Mapping[str, str], redact: Callable[[str], str]
) -> RateLimitInfo | None:
    """The rate-limit info in the headers of a reply; None if there is none.

    Never raises: the reply may be that of a start, which counts whatever its headers.

    Args:
        headers: The reply's headers; names are case-insensitive.
        redact: Removes the key from a text.
    """
    flaws = list(_pause_flaws(headers, redact))
    if not any(_header(headers, part) for part in _PARTS) and not flaws:
        return None
    date = _http_date(headers.get("Date", ""))

    def read(part: str, reading: Callable[[str], _T]) -> _T | None:
        header = _header(headers, part)
        if header is None:
            return None
        name, value = header
        try:
            return reading(_first(value))
        except ValueError as error:
            flaws.append(f"{name}: {_quoted(value, redact)} {error}")
            return None

    limit = read("Limit", _limit)
    remaining = read("Remaining", lambda text: _remaining(text, limit))
    reset = read("Reset", lambda text: _to_reset(text, date))
    return RateLimitInfo(
        limit=limit,
        remaining=remaining,
        reset=None if reset is None else max(reset, 0.0),
        flaw="; ".join(flaws) or None,
    )


def _pause_flaws(headers: Mapping[str, str], redact: Callable[[str], str]) -> Iterator[str]:
    pause = headers.get("Retry-After")
    if pause is not None and _seconds(pause) is None and _http_date(pause) is None:
        yield f"Retry-After: {_quoted(pause, redact)} is neither a number of seconds nor a date"


def _quoted(value: str, redact: Callable[[str], str]) -> str:
    # The key is removed before the text is cut, which could leave a part of it.
    return f'"{one_line(redact(value), VALUE_LENGTH)}"'


def _header(headers: Mapping[str, str], part: str) -> tuple[str, str] | None:
    """Name and value of the header with a part of the limit."""
    names = (f"X-RateLimit-{part}", f"RateLimit-{part}")
    return next(((name, headers[name]) for name in names if name in headers), None)


def _first(value: str) -> str:
    """The first item of a list, without its parameters."""
    return re.split("[,;]", value, maxsplit=1)[0].strip()


def _calls(text: str) -> int:
    if not _CALLS.fullmatch(text):
        raise ValueError("is not a number of calls")
    calls = int(text)
    if calls > MAX_CALLS:
        raise ValueError(f"is more than {MAX_CALLS} calls")
    return calls


def _limit(text: str) -> int:
    limit = _calls(text)
    if limit == 0:
        raise ValueError("would allow no call, ever")
    return limit


def _remaining(text: str, limit: int | None) -> int:
    remaining = _calls(text)
    # One of the two is wrong. The limit, the lower one, is kept: it cannot make us call too often.
    if limit is not None and remaining > limit:
        raise ValueError(f"is more than the limit of {limit}")
    return remaining


def _to_reset(text: str, date: datetime | None) -> float | None:
    """Seconds from the reply to a reset; negative: in the past; None: there is no Date.

    Raises:
        ValueError: The value is implausible; the message says why, and does not quote the value.
    """
    seconds = _seconds(text)
    if seconds is None:
        raise ValueError("is neither a unix time nor a number of seconds")
    if seconds >= UNIX_TIMES:
        if date is None:
            return None
        seconds -= date.timestamp()
    if seconds > ABSURD:
        raise ValueError("is more than a month away")
    return seconds


def _pause_to_reset(headers: Mapping[str, str], date: datetime | None) -> float | None:
    header = _header(headers, "Reset")
    try:
        seconds = None if header is None else _to_reset(_first(header[1]), date)
    except ValueError:
        return None
    return seconds if seconds is not None and seconds >= 0 else None


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


def _until(moment: datetime | None, date: datetime | None) -> float | None:
    if moment is None or date is None:
        return None
    seconds = (moment - date).total_seconds()
    return seconds if 0 <= seconds <= ABSURD else None
