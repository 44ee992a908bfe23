"""Limits observed from refusals and headers, where they are stricter than configured.

A server counts in sliding or fixed windows, and may name neither the kind nor its limit. The
inferred limit is then the smallest one that all accepted calls are consistent with, for either
kind of window: calls within this limit are not refused.

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
    "known_use",
    "limit_after_reply",
    "observed_from",
    "refutes",
    "smallest_limit",
]

CLEAN_WINDOWS = 24
"""After so many windows without a refusal one call more is tried: the limit may have changed."""
MAX_CLEAN_WINDOWS = 64 * CLEAN_WINDOWS
"""Most such windows; their number doubles each time that the one call more is refused."""
PLANS = (60.0, 3600.0, 86400.0)
"""Windows of the API's plans in seconds, whether configured or not."""
KEPT_WINDOWS = 4
"""Calls accepted before so many windows do not count: the plan may have changed."""
ROUNDING = 2.0
"""Seconds by which a reply may round up the wait: by one in seconds, by two as a date, since the
Date header that a date is compared with is rounded down."""
YIELD = 0.9
"""Part of the own use that stays allowed after others' calls have used up a limit."""
RECOVERY = 40.0
"""Most windows after which the whole limit is tried again."""
MEASURED = 0.9
"""Least part of a plan's calls that accepted calls have used: replies of the others were lost."""
LIKELY = 0.1
"""Least part of the possible time that a window's begin must overlap to be considered."""


@dataclass(frozen=True, slots=True)
class ObservedLimit:
    """A limit observed from headers or refusals."""

    seconds: float
    """Length of the window."""
    count: int
    """Calls in a window."""
    at: float
    """When the limit was observed."""
    clean_windows: float = CLEAN_WINDOWS
    """After so many windows without a refusal, one call more is tried."""
    is_courtesy: bool = False
    """The limit leaves room for other users of the key, and grows step by step."""

    def allows(self, now: float) -> int:
        """Calls in a window now: one more than observed, after enough windows without a refusal.

        Only a courtesy limit grows further. Time alone does not refute a limit that no use comes
        near, and the limit must not leap when it is needed again, or after a restart.
        """
        more = int(max(now - self.at, 0.0) / (self.clean_windows * self.seconds))
        return self.count + (more if self.is_courtesy else min(more, 1))


def refutes(passed: Sequence[float], seconds: float, count: int) -> bool:
    """Whether a server with this limit and either kind of window would have refused some calls.

    A server with fixed windows may accept twice its limit around an end, so several windows are
    needed.

    Args:
        passed: When each accepted call was answered, ascending, the last one now.
        seconds: Length of the window.
        count: Calls in a window.
    """
    windows = 2 * (count + 1)
    made = len(passed) - bisect_right(passed, passed[-1] - windows * seconds)
    return made > (windows + 1) * count


def known_use(passed: Sequence[float], seconds: float) -> int:
    """The most calls that were accepted within one window.

    Args:
        passed: When each accepted call was answered, ascending.
        seconds: Length of the window.
    """
    uses = (index - bisect_right(passed, at - seconds) for index, at in enumerate(passed, 1))
    return max(uses, default=0)


def smallest_limit(
    passed: Sequence[float], seconds: float, refused_at: float, wait: float | None = None
) -> int:
    """The smallest limit that a refusal and all earlier accepted calls are consistent with.

    Args:
        passed: When each accepted call was answered, ascending.
        seconds: Length of the window.
        refused_at: When a call was refused.
        wait: Seconds until more is allowed, rounded up, where the refusal names them.
    """
    known = bisect_right(passed, refused_at - seconds)
    recent = passed[known:]
    # A full window began right before one of these calls. (A sliding one begins with the first
    # call.) The window before was not fuller; earlier windows would only rule out more.
    possible = [
        i
        for i, begin in enumerate(recent)
        if known + i - bisect_left(passed, begin - seconds) <= len(recent) - i
    ]
    if wait is not None:
        latest = refused_at + wait - seconds
        if recent and latest - ROUNDING <= recent[0] <= latest + ROUNDING:
            return len(recent)  # the oldest call is the next to leave the window: a sliding one
        likely = [i for i in possible if _overlap(recent, i, latest - ROUNDING, latest) >= LIKELY]
        possible = likely or possible  # some servers always give the same wait
    return max(len(recent) - max(possible, default=0), 1)


