"""When observed limits are stored again: not at each reply, where replicas of the API differ.

Times are seconds on any clock that does not jump, given by the caller.
"""

from collections.abc import Mapping

from scriptix_operator.core.ratelimit.additive_increase import ObservedLimit
from scriptix_operator.core.ratelimit.limits import Limit

__all__ = ["KEEP_AGAIN", "WriteThrottle"]

KEEP_AGAIN, CONFIRM = 60.0, 86_400.0
"""Seconds after which an observed limit is stored again: where it has changed, and where it has
only been confirmed."""


class WriteThrottle:
    """The observed limits as they were stored last, by the seconds of their windows."""

    def __init__(self) -> None:
        self._stored: dict[float, ObservedLimit] = {}
        self._stored_at = float("-inf")

    @property
    def stored_limits(self) -> tuple[Limit, ...]:
        """The limits that were stored last, shortest window first."""
        return tuple(Limit(self._stored[each].count, each) for each in sorted(self._stored))

    def restore(self, observed: Mapping[float, ObservedLimit]) -> None:
        """Note the limits that an earlier process has stored."""
        self._stored = dict(observed)

    def is_due(self, observed: Mapping[float, ObservedLimit], now: float) -> bool:
        """Whether the limits are to be stored, which the caller does: stricter ones at once."""
        old = self._stored
        is_stricter = any(
            seconds not in old
            or one.count < old[seconds].count
            or one.clean_windows > old[seconds].clean_windows
            for seconds, one in observed.items()
        )
        is_changed = {s: one.count for s, one in observed.items()} != {
            s: one.count for s, one in old.items()
        }
        is_confirmed = any(
            seconds in old and one.at > old[seconds].at + CONFIRM
            for seconds, one in observed.items()
        )
        is_allowed = now >= self._stored_at + KEEP_AGAIN
        is_due = is_stricter or (is_allowed and (is_changed or is_confirmed))
        if is_due:
            self._stored, self._stored_at = dict(observed), now
        return is_due
