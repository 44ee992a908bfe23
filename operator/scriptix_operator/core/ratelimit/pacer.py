"""Pacing of calls: a burst after a pause, then evenly spaced calls."""

from dataclasses import dataclass

__all__ = ["Pacer"]


@dataclass(slots=True)
class Pacer:
    """Spaces calls evenly (the generic cell rate algorithm).

    Times are monotonic seconds, given by the caller.
    """

    _even_at: float = float("-inf")
    """When the next call would be due if all calls had been evenly spaced."""

    def wait(self, now: float, interval: float, burst: int, ahead: int = 0) -> float:
        """Seconds until a call is due, with `ahead` others first.

        Args:
            now: The time.
            interval: Seconds between calls at the even pace.
            burst: The number of calls that may be made at once after a pause.
            ahead: Calls that come before this one.
        """
        even_at = max(self._even_at, now) + ahead * interval
        return max(even_at - (burst - 1) * interval - now, 0.0)

    def acquire(self, now: float, interval: float) -> None:
        """Record a call."""
        self._even_at = max(self._even_at, now) + interval

    def follow(self, at: float, interval: float) -> None:
        """Continue after an earlier call that was made at `at`."""
        self._even_at = max(self._even_at, at + interval)

    def cancel(self, interval: float) -> None:
        """Cancel a call that was not made after all."""
        self._even_at -= interval
