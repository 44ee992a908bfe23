"""Poll intervals: as requested, shorter near the estimated completion.

With an interval of 60 seconds, an end is seen 30 seconds late on average. A few more polls near the
estimated completion gain more than many at other times.
"""

from dataclasses import dataclass

__all__ = [
    "UNCONSTRAINED",
    "GrantedInterval",
    "Interval",
    "next_poll",
    "reported_interval",
    "shown_interval",
    "spread",
]

CLOSEST = 5.0
"""Shortest poll interval in seconds, unless the resource requests a shorter one."""
CLOSE = 0.1
"""The poll interval near the estimated completion, as a part of the time to or since it."""
SPARE = 0.1
"""Poll credits earned by each requested poll."""
MAX_SPARE = 60.0
"""Most poll credits that can be saved up: those of a run of ten hours at a poll a minute."""
SHOWN_FROM = 1.5
"""The granted interval is reported from this multiple of the requested one on."""
MINUTE, HOUR = 60, 3600
STEPS = (
    *(2, 5, 10, 20, 30),
    *(minutes * MINUTE for minutes in (1, 2, 5, 10, 20, 30)),
    *(hours * HOUR for hours in (1, 2, 6, 12, 24)),
)
"""Steps in seconds to which a reported interval is rounded up."""
JITTER = 0.1
"""Part of an interval by which it varies, so that polls that coincide do not stay together."""


@dataclass(frozen=True, slots=True)
class Interval:
    """When to poll next."""

    seconds: float
    """The wanted interval, regardless of the key's quota."""
    spare: float
    """Poll credits left for the estimated completion."""


@dataclass(frozen=True, slots=True)
class GrantedInterval:
    """What an API key's quota grants of the poll intervals that its resources request."""

    floor: float = 0.0
    """Shortest interval between regular polls, in seconds; longer requested ones are granted."""
    speed_up: float = 1.0
    """The granted part of the polls beyond the regular ones, near an estimated completion."""

    def kept(self, asked: float, wanted: float | None = None) -> float:
        """The granted interval.

        Args:
            asked: The requested poll interval in seconds.
            wanted: Seconds until the next poll, if it is to be earlier.
        """
        more = 0.0 if wanted is None else asked / wanted - 1
        return max(asked, self.floor) / (1 + more * self.speed_up)


UNCONSTRAINED = GrantedInterval()
"""All requested intervals are granted."""


def next_poll(asked: float, to_end: float | None, age: float, spare: float | None) -> Interval:
    """When to poll a run next.

    Args:
        asked: The requested poll interval in seconds.
        to_end: Seconds until the estimated completion, negative after it; None: not known.
        age: Seconds since the start of the run.
        spare: Poll credits so far; None: not known, so those earned since the start of the run.

    Returns:
        The interval; over a run, at most 1.1 times the requested polls are made.
    """
    if spare is None:
        spare = min(SPARE * age / asked, MAX_SPARE)
    speed_up = asked if to_end is None else max(CLOSE * abs(to_end), CLOSEST)
    seconds = min(speed_up, asked)
    part = seconds / asked
    if 1 - part > spare:
        seconds, part = asked, 1.0
    return Interval(seconds, min(spare - (1 - part) + SPARE * part, MAX_SPARE))


def spread(seconds: float, jitter: float) -> float:
    """An interval, a little longer or shorter; jitter is 0 to 1, drawn at random."""
    return seconds * (1 + JITTER * (jitter - 0.5))


def shown_interval(asked: float, floor: float) -> int | None:
    """The interval to report where it is longer than requested; None where it is about that.

    The steps are coarse, so that the interval seldom changes when one of hundreds of runs starts or
    ends: each change is a status write for each resource of the key.
    """
    granted = max(asked, floor)
    if granted < SHOWN_FROM * asked:
        return None
    return next((step for step in STEPS if step >= granted), STEPS[-1])


def reported_interval(seconds: int) -> str:
    """An interval as messages show it, such as `5m`."""
    if seconds < MINUTE:
        return f"{seconds}s"
    return f"{seconds // MINUTE}m" if seconds < HOUR else f"{seconds // HOUR}h"