def _overlap(recent: Sequence[float], index: int, earliest: float, latest: float) -> float:
    """The part of `earliest` to `latest` in which the window before a call may have begun."""
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
    """The limit that is observed from a refusal.

    Args:
        passed: When each accepted call was answered, ascending.
        limits: The limits that applied.
        observed: Counts of the observed limits, by window: one call more may have been tried now.
        refused_at: When the refused call was sent.
        rate_info: The rate-limit info of the reply.
        wait: The wait in seconds that the reply asks for.

    Returns:
        The stricter limit; None where the limits are as known, so that another user's calls have
        used them up.
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
    # Where the API asks for a longer wait than any known window, no limit can be inferred.
    fullest = max(
        (seconds for seconds in used if seconds in counts and used[seconds]),
        key=lambda seconds: used[seconds] / observed.get(seconds, counts[seconds]),
        default=None,
    )
    if fullest is None:
        return None
    recent = passed[bisect_right(passed, refused_at - KEPT_WINDOWS * fullest) :]
    if 2 * used[fullest] < known_use(recent, fullest):
        # A fixed window accepts twice its limit around its end, but never less than half of what
        # was accepted before: so another user's calls have used up the limit.
        return None
    # The limit that applied is too high in any case.
    most = max(counts[fullest] - 1, 1)
    count = min(smallest_limit(passed, fullest, refused_at, wait), most)
    return ObservedLimit(fullest, count, refused_at)


def _as_named(
    limit: int, used: Mapping[float, int], counts: Mapping[float, int], at: float, least: float
) -> ObservedLimit | None:
    """The limit that the API names, with the window that fits, which the API does not name.

    Windows that are not configured count only where no configured window is long enough, and where
    accepted calls do not rule them out. A count that a known limit has belongs to that window,
    unless the wait is far longer.
    """
    if any(count == limit and least <= 2 * seconds for seconds, count in counts.items()):
        return None
    stricter = [seconds for seconds in used if seconds in counts and limit < counts[seconds]]
    exhausted = [seconds for seconds in stricter if used[seconds] >= limit]
    if stricter:
        return ObservedLimit((exhausted or stricter)[0], limit, at)
    if not any(seconds in counts for seconds in used):
        # A fixed window accepts twice its limit around its end, but no more.
        plans = [seconds for seconds in used if MEASURED * limit <= used[seconds] <= 2 * limit]
        return ObservedLimit(plans[0], limit, at) if plans else None
    return None


def courtesy_of(
    passed: Sequence[float], limits: Sequence[Limit], refused_at: float, wait: float | None
) -> ObservedLimit:
    """The courtesy limit for a while after a refusal that others' calls have caused.

    The limit is a little less than the accepted own calls, and grows again soon. With an unchanged
    rate, calls would be refused each time that the others are busy.

    Args:
        passed: When each accepted call was answered, ascending.
        limits: The limits that applied, shortest window first.
        refused_at: When the refused call was sent.
        wait: The wait in seconds that the reply asks for.
    """
    fitting = (limit for limit in limits if limit.seconds >= (wait or 0.0) - ROUNDING)
    limit = next(fitting, limits[-1])
    use = len(passed) - bisect_right(passed, refused_at - limit.seconds)
    recovery = min(RECOVERY / limit.count, 1.0)
    count = max(int(use * YIELD), 1)
    return ObservedLimit(limit.seconds, count, refused_at, recovery, is_courtesy=True)


def limit_after_reply(
    observed_limit: ObservedLimit | None, configured: Limit, rate_info: RateLimitInfo, now: float
) -> ObservedLimit | None:
    """The observed limit of a window after an accepted call whose reply names a limit.

    Args:
        observed_limit: The limit of the window that was observed before.
        configured: The window's limit by the settings; never exceeded.
        rate_info: The rate-limit info of the reply.
        now: When the reply was read.

    Returns:
        The observed limit from now on; None where the configured limit applies.
    """
    limit = rate_info.limit
    if limit is None or limit > configured.count:
        return observed_limit  # a limit above the configured one belongs to another window
    if limit == configured.count:
        return None
    return ObservedLimit(configured.seconds, limit, now)
