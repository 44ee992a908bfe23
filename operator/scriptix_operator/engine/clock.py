"""The clocks, read here and nowhere else."""

import time
from datetime import UTC, datetime

__all__ = ["Clock"]


class Clock:
    """Wall time for people, and a monotonic time that a suspended machine does not stop."""

    def now(self) -> datetime:
        """Wall time, UTC. Written to status; never used to measure how long something took."""
        return datetime.now(UTC)  # noqa: TID251 - the rim

    def monotonic(self) -> float:
        """Seconds since boot, time asleep included: a paused sender must see that it overslept."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)
