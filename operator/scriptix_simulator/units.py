"""Durations, limits and instants in the notation of users and of the API."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Literal, Self

__all__ = [
    "HOUR",
    "Limit",
    "TimeForm",
    "isoformat",
    "parse_hours",
    "parse_seconds",
    "spelled",
]

HOUR = 3600.0
"""Seconds in an hour."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": HOUR, "d": 24 * HOUR}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_LIMIT = re.compile(r"([0-9]+)/(\S+)")


def parse_seconds(text: str) -> float:
    """Return the seconds in a duration such as `90s`, `1.5h`, `2d` or `250ms`.

    Raises:
        ValueError: The text is not a number with one of these units.
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"'{text}' is no duration; write for example 500ms, 90s, 30m, 8h or 2d")
    return float(found[1]) * _UNITS[found[2]]


def parse_hours(value: object) -> object:
    """Return the hours in a duration with a unit; other values are returned unchanged.

    Raises:
        ValueError: The value is text, but not a duration.
    """
    return parse_seconds(value) / HOUR if isinstance(value, str) else value


def isoformat(instant: float) -> str:
    """Return unix seconds in the format of the API: UTC, to the second, with a `Z`."""
    return datetime.fromtimestamp(math.floor(instant), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


TimeForm = Literal["seconds", "minutes", "naive", "rfc1123", "epoch", "milliseconds", "local"]
"""Formats of instants: as documented, without seconds, without an offset, as in HTTP, as unix
seconds or milliseconds, or ambiguous."""


def spelled(instant: float, form: TimeForm) -> str | int:
    """Return unix seconds in one of the forms, UTC and to the second; `minutes` drops those."""
    whole = math.floor(instant)
    moment = datetime.fromtimestamp(whole, UTC)
    match form:
        case "seconds":
            return isoformat(instant)
        case "minutes":
            return moment.strftime("%Y-%m-%dT%H:%MZ")
        case "naive":
            return moment.strftime("%Y-%m-%d %H:%M:%S")
        case "rfc1123":
            return formatdate(whole, usegmt=True)
        case "epoch":
            return whole
        case "milliseconds":
            return whole * 1000
        case "local":
            return moment.strftime("%d.%m.%y %H:%M:%S")


@dataclass(frozen=True, slots=True)
class Limit:
    """A number of calls in a simulated time.

    Args:
        count: Calls allowed in a window, at least 1.
        seconds: The length of the window in simulated seconds, above 0.

    Raises:
        ValueError: One of the two is too small.
    """

    count: int
    seconds: float

    def __post_init__(self) -> None:
        if self.count < 1 or self.seconds <= 0:
            raise ValueError("a limit allows at least 1 call in a window longer than nothing")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the limit written as `5/1h`.

        Raises:
            ValueError: The text is not a count, a slash and a duration.
        """
        found = _LIMIT.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"'{text}' is no limit; write for example 5/1h")
        return cls(int(found[1]), parse_seconds(found[2]))
