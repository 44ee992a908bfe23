"""The fence around a send: a process that was paused past its time dies on waking.

A check before sending is not enough: the process may be stopped (SIGSTOP, a frozen container, a
machine asleep) between the check and the first byte, and go on when another has long taken over.
The kernel's timer goes on meanwhile. Its signal is delivered before the process runs again, and
nobody handles it: the default action ends the process.
"""

import signal
from itertools import count

__all__ = ["Fence"]


class Fence:
    """The process's real-time interval timer; there is only one, so make only one of these."""

    def __init__(self) -> None:
        self._deadlines: dict[int, float] = {}
        self._numbers = count()

    def arm(self, now: float, deadline: float) -> int:
        """End this process at `deadline` unless it is disarmed before.

        Args:
            now: Monotonic seconds.
            deadline: On the same clock.

        Returns:
            What to disarm it with.
        """
        number = next(self._numbers)
        self._deadlines[number] = deadline
        self._set(now)
        return number

    def disarm(self, number: int, now: float) -> None:
        """All bytes have left, or none will; harmless if it was done before."""
        if self._deadlines.pop(number, None) is not None:
            self._set(now)

    def _set(self, now: float) -> None:
        earliest = min(self._deadlines.values(), default=None)
        # Zero would disarm it: a deadline that has passed is a moment away.
        seconds = 0.0 if earliest is None else max(earliest - now, 0.000_001)
        signal.setitimer(signal.ITIMER_REAL, seconds)
