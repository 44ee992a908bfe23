"""Times as people read them: how long ago, or in how long."""

from datetime import datetime, timedelta

from scriptix_operator.core.model.wording import timestamp

__all__ = ["ago", "at_and_in", "short_duration"]

MINUTE, HOUR, DAY = 60, 3600, 86400


def short_duration(span: timedelta) -> str:
    """A duration of two units at most, such as `45s`, `12m`, `2h5m` or `3d4h`, as kubectl does."""
    seconds = max(int(span.total_seconds()), 0)
    if seconds < 2 * MINUTE:
        return f"{seconds}s"
    if seconds < HOUR:
        return f"{seconds // MINUTE}m"
    if seconds < DAY:
        hours, minutes = seconds // HOUR, seconds % HOUR // MINUTE
        return f"{hours}h{minutes}m" if minutes else f"{hours}h"
    days, hours = seconds // DAY, seconds % DAY // HOUR
    return f"{days}d{hours}h" if hours else f"{days}d"


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago a moment was; an empty text where the moment is not known."""
    return "" if moment is None else f"{short_duration(now - moment)} ago"


def at_and_in(moment: datetime, now: datetime) -> str:
    """A moment in UTC, and how far away it is: `2026-11-30 10:40Z (in 2h5m)`."""
    if moment <= now:
        return f"{timestamp(moment)} ({short_duration(now - moment)} ago)"
    return f"{timestamp(moment)} (in {short_duration(moment - now)})"
