"""How many calls of one kind a key may still make: sliding windows over what was sent.

Times are seconds on any monotonic clock, given by the caller.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from scriptix_operator.core.limits import Limit

__all__ = ["Budget"]


class Budget:
    """The allowance of one API key for one kind of call.

    Args:
        limits: All of them hold at once.
    """

    def __init__(self, limits: Sequence[Limit]) -> None:
        self._limits = tuple(limits)
        self._longest = max((limit.seconds for limit in limits), default=0.0)
        self._spent: deque[float] = deque()
        self._held_until = float("-inf")

    def wait(self, now: float, ahead: int = 0) -> float:
        """Seconds until a call fits, `ahead` others going first; 0: it does now."""
        self._forget(now)
        earliest = free_at = max(now, self._held_until)
        for limit in self._limits:
            in_window = [at for at in self._spent if at > now - limit.seconds]
            # The call needs all but count-1 of the calls before it, known or ahead, to have aged.
            excess = len(in_window) + ahead - limit.count
            if excess < 0:
                continue
            rounds, index = divmod(excess, limit.count)
            before = in_window[index] if index < len(in_window) else earliest
            aged = max(before + limit.seconds, earliest)
            free_at = max(free_at, aged + rounds * limit.seconds)
        return free_at - now

    def take(self, now: float) -> None:
        """Spend one call, sent now."""
        self._forget(now)
        self._spent.append(now)

    def recall(self, starts: Iterable[float]) -> None:
        """Count calls that were made before, by others or in another process."""
        self._spent = deque(sorted([*self._spent, *starts]))

    def give_back(self, taken_at: float) -> None:
        """Take back what was spent at `taken_at`: that call never reached the server."""
        if taken_at in self._spent:  # else it has aged, and counts no more anyway
            self._spent.remove(taken_at)

    def hold(self, until: float) -> None:
        """Send nothing before `until`: the server refused a call and said so."""
        self._held_until = max(self._held_until, until)

    def _forget(self, now: float) -> None:
        while self._spent and self._spent[0] <= now - self._longest:
            self._spent.popleft()
