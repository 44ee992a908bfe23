"""The rate-limit info of a reply: X-RateLimit-Limit, -Remaining and -Reset, which are untrusted.

Each header is read without its X- if the header with X- is missing. The first value of a list
(`100, 100;w=60`, as in the IETF draft) counts, which is that of the window nearest to its end. A
reset in unix time is compared with the reply's own Date, as a date in Retry-After is
(retry_after.py).
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from scriptix_operator.core.model.remote import RateLimitInfo
from scriptix_operator.scriptix.retry_after import (
    FARTHEST,
    MAX_WAIT,
    flaw_of,
    http_date,
    quoted,
    seconds_of,
)

__all__ = ["MAX_CALLS", "rate_limit_info", "wait_for_reset"]

_T = TypeVar("_T")

MAX_CALLS = 1_000_000
"""Calls in a window: ten thousand times the documented limit. Larger figures mean "no limit" at
some servers (2147483647), and are ignored."""
UNIX_TIMES = 1e8
"""Seconds; a smaller X-RateLimit-Reset would be a unix time before 1973, and as seconds from now
this one is three years: no plausible value can be read both ways."""

_CALLS = re.compile(r"[0-9]{1,15}")
_PARTS = ("Limit", "Remaining", "Reset")


def rate_limit_info(
    headers: Mapping[str, str], redact: Callable[[str], str]
) -> RateLimitInfo | None:
    """The rate-limit info in the headers of a reply; None if there is none.

    Never raises: the reply may be that of a start, which counts whatever its headers.

    Args:
        headers: The reply's headers; names are case-insensitive.
        redact: Removes the key from a text.
    """
    flaw = flaw_of(headers, redact)
    if not any(_header(headers, part) for part in _PARTS) and flaw is None:
        return None
    flaws = [] if flaw is None else [flaw]
    date = http_date(headers.get("Date", ""))

    def read(part: str, reading: Callable[[str], _T]) -> _T | None:
        header = _header(headers, part)
        if header is None:
            return None
        name, value = header
        try:
            return reading(_first(value))
        except ValueError as error:
            flaws.append(f"{name}: {quoted(value, redact)} {error}")
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


def wait_for_reset(headers: Mapping[str, str]) -> float | None:
    """Seconds until the reset, 0 to MAX_WAIT; None: no reset, one in the past or an invalid one."""
    header = _header(headers, "Reset")
    try:
        date = http_date(headers.get("Date", ""))
        seconds = None if header is None else _to_reset(_first(header[1]), date)
    except ValueError:
        return None
    return min(seconds, MAX_WAIT) if seconds is not None and seconds >= 0 else None


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
    seconds = seconds_of(text)
    if seconds is None:
        raise ValueError("is neither a unix time nor a number of seconds")
    if seconds >= UNIX_TIMES:
        if date is None:
            return None
        seconds -= date.timestamp()
    if seconds > FARTHEST:
        raise ValueError("is more than a month away")
    return seconds
