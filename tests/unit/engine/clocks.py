"""Clocks for the engine's tests."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from scriptix_operator.engine.clock import Clock
from tests.unit.core.builders import EIGHT

__all__ = ["Time"]


@dataclass
class Time(Clock):
    """A clock that the test sets; at eight the machine has been up for 100 seconds."""

    seconds: float = 0.0

    def now(self) -> datetime:
        """Wall time."""
        return EIGHT + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Seconds."""
        return 100.0 + self.seconds
