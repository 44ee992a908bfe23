"""How far apart the looks at a run are: as asked for, closer where its end is expected.

An interval of 60 seconds tells of an end 30 seconds late in the mean. A few more looks around the
expected end, where news is likely, do more than many anywhere else.
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
"""Seconds between looks at least, unless the resource asks for less."""
CLOSE = 0.1
"""Of the time to the expected end, or since it: so close the looks come."""
SPARE = 0.1
"""Looks beyond those asked for, for each of these."""
MAX_SPARE = 60.0
"""Looks that can be saved up; a run of ten hours at a look a minute."""
SHOWN_FROM = 1.5
"""Of the interval asked for: one so long is worth telling of."""
SHOWN_UNTIL = 1.1
"""… and one so short is as asked for again."""
WAVER = 1.25
"""By so many times the interval may pass a step before it is told anew; so much is what looks near
expected ends, which come and go, can change (core/scheduling/poll_rates.py)."""
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
    """As wanted, whatever the key allows."""
    spare: float
    """Looks that are left to spend near the end."""


@dataclass(frozen=True, slots=True)
class GrantedInterval:
    """What an API key's allowance leaves of the intervals that its resources ask for."""

    floor: float = 0.0
    """Seconds between regular looks at least; whoever asks for more gets that."""
    speed_up: float = 1.0
    """Of the looks beyond the regular ones, near an expected end: the part that is left."""

    def kept(self, asked: float, wanted: float | None = None) -> float:
        """An interval as it can be kept.

        Args:
            asked: Seconds between looks that the resource asks for.
            wanted: Seconds until this one, if it is to come closer.
        """
        more = 0.0 if wanted is None else asked / wanted - 1
        return max(asked, self.floor) / (1 + more * self.speed_up)


UNCONSTRAINED = GrantedInterval()
"""All that is asked for."""


def next_poll(asked: float, to_end: float | None, age: float, spare: float | None) -> Interval:
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
    speed_up = asked if to_end is None else max(CLOSE * abs(to_end), CLOSEST)
    seconds = min(speed_up, asked)
    part = seconds / asked
    if 1 - part > spare:
        seconds, part = asked, 1.0
    return Interval(seconds, min(spare - (1 - part) + SPARE * part, MAX_SPARE))


def spread(seconds: float, jitter: float) -> float:
    """An interval, a little longer or shorter; luck is 0 to 1, drawn at random."""
    return seconds * (1 + JITTER * (jitter - 0.5))


def shown_interval(asked: float, floor: float, shown: int | None = None) -> int | None:
    """The interval that is told where it is longer than asked for; None where it is about that.

    Rounded coarsely: it must not be news each time that one of hundreds starts or ends. Nor where
    it wavers: what was `told` before stays while it is about right.
    """
    kept = max(asked, floor)
    if kept < (SHOWN_FROM if shown is None else SHOWN_UNTIL) * asked:
        return None
    if shown is not None:
        shorter = max((step for step in STEPS if step < shown), default=0)
        if shorter / WAVER < kept <= shown * WAVER:
            return shown
    return next((step for step in STEPS if step >= kept), STEPS[-1])


def reported_interval(seconds: int) -> str:
    """An interval as messages show it, such as `5m`."""
    if seconds < MINUTE:
        return f"{seconds}s"
    return f"{seconds // MINUTE}m" if seconds < HOUR else f"{seconds // HOUR}h"
