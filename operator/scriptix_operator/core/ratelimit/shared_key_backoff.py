"""Multiplicative decrease (of AIMD, as in TCP) while other clients use the key, too.

Calls of others cause a refusal that no limit of the key explains. They leave less than the operator
has used, so the limit falls to 0.9 of that use. It grows back by one call at a time, within 40
windows at most. Nothing is observed: with an unchanged limit, calls would only be refused in each
window in which the others are busy.

    calls allowed
     100  -------+                       +------  the limit of the key
                 |                    _--
                 |                _--     one call more every 0.4 windows
                 |            _--
      45         +---------_--
                 ^
                 refused, with 50 own calls in the window

Times are seconds on any clock that does not jump, given by the caller.
"""

from scriptix_operator.core.ratelimit.call_history import RefusedCall
from scriptix_operator.core.ratelimit.limits import Limit

__all__ = ["SharedKeyBackoff"]

DECREASE = 0.9
"""Part of the own use that stays allowed after others' calls have used up a limit."""
RECOVERY = 40.0
"""Most windows after which the whole limit is tried again."""


class SharedKeyBackoff:
    """The limit while others use the key; accepted calls do not change it, only time does."""

    def __init__(self) -> None:
        self._refused_at = 0.0
        self._decreased: Limit | None = None
        """The limit at the refusal."""
        self._step = 0.0
        """Seconds after which one call more is allowed."""

    def refused(self, refused: RefusedCall) -> None:
        """Decrease the limit of the shortest window that the refusal may be of."""
        windows = (limit for limit in refused.limits if refused.may_be_of(limit.seconds))
        window = next(windows, refused.limits[-1])
        count = max(int(refused.use(window.seconds) * DECREASE), 1)
        self._refused_at, self._decreased = refused.sent_at, Limit(count, window.seconds)
        self._step = min(RECOVERY / window.count, 1.0) * window.seconds

    def limits(self, now: float) -> tuple[Limit, ...]:
        """The limit now, if any; it grows without end, and the limit of the key applies, too."""
        if self._decreased is None:
            return ()
        more = int(max(now - self._refused_at, 0.0) / self._step)
        return (Limit(self._decreased.count + more, self._decreased.seconds),)
