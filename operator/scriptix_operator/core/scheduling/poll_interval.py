"""Poll intervals: as requested, and shorter near the ETA, paid from a token bucket of poll credits.

With an interval of 60 seconds, an end is seen 30 seconds late on average. A few more polls near the
estimated completion (ETA) gain more than many at other times. Each requested poll fills the bucket
by a tenth of a poll; a poll that is early by a part of its interval takes that part out:

    polls        x     x     x     x     x     x    x   x  x x xx|xx x x  x   x    x     x
    credits     0.1   0.2   ...              grow    are spent  ETA  are spent      grow

So a run makes at most 1.1 times the requested polls, whatever becomes of its ETA.
"""

from dataclasses import dataclass, replace

__all__ = [
    "UNCONSTRAINED",
    "GrantedInterval",
    "Interval",
    "jittered",
    "next_poll",
    "shown_interval",
]

CLOSEST = 5.0
"""Shortest poll interval in seconds, unless the resource requests a shorter one."""
CLOSE = 0.1
"""The poll interval near the estimated completion, as a part of the time to or since it."""
EARNED = 0.1
"""Poll credits earned by each requested poll."""
MAX_CREDITS = 60.0
"""Most poll credits that can be saved up: those of a run of ten hours at a poll a minute."""
EARLY = 0.95
"""Part of the shortest interval after which a resource joins the queue of the polls. The interval
was granted for the runs at that time; as runs end, the resources in the queue take their polls."""
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
    credits: float
    """Poll credits left for the estimated completion."""


@dataclass(frozen=True, slots=True)
class GrantedInterval:
    """What an API key's quota grants of the poll intervals that its resources request."""

    shortest: float = 0.0
    """Shortest interval between regular polls, in seconds; longer requested ones are granted."""
    speed_up: float = 1.0
    """The granted part of the polls beyond the regular ones, near an estimated completion."""

    def granted(self, requested: float, wanted: float | None = None) -> float:
        """The granted interval in seconds.

        Args:
            requested: The requested poll interval in seconds.
            wanted: Seconds until the next poll, if it is to be earlier.
        """
        extra = 0.0 if wanted is None else requested / wanted - 1
        return max(requested, self.shortest) / (1 + extra * self.speed_up)

    def queued_after(self, requested: float, wanted: float | None = None) -> float:
        """Seconds until a resource joins the queue for its next poll; arguments as `granted`."""
        return replace(self, shortest=self.shortest * EARLY).granted(requested, wanted)


UNCONSTRAINED = GrantedInterval()
"""All requested intervals are granted."""


def next_poll(requested: float, to_end: float | None, age: float, credit: float | None) -> Interval:
    """When to poll a run next.

    Args:
        requested: The requested poll interval in seconds.
        to_end: Seconds until the estimated completion, negative after it; None: not known.
        age: Seconds since the start of the run.
        credit: Poll credits so far; None: not known, so those earned since the start of the run.

    Returns:
        The interval; over a run, at most 1.1 times the requested polls are made.
    """
    if credit is None:
        credit = min(EARNED * age / requested, MAX_CREDITS)
    wanted = requested if to_end is None else max(CLOSE * abs(to_end), CLOSEST)
    seconds = min(wanted, requested)
    part = seconds / requested
    if 1 - part > credit:
        seconds, part = requested, 1.0
    return Interval(seconds, min(credit - (1 - part) + EARNED * part, MAX_CREDITS))


def jittered(seconds: float, jitter: float) -> float:
    """An interval, a little longer or shorter; jitter is 0 to 1, drawn at random."""
    return seconds * (1 + JITTER * (jitter - 0.5))


def shown_interval(requested: float, shortest: float) -> int | None:
    """The interval to report where it is longer than requested; None where it is about that.

    The steps are coarse, so that the interval seldom changes when one of hundreds of runs starts or
    ends: each change is a status write for each resource of the key.
    """
    granted = max(requested, shortest)
    if granted < SHOWN_FROM * requested:
        return None
    return next((step for step in STEPS if step >= granted), STEPS[-1])
