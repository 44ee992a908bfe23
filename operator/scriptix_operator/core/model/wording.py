"""How messages and log lines show durations, times and sentences."""

from datetime import datetime

__all__ = ["duration", "sentence", "timestamp"]

MINUTE, HOUR = 60, 3600


def duration(seconds: int) -> str:
    """A duration as Kubernetes prints it, such as `1h30m`."""
    parts = (seconds // HOUR, "h"), (seconds % HOUR // MINUTE, "m"), (seconds % MINUTE, "s")
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def timestamp(at: datetime | None) -> str:
    """A time as messages show it, in UTC and to the minute; None: the time is not recorded."""
    return "an unknown time" if at is None else f"{at:%Y-%m-%d %H:%MZ}"


def sentence(text: str) -> str:
    """The text with a full stop, unless it ends a sentence already."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
