"""The generic cell rate algorithm (GCRA): a burst after a pause, then evenly spaced calls.

The theoretical arrival time (TAT) is when the next call would be due if all calls were evenly
spaced. A call may be earlier than that by `burst - 1` intervals at most, and moves the TAT by one
interval. After a pause, with a burst of 3 and an interval of 2 seconds:

    time     0    0    0    2    4    6
    call     x    x    x    x    x    x
    TAT      2    4    6    8   10   12
"""

from dataclasses import dataclass

__all__ = ["Pacer"]


@dataclass(slots=True)
class Pacer:
    """Spaces calls evenly. Times are monotonic seconds, given by the caller."""

    _tat: float = float("-inf")
    """The theoretical arrival time of the next call."""

    def wait(self, now: float, interval: float, burst: int, ahead: int = 0) -> float:
        """Seconds until a call is due, with `ahead` others first.

        Args:
            now: The time.
            interval: Seconds between calls at the even pace.
            burst: The number of calls that may be made at once after a pause.
            ahead: Calls that come before this one.
        """
        tat = max(self._tat, now) + ahead * interval
        return max(tat - (burst - 1) * interval - now, 0.0)

    def acquire(self, now: float, interval: float) -> None:
        """Record a call."""
        self._tat = max(self._tat, now) + interval

    def follow(self, at: float, interval: float) -> None:
        """Continue after an earlier call that was made at `at`."""
        self._tat = max(self._tat, at + interval)

    def cancel(self, interval: float) -> None:
        """Cancel a call that was not made after all."""
        self._tat -= interval
