"""How far apart the looks at a run are: as asked for, closer where its end is expected.

An interval of 60 seconds tells of an end 30 seconds late in the mean. A few more looks around the
expected end, where news is likely, do more than many anywhere else.
"""

from dataclasses import dataclass

__all__ = ["Interval", "next_look", "shown_interval", "spread", "told_interval"]

CLOSEST = 5.0
"""Seconds between looks at least, unless the resource asks for less."""
CLOSE = 0.1
"""Of the time to the expected end, or since it: so close the looks come."""
SPARE = 0.1
"""Looks beyond those asked for, for each of these."""
MAX_SPARE = 60.0
"""Looks that can be saved up; a run of ten hours at a look a minute."""
TOLD_FROM = 1.5
"""A stretch that is worth telling of."""
MINUTE, HOUR = 60, 3600
STEPS = (
    *(2, 5, 10, 20, 30, 45),
    *(minutes * MINUTE for minutes in (1, 2, 3, 5, 7, 10, 15, 20, 30, 45)),
    *(hours * HOUR for hours in (1, 2, 3, 6, 12, 24)),
)
"""Seconds that an interval is told as."""
JITTER = 0.1
"""Of an interval: how much it varies, so that looks that have met do not stay together."""


@dataclass(frozen=True, slots=True)
class Interval:
    """When to look next."""

    seconds: float
    """As wanted, before it is stretched to what the key allows."""
    spare: float
    """Looks that are left to spend near the end."""


def next_look(asked: float, to_end: float | None, age: float, spare: float | None) -> Interval:
    """When to look at a run next.

    Args:
        asked: Seconds between looks that the resource asks for.
        to_end: Seconds until its expected end, negative after it; None: not known.
        age: Seconds that the run has gone on for.
        spare: Looks saved up so far; None: not known, so what the run has saved since its start.

    Returns:
        The interval; with at most 1.1 times the looks that were asked for, over a run.
    """
    if spare is None:
        spare = min(SPARE * age / asked, MAX_SPARE)
    closer = asked if to_end is None else max(CLOSE * abs(to_end), CLOSEST)
    seconds = min(closer, asked)
    part = seconds / asked
    if 1 - part > spare:
        seconds, part = asked, 1.0
    return Interval(seconds, min(spare - (1 - part) + SPARE * part, MAX_SPARE))


def spread(seconds: float, stretch: float, luck: float) -> float:
    """An interval as it is kept: stretched, and a little longer or shorter.

    Args:
        seconds: As wanted.
        stretch: What all intervals of the key are multiplied by.
        luck: 0 to 1, drawn at random.
    """
    return seconds * stretch * (1 + JITTER * (luck - 0.5))


def shown_interval(seconds: float, stretch: float) -> int | None:
    """The interval that a stretched one is told as; None where it is about what was asked for.

    Rounded coarsely: it must not be news each time that one of hundreds starts or ends.
    """
    if stretch < TOLD_FROM:
        return None
    kept = seconds * stretch
    return next((step for step in STEPS if step >= kept), STEPS[-1])


def told_interval(seconds: int) -> str:
    """In words."""
    if seconds < MINUTE:
        return f"{seconds} s"
    return f"{seconds // MINUTE} min" if seconds < HOUR else f"{seconds // HOUR} h"
