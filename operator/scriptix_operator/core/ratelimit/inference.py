"""What refusals teach: the limits that the API really has, where they are stricter than configured.

A server counts in windows that slide or in fixed ones, and may not say which, nor what its limit
is. What is learned without a word of it is the smallest limit that all accepted calls are
consistent with, under either kind: calls that keep to it are not refused.

Times are seconds on any clock that does not jump, given by the caller.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from scriptix_operator.core.model.remote import RateLimitInfo
from scriptix_operator.core.ratelimit.limits import Limit

__all__ = [
    "MAX_CLEAN_WINDOWS",
    "PLANS",
    "ObservedLimit",
    "courtesy_of",
    "heard",
    "known_use",
    "observed_from",
    "refutes",
    "smallest_limit",
]

CLEAN_WINDOWS = 24
"""After so many windows without a refusal one call more is tried: the limit may have changed."""
MAX_CLEAN_WINDOWS = 64 * CLEAN_WINDOWS
"""At most; the number doubles each time that the one more was refused."""
PLANS = (60.0, 3600.0, 86400.0)
"""Windows that the API's plans count in (seconds), whether configured or not."""
KEPT_WINDOWS = 4
"""What was let through longer ago says nothing any more: the plan may be another."""
ROUNDING = 2.0
"""Seconds by which a reply may round up when more is allowed: by one in seconds, by two as a date,
since the Date of the reply that it is read against is rounded down."""
YIELD = 0.9
"""Of our own use, which is kept to after others' calls have used a limit up."""
RECOVERY = 40.0
"""Windows after which the whole limit is tried again, at most."""
MEASURED = 0.9
"""Of the calls that have used a plan up, at least: the replies of the others were lost."""
LIKELY = 0.1
"""Of that time: what takes up less of it is not looked for there."""


@dataclass(frozen=True, slots=True)
class ObservedLimit:
    """A limit that was learned."""

    seconds: float
    """Length of the window."""
    count: int
    """Calls in it."""
    at: float
    """When it was learned."""
    clean_windows: float = CLEAN_WINDOWS
    """After so many one call more is tried."""
    is_courtesy: bool = False
    """Kept to for others' sake, so that more and more may be tried."""

    def allows(self, now: float) -> int:
        """Calls in a window now: one more than known, once that was kept to long enough.

        Only for a courtesy one more each time. A limit that nobody comes near is not refuted by
        time alone, and there must be no leap when it is needed again, or after a restart.
        """
        more = int(max(now - self.at, 0.0) / (self.clean_windows * self.seconds))
        return self.count + (more if self.is_courtesy else min(more, 1))


def refutes(passed: Sequence[float], seconds: float, count: int) -> bool:
    """Whether a server of either kind with this limit would have refused some of these calls.

    One with fixed windows may let twice its limit through around an end, so it takes a while.

    Args:
        passed: When each call that was let through was answered, ascending, the last one now.
        seconds: Length of the window.
        count: Calls in it.
    """
    windows = 2 * (count + 1)
    made = len(passed) - bisect_right(passed, passed[-1] - windows * seconds)
    return made > (windows + 1) * count


def known_use(passed: Sequence[float], seconds: float) -> int:
    """The most calls that were let through within one window.

    Args:
        passed: When each call that was let through was answered, ascending.
        seconds: Length of the window.
    """
    uses = (index - bisect_right(passed, at - seconds) for index, at in enumerate(passed, 1))
    return max(uses, default=0)


def smallest_limit(
    passed: Sequence[float], seconds: float, refused_at: float, wait: float | None = None
) -> int:
    """The smallest limit that a refusal and all calls let through before it are consistent with.

    Args:
        passed: When each call that was let through was answered, ascending.
        seconds: Length of the window.
        refused_at: When a call was refused.
        wait: Seconds until more is allowed, rounded up, where the refusal tells.
    """
    known = bisect_right(passed, refused_at - seconds)
    recent = passed[known:]
    # A full window began right before one of these calls. (One that slides begins with the first
    # of all.) The window before it was not fuller; those before that would only rule out more.
    possible = [
        i
        for i, begin in enumerate(recent)
        if known + i - bisect_left(passed, begin - seconds) <= len(recent) - i
    ]
    if wait is not None:
        latest = refused_at + wait - seconds
        if recent and latest - ROUNDING <= recent[0] <= latest + ROUNDING:
            return len(recent)  # the oldest is the next to be forgotten: the window slides
        likely = [i for i in possible if _overlap(recent, i, latest - ROUNDING, latest) >= LIKELY]
        possible = likely or possible  # some servers say the same number whenever they are asked
    return max(len(recent) - max(possible, default=0), 1)


