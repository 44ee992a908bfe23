"""The clocks, read here and nowhere else."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

__all__ = ["Clock"]


def _wall() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one reader of the clock


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """Wall time for people, and a monotonic time that a suspended machine does not stop.

    The wall clock is read once; then it advances with the monotonic one. A wall clock that is set
    forward must not shorten the wait for a start with unknown outcome.

    Args:
        wall: The wall clock, UTC.
        boottime: Seconds since boot, time asleep included.
    """

    def __init__(
        self,
        wall: Callable[[], datetime] = _wall,
        boottime: Callable[[], float] = _boottime,
    ) -> None:
        self._boottime = boottime
        self._booted = wall() - timedelta(seconds=boottime())

    def now(self) -> datetime:
        """Wall time, UTC: the time at which the process began, plus the monotonic time since."""
        return self._booted + timedelta(seconds=self._boottime())

    def monotonic(self) -> float:
        """Seconds since boot, time asleep included: a process that was paused must notice it."""
        return self._boottime()
