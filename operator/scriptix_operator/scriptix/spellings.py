"""Parses times and numbers in all unambiguous spellings.

Servers behind one API differ: one writes `2025-01-16T08:00:00Z`, another `2025-01-16T08:00Z`, `Thu,
16 Jan 2025 08:00:00 GMT`, or seconds or milliseconds since 1970. Ambiguous values (`16.01.2025`,
`1,5`, a bare `2025`) are refused: each reader raises ValueError with the value, in one bounded
line.
"""

import re
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal
from email.utils import parsedate_to_datetime

from scriptix_operator.api.times import parse_time
from scriptix_operator.scriptix.jsontext import found

__all__ = ["hours", "improvement", "instant", "percent", "rate", "text", "whole"]

MAX_WHOLE = 2**53 - 1
MAX_METRIC_DIGITS = 32
MAX_METRIC_EXPONENT = 9
"""Powers of ten: larger or finer numbers are neither percentages nor hours."""

_NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{1,18})?")
_OFFSET = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"
_DATE, _FRACTION = r"[0-9]{4}-[0-9]{2}-[0-9]{2}", r"([.,][0-9]+)?"
_ISO = re.compile(rf"{_DATE}[T ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}{_FRACTION})?{_OFFSET}")
_ZERO = re.compile(
    rf"(0000-00-00|-0001-11-30|0001-01-01|1970-01-01)([T ]00:00(:00([.,]0+)?)?{_OFFSET})?"
)
"""Spellings of "never": the first one is the zero date of databases, the second one is how PHP
converts it."""
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_RFC_1123 = re.compile(
    rf"({'|'.join(_DAYS)}), [0-9]{{1,2}} [A-Z][a-z]{{2}} [0-9]{{4}} "
    r"[0-9]{2}:[0-9]{2}:[0-9]{2} (GMT|UTC|UT|Z|[+-][0-9]{4})"
)
_EARLIEST = datetime(1970, 1, 2, tzinfo=UTC)
"""Earlier times are no trainings: they are the zero instant of a backend, in any time zone."""
_SANE = (
    int(datetime(2000, 1, 1, tzinfo=UTC).timestamp()),
    int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()),
)
"""The plausible range of seconds since 1970; a thousand times that is the one of milliseconds."""


def text(value: object) -> str:
    """Read a text.

    Raises:
        ValueError: The value is of another form.
    """
    if isinstance(value, str):
        return value
    raise ValueError(f"expected a text, found {found(value)}")


def whole(value: object) -> int:
    """Read a whole number, also one written `3.0` or `"3"`.

    Raises:
        ValueError: The value is of another form.
    """
    number = _number(value)
    if number is None or number != number.to_integral_value() or abs(number) > MAX_WHOLE:
        raise ValueError(f"expected a whole number, found {found(value)}")
    return int(number)


def percent(value: object) -> int:
    """Read a percentage as a whole number, rounded down.

    Raises:
        ValueError: The value is of another form.
    """
    number = _number(_without_sign(value))
    if number is None or abs(number) > MAX_WHOLE:
        raise ValueError(f"expected a percentage, found {found(value)}")
    return int(number.to_integral_value(ROUND_FLOOR))


def improvement(value: object) -> Decimal:
    """Read a percentage that may be negative.

    Raises:
        ValueError: The value is of another form.
    """
    return _metric(value, _without_sign(value))


def rate(value: object) -> Decimal:
    """Read a percentage that cannot be negative.

    Raises:
        ValueError: The value is of another form.
    """
    return _not_negative(value, _metric(value, _without_sign(value)))


def hours(value: object) -> Decimal:
    """Read a number of hours.

    Raises:
        ValueError: The value is of another form.
    """
    return _not_negative(value, _metric(value, value))


def instant(value: object) -> datetime | None:
    """Read a time; without an offset, it is UTC.

    Returns:
        The time in UTC, cut to the second; None for a zero date, false, [] or {}.

    Raises:
        ValueError: The value is of another form.
    """
    if value is False or value in ([], {}):
        return None
    moment = _spelled(value.strip()) if isinstance(value, str) else _since_1970(value)
    if moment is None:
        raise ValueError(f"expected a time such as 2025-01-16T08:00:00Z, found {found(value)}")
    return None if moment < _EARLIEST else moment


def _spelled(spelling: str) -> datetime | None:
    upper = spelling.upper()
    if _ZERO.fullmatch(upper):
        return datetime.min.replace(tzinfo=UTC)
    try:
        if _ISO.fullmatch(upper):
            return parse_time(upper)
        if _RFC_1123.fullmatch(spelling):
            moment = parsedate_to_datetime(spelling)
            is_its_day = spelling[:3] == _DAYS[moment.weekday()]
            return parse_time(moment) if is_its_day else None
    except ValueError:
        return None
    return _since_1970(spelling)


def _since_1970(value: object) -> datetime | None:
    """A unix time, in seconds or in milliseconds; the plausible ranges do not overlap."""
    number, (first, end) = _number(value), _SANE
    if number is None:
        return None
    if number == 0:
        return datetime.fromtimestamp(0, UTC)
    for unit in (1, 1000):
        if first <= number / unit < end:
            return datetime.fromtimestamp(int(number / unit), UTC)
    return None


def _number(value: object) -> Decimal | None:
    match value:
        case bool():
            return None
        case int():
            return Decimal(value)
        case Decimal() if value.is_finite() and abs(value.adjusted()) <= MAX_METRIC_DIGITS:
            return value
        case str() if _NUMBER.fullmatch(value.strip()):
            return Decimal(value.strip())
        case _:
            return None


def _without_sign(value: object) -> object:
    """A text without the percent sign at its end."""
    if not isinstance(value, str) or not value.rstrip().endswith("%"):
        return value
    return value.rstrip()[:-1]


def _metric(value: object, shown: object) -> Decimal:
    number = _number(shown)
    if (
        number is None
        or abs(number.adjusted()) > MAX_METRIC_EXPONENT
        or len(number.as_tuple().digits) > MAX_METRIC_DIGITS
    ):
        raise ValueError(f"expected a number, found {found(value)}")
    return number


def _not_negative(value: object, number: Decimal) -> Decimal:
    if number < 0:
        raise ValueError(f"expected a number from 0 on, found {found(value)}")
    return number
