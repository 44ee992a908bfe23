"""Call limits and durations as settings spell them: `5/1h`, `5/1h,20/1d`, `250ms`."""

import re
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Limit", "format_duration", "parse_duration", "parse_limits", "part_of"]

UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
"""Milliseconds in each unit."""
MAX_SECONDS = 31 * 86400
"""No API has quotas over more than a month, and the ledger keeps each start for its window."""
MAX_COUNT = 100_000
"""The rate limiter remembers each call in its window; a larger count is a typing error."""

DURATION = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)", re.ASCII)
LIMIT = re.compile(r"([0-9]{1,12})/(.*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` calls in any window of `seconds`."""

    count: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.count}/{format_duration(self.seconds)}"


def part_of(limit: Limit, part: float) -> Limit:
    """A part (0 to 1) of a limit, with at least one call."""
    return Limit(max(int(limit.count * part), 1), limit.seconds)


def parse_duration(text: str) -> float:
    """Read a positive duration such as `250ms`, `5s`, `1m`, `1h` or `1d`.

    Returns:
        Seconds.

    Raises:
        ValueError: Not a duration, zero, or more than 31 days; the message is a predicate, to be
            read after the given text.
    """
    match = DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{_quote(text)} is not a duration, for example 250ms, 5s, 1m, 1h or 1d")
    milliseconds = int(match[1]) * UNITS[match[2]]
    if milliseconds == 0:
        raise ValueError(f"{_quote(text)} is no time at all")
    if milliseconds > MAX_SECONDS * 1000:
        raise ValueError(f"{_quote(text)} is more than 31d")
    return milliseconds / 1000


def parse_limits(text: str) -> tuple[Limit, ...]:
    """Read one or more limits, comma separated; all of them hold at once.

    Returns:
        The limits, shortest window first.

    Raises:
        ValueError: Not count/duration, zero, absurdly large, two limits for one window, or a limit
            that can never take effect because a longer window allows no more.
    """
    limits = sorted((_parse_limit(part) for part in text.split(",")), key=lambda one: one.seconds)
    for shorter, longer in pairwise(limits):
        if shorter.seconds == longer.seconds:
            raise ValueError(f"{shorter} and {longer} contradict each other")
        if longer.count <= shorter.count:
            raise ValueError(f"{shorter} never takes effect beside {longer}")
    return tuple(limits)


def format_duration(seconds: float) -> str:
    """Write a duration in the largest unit that fits it exactly, to the millisecond."""
    milliseconds = round(seconds * 1000)
    unit = next(name for name, size in UNITS.items() if milliseconds % size == 0)
    return f"{milliseconds // UNITS[unit]}{unit}"


def _parse_limit(text: str) -> Limit:
    match = LIMIT.fullmatch(text.strip())
    if match is None or DURATION.fullmatch(match[2]) is None:
        raise ValueError(f"{_quote(text)} is not count/duration, for example 5/1h")
    count = int(match[1])
    if count == 0:
        raise ValueError(f"{_quote(text)} allows no call at all")
    if count > MAX_COUNT:
        raise ValueError(f"{_quote(text)} is more than {MAX_COUNT} calls")
    return Limit(count, parse_duration(match[2]))


def _quote(text: str) -> str:
    return f'"{" ".join(text.split())[:80]}"'
