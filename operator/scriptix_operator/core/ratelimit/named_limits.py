"""Limits that the API names (the RateLimit header fields of the IETF draft; X-RateLimit-Limit).

A named limit applies at once, but the API does not name the window. The window is the shortest one
that can be full for as long as the reply asks to wait:

    limit 60, 50 s to wait from the reply R   limit 60, 3000 s to wait from the reply R

    minute  [..R---50 s---]  fits             minute  [......R..]  ends too soon
    hour    [......R-------------             hour    [..R------3000 s-----]  fits

For a refusal, a window that accepted calls have filled comes first. Windows that are not configured
count only where every configured one is too short, and where accepted calls have filled them.

Times are seconds on any clock that does not jump, given by the caller.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from scriptix_operator.core.model.remote import RateLimitInfo
from scriptix_operator.core.ratelimit.additive_increase import ObservedLimit
from scriptix_operator.core.ratelimit.call_history import AcceptedCalls, RefusedCall
from scriptix_operator.core.ratelimit.limits import Limit

__all__ = ["PLANS", "NamedLimits"]

PLANS = (60.0, 3600.0, 86400.0)
"""Windows of the API's plans in seconds, whether configured or not."""
MEASURED = 0.9
"""Least part of a plan's calls that accepted calls have used: replies of the others were lost."""
RESET_ROUNDING = 1.0
"""Seconds by which a reply may give the end of a window too late: servers round up."""


class NamedLimits:
    """The limits that replies have named, where they are stricter than configured."""

    def __init__(self) -> None:
        self._limits: dict[float, ObservedLimit] = {}

    @property
    def observed(self) -> Mapping[float, ObservedLimit]:
        """The named limits, by the seconds of their windows."""
        return self._limits

    def refused(
        self, refused: RefusedCall, limit: int, known: Mapping[float, ObservedLimit]
    ) -> bool:
        """Record the limit that a refusal names.

        Args:
            refused: The refused call.
            limit: The limit.
            known: The observed limits of all windows, named or inferred.

        Returns:
            Whether the limit explains the refusal; else it is known already, or its window is not.
        """
        seconds = _window_of(refused, limit)
        if seconds is None:
            return False
        old = known.get(seconds)
        if old is not None and old.is_on_trial(refused.sent_at):
            self._limits[seconds] = replace(old.trial_refused(refused.sent_at), count=limit)
        else:
            self._limits[seconds] = ObservedLimit(seconds, limit, refused.sent_at)
        return True

    def accepted(
        self,
        calls: AcceptedCalls,
        rate_info: RateLimitInfo | None,
        configured: Iterable[Limit],
        now: float,
    ) -> float | None:
        """Record an accepted call, and the limit that its reply names.

        Args:
            calls: The accepted calls with this one.
            rate_info: The rate-limit info of the reply.
            configured: The configured limits, shortest window first.
            now: When the reply was read.

        Returns:
            The window of the limit; None: the reply names no limit of a configured window. A limit
            above the configured one belongs to another window.
        """
        self._limits = {s: one.accepted(calls, now) for s, one in self._limits.items()}
        if rate_info is None or rate_info.limit is None:
            return None
        reset = (rate_info.reset or 0.0) - RESET_ROUNDING
        window = next((limit for limit in configured if limit.seconds >= reset), None)
        if window is None or rate_info.limit > window.count:
            return None
        if rate_info.limit == window.count:
            self._limits.pop(window.seconds, None)
        else:
            self._limits[window.seconds] = ObservedLimit(window.seconds, rate_info.limit, now)
        return window.seconds


def _window_of(refused: RefusedCall, limit: int) -> float | None:
    """The window of a limit that a refusal names; None: no stricter limit fits the refusal.

    A count that a known limit has belongs to that window, unless the wait is far longer.
    """
    known = {one.seconds: one.count for one in refused.limits}
    if any(limit == count and refused.may_be_of(2 * seconds) for seconds, count in known.items()):
        return None
    windows = [seconds for seconds in sorted({*known, *PLANS}) if refused.may_be_of(seconds)]
    stricter = [seconds for seconds in windows if seconds in known and limit < known[seconds]]
    if stricter:
        full = (seconds for seconds in stricter if refused.use(seconds) >= limit)
        return next(full, stricter[0])
    if any(seconds in known for seconds in windows):
        return None
    # A fixed window accepts twice its limit around its end, but no more.
    plans = (s for s in windows if MEASURED * limit <= refused.use(s) <= 2 * limit)
    return next(plans, None)