def _overlap(recent: Sequence[float], index: int, earliest: float, latest: float) -> float:
    """How much of the time from `earliest` to `latest` a window may have begun in before a call."""
    after = recent[index - 1] if index else float("-inf")
    return (min(recent[index], latest) - max(after, earliest)) / (latest - earliest)


def observed_from(  # noqa: PLR0913, PLR0917 - all that is known of a refusal
    passed: Sequence[float],
    limits: Iterable[Limit],
    observed: Mapping[float, int],
    refused_at: float,
    rate_info: RateLimitInfo | None,
    wait: float | None,
) -> ObservedLimit | None:
    """What a refusal teaches.

    Args:
        passed: When each call that was let through was answered, ascending.
        limits: The limits that were kept to.
        observed: Counts of those that were learned, by window: more may have been tried now.
        refused_at: When the refused call was sent.
        rate_info: What the reply says of the limit.
        wait: Seconds after which the reply says to come back.

    Returns:
        The stricter limit; None where the limits are as thought, so that it is somebody else's
        calls that have used them up.
    """
    counts = {limit.seconds: limit.count for limit in limits}
    least = 0.0 if wait is None else wait - ROUNDING
    used = {
        seconds: len(passed) - bisect_right(passed, refused_at - seconds)
        for seconds in sorted({*counts, *PLANS})
        if seconds >= least
    }
    if rate_info is not None and rate_info.limit is not None:
        return _as_named(rate_info.limit, used, counts, refused_at, least)
    # By its own words the API wants more time than any window has that we know: no lesson.
    fullest = max(
        (seconds for seconds in used if seconds in counts and used[seconds]),
        key=lambda seconds: used[seconds] / observed.get(seconds, counts[seconds]),
        default=None,
    )
    if fullest is None:
        return None
    recent = passed[bisect_right(passed, refused_at - KEPT_WINDOWS * fullest) :]
    if 2 * used[fullest] < known_use(recent, fullest):
        # A fixed window lets twice its limit through around its end, but never less than half of
        # what was let through before: so others were at it.
        return None
    # The limit that was kept to is too high in any case.
    most = max(counts[fullest] - 1, 1)
    count = min(smallest_limit(passed, fullest, refused_at, wait), most)
    return ObservedLimit(fullest, count, refused_at)


def _as_named(
    limit: int, used: Mapping[float, int], counts: Mapping[float, int], at: float, least: float
) -> ObservedLimit | None:
    """The API names its limit, but not the window: one that fits.

    Others than the configured ones only where none of these is long enough, and what was let
    through does not rule it out. A figure that is one of those known is said of that window, unless
    the wait is far longer.
    """
    if any(count == limit and least <= 2 * seconds for seconds, count in counts.items()):
        return None
    stricter = [seconds for seconds in used if seconds in counts and limit < counts[seconds]]
    exhausted = [seconds for seconds in stricter if used[seconds] >= limit]
    if stricter:
        return ObservedLimit((exhausted or stricter)[0], limit, at)
    if not any(seconds in counts for seconds in used):
        # A fixed window lets twice its limit through around its end, but no more.
        plans = [seconds for seconds in used if MEASURED * limit <= used[seconds] <= 2 * limit]
        return ObservedLimit(plans[0], limit, at) if plans else None
    return None


def courtesy_of(
    passed: Sequence[float], limits: Sequence[Limit], refused_at: float, wait: float | None
) -> ObservedLimit:
    """What to keep to for a while after a refusal that others' calls have caused.

    A little less than what was let through of ours, and soon more again: whoever goes on as before
    is refused each time that the others are busy.

    Args:
        passed: When each call that was let through was answered, ascending.
        limits: The limits that were kept to, shortest window first.
        refused_at: When the refused call was sent.
        wait: Seconds after which the reply says to come back.
    """
    fitting = (limit for limit in limits if limit.seconds >= (wait or 0.0) - ROUNDING)
    limit = next(fitting, limits[-1])
    use = len(passed) - bisect_right(passed, refused_at - limit.seconds)
    recovery = min(RECOVERY / limit.count, 1.0)
    count = max(int(use * YIELD), 1)
    return ObservedLimit(limit.seconds, count, refused_at, recovery, is_courtesy=True)


def heard(
    observed_limit: ObservedLimit | None, configured: Limit, rate_info: RateLimitInfo, now: float
) -> ObservedLimit | None:
    """What is known of a window after a reply that was let through and tells its limit.

    Args:
        observed_limit: What was learned of the window before.
        configured: The window's limit by the settings; never exceeded.
        rate_info: What the reply says.
        now: When it was read.

    Returns:
        The lesson that holds from now on; None where the configured limit does.
    """
    limit = rate_info.limit
    if limit is None or limit > configured.count:
        return observed_limit  # more than is configured is said of another window
    if limit == configured.count:
        return None
    return ObservedLimit(configured.seconds, limit, now)
