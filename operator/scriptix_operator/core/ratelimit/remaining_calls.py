"""The remaining calls that a reply names (X-RateLimit-Remaining), while others use the key, too.

Times are monotonic seconds, given by the caller.
"""

__all__ = ["RemainingCalls"]


class RemainingCalls:
    """The remaining calls where own calls do not explain so few."""

    def __init__(self) -> None:
        self._calls = 0
        self._until = float("-inf")
        """The end of the window; a time in the past where own calls explain the named number."""

    def record(self, remaining: int, own: int, in_flight: int, until: float) -> None:
        """Record what an accepted reply names.

        Args:
            remaining: The remaining calls.
            own: The remaining calls as far as own calls have used the quota.
            in_flight: Own calls in flight, which the server may not have counted.
            until: When more calls are allowed.
        """
        self._calls = max(remaining - in_flight, 0)
        self._until = until if remaining < own else float("-inf")

    def acquire(self) -> None:
        """Count a call."""
        self._calls -= 1

    def cancel(self) -> None:
        """Count a call no more."""
        self._calls += 1

    def free_at(self, now: float, ahead: int) -> float:
        """When a call fits, with `ahead` others first."""
        return self._until if now < self._until and ahead >= self._calls else now
