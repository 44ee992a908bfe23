"""Spending an allowance evenly: a few calls at once, the rest one after the other."""

from dataclasses import dataclass

__all__ = ["Pacer"]


@dataclass(slots=True)
class Pacer:
    """When the next call is in step with an even pace (the generic cell rate algorithm).

    Times are monotonic seconds, given by the caller.
    """

    _even_at: float = float("-inf")
    """When the next call would be made, had all of them been made evenly."""

    def wait(self, now: float, interval: float, burst: int, ahead: int = 0) -> float:
        """Seconds until a call is in step, `ahead` others going first.

        Args:
            now: The time.
            interval: Seconds between calls at the even pace.
            burst: So many may be made at once after a pause.
            ahead: Calls that come before this one.
        """
        even_at = max(self._even_at, now) + ahead * interval
        return max(even_at - (burst - 1) * interval - now, 0.0)

    def acquire(self, now: float, interval: float) -> None:
        """Make a call."""
        self._even_at = max(self._even_at, now) + interval

    def follow(self, at: float, interval: float) -> None:
        """Come after a call that was made at a time."""
        self._even_at = max(self._even_at, at + interval)

    def cancel(self, interval: float) -> None:
        """A call was not made after all."""
        self._even_at -= interval
