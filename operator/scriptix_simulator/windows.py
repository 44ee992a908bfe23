"""Rate limits: the remaining calls of a key in its windows, and when more are available.

Time is counted in whole microseconds, so a call at the exact end of a window is always in the next
one.
"""

import math
from collections import deque
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .units import Limit

__all__ = ["Quota", "Style", "Window", "WindowQuota", "Windows"]

Style = Literal["sliding", "fixed"]

_MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class WindowQuota:
    """The remaining quota of a key, as in the X-RateLimit headers.

    Attributes:
        allowed: Whether this call is accepted.
        limit: Calls in a window.
        remaining: Calls left after this one.
        reset: When the next call becomes free (sliding) or all do (fixed), in unix seconds.
        retry_after: Whole real seconds until then, at least 1.
    """

    allowed: bool
    limit: int
    remaining: int
    reset: int
    retry_after: int


@dataclass(slots=True)
class Window:
    """The calls of one key under one limit.

    Args:
        limit: Count and simulated length.
        style: `sliding`: each call expires one length later. `fixed`: all calls expire at each
            multiple of the length since the epoch.
        speed: Simulated seconds in a real one.
    """

    limit: Limit
    style: Style
    speed: float
    _calls: deque[int] = field(default_factory=deque)

    def reads(self, now: float) -> WindowQuota:
        """Return the remaining quota at `now` (unix seconds) without a charge."""
        return self._remaining(now, spend=False)

    def take(self, now: float) -> WindowQuota:
        """Charge one call at `now` (unix seconds) if one is left; a refused call is not charged."""
        return self._remaining(now, spend=True)

    def _remaining(self, now: float, *, spend: bool) -> WindowQuota:
        at = round(now * _MICRO)
        length = max(round(self.limit.seconds / self.speed * _MICRO), 1)
        begin = at - at % length if self.style == "fixed" else at - length + 1
        while self._calls and self._calls[0] < begin:
            self._calls.popleft()
        allowed = len(self._calls) < self.limit.count
        if allowed and spend:
            self._calls.append(at)
        if self.style == "fixed":
            reset = begin + length
        else:
            reset = (self._calls[0] if self._calls else at) + length
        return WindowQuota(
            allowed=allowed,
            limit=self.limit.count,
            remaining=self.limit.count - len(self._calls),
            reset=math.ceil(reset / _MICRO),
            retry_after=max(math.ceil((reset - at) / _MICRO), 1),
        )


@dataclass(frozen=True, slots=True)
class Quota:
    """The calls of one key under all limits that apply to them.

    Args:
        windows: One for each limit, and at least one.
    """

    windows: tuple[Window, ...]

    def reads(self, now: float) -> WindowQuota:
        """Return the remaining quota at `now` (unix seconds) without a charge."""
        return _tightest(window.reads(now) for window in self.windows)

    def take(self, now: float) -> WindowQuota:
        """Charge one call to every window if each has one left; a refused call is not charged."""
        if not all(window.reads(now).allowed for window in self.windows):
            return self.reads(now)
        return _tightest(window.take(now) for window in self.windows)


def _tightest(remaining: Iterable[WindowQuota]) -> WindowQuota:
    """Return the remaining quota to report: the smallest, and of equal ones the longest wait.

    A caller that retried after a shorter wait would be refused by this window.
    """
    return min(remaining, key=lambda one: (one.remaining, -one.reset, -one.retry_after))


class Windows:
    """The windows of all keys: each key and each kind of call has its own.

    Args:
        style: As for `Window`.
        speed: Simulated seconds in a real one.
    """

    def __init__(self, style: Style, speed: float) -> None:
        self._style: Style = style
        self._speed = speed
        self._quotas: dict[Hashable, Quota] = {}

    def of(self, owner: Hashable, limits: Sequence[Limit]) -> Quota:
        """Return the windows of `owner` (a key and a kind of call), new if it has none yet."""
        if owner not in self._quotas:
            windows = tuple(Window(limit, self._style, self._speed) for limit in limits)
            self._quotas[owner] = Quota(windows)
        return self._quotas[owner]
