"""The sliding window of a circuit breaker: which share of the latest calls had no answer.

The window has the calls of the last LENGTH seconds, but LEAST_CALLS to MOST_CALLS calls: few calls
a minute need a longer window, and many calls a second a shorter one.

Times are monotonic seconds, given by the caller.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = [
    "FAILURE_RATIO",
    "LEAST_CALLS",
    "LENGTH",
    "MODELS",
    "MOST_CALLS",
    "OLDEST",
    "FailureWindow",
]

LENGTH = 10.0
"""Length of the window in seconds, with LEAST_CALLS to MOST_CALLS calls in it."""
LEAST_CALLS = 10
"""So many calls are needed to judge the API; older ones are counted, too, if need be."""
MOST_CALLS = 20
"""So many calls are enough to judge the API: with more, its outage would be noticed later."""
OLDEST = 300.0
"""Seconds after which a call says nothing of the API any more."""
FAILURE_RATIO = 0.9
"""Share of unanswered calls from which on the API counts as unreachable. An API that loses 4 calls
of 10 reaches that with 10 calls twice in a thousand times, with 20 five times in a million."""
MODELS = 3
"""So many different models have to be among the unanswered calls: one model may be broken."""


class _Call(NamedTuple):
    at: float
    model_id: int
    is_unanswered: bool


@dataclass(slots=True)
class FailureWindow:
    """The latest calls with a key."""

    _calls: deque[_Call] = field(default_factory=deque)
    _unanswered: Counter[int] = field(default_factory=Counter)
    """Unanswered calls in the window, by model."""

    def record(self, model_id: int, now: float, *, is_unanswered: bool) -> None:
        """Record a call that has ended."""
        self._calls.append(_Call(now, model_id, is_unanswered))
        if is_unanswered:
            self._unanswered[model_id] += 1
        while self._is_over(self._calls[0], now):
            over = self._calls.popleft()
            if over.is_unanswered:
                self._unanswered -= Counter({over.model_id: 1})  # drops a model that has none left

    def clear(self) -> None:
        """Forget all calls."""
        self._calls.clear()
        self._unanswered.clear()

    @property
    def shows_outage(self) -> bool:
        """Whether the API is unreachable, by the calls in the window."""
        if len(self._calls) < LEAST_CALLS or len(self._unanswered) < MODELS:
            return False
        return self._unanswered.total() >= FAILURE_RATIO * len(self._calls)

    def _is_over(self, call: _Call, now: float) -> bool:
        age = now - call.at
        most = LEAST_CALLS if age > LENGTH else MOST_CALLS
        return age > OLDEST or len(self._calls) > most
