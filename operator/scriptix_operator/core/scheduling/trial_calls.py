"""The resources that an open circuit holds up: the first of them makes the next trial call.

A held-up resource's own next poll may be due long after the API is back. So it is triggered for the
trial call, or once the circuit closes; then all held-up resources poll one after the other:

    circuit     closed | open ............ trial: fails ......... trial: answered | closed
    held up            | a, b, c           a makes it   b, c, a   b makes it      | c, a poll

Times are monotonic seconds, given by the caller.
"""

from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.scheduling.calls import Answer, CallPermit
from scriptix_operator.core.scheduling.circuit_breaker import CircuitBreaker, is_unanswered
from scriptix_operator.core.scheduling.wake_up import WakeUp

__all__ = ["TrialCalls"]


class TrialCalls:
    """The order of trial calls.

    Args:
        breaker: Says when the next trial call is due.
    """

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._breaker = breaker
        self._held_up: dict[TrainingKey, None] = {}
        """Resources whose polls the open circuit has prevented, or whose polls had no answer since
        the last answered poll; in this order."""

    def hold_up(self, key: TrainingKey) -> list[WakeUp]:
        """Expect a resource that may not call now; returns wake-ups."""
        self._held_up[key] = None
        return self._next()

    def forget(self, key: TrainingKey) -> list[WakeUp]:
        """Choose another resource for the trial call, where this one was to make it."""
        if key not in self._held_up:
            return []
        del self._held_up[key]
        return self._next()

    def acquire(self, permit: CallPermit, now: float) -> None:
        """Record a poll that is sent: the trial call, while the circuit is open."""
        self._held_up.pop(permit.key, None)
        self._breaker.acquire(permit.reserved, now)

    def complete(
        self, permit: CallPermit, answer: Answer, now: float, jitter: float, interval: float
    ) -> list[WakeUp]:
        """Record the result of a poll, as CircuitBreaker.complete.

        Args:
            permit: The permit of the poll.
            answer: How the poll ended.
            now: The time.
            jitter: 0 to 1, drawn at random.
            interval: Seconds between the polls of held-up resources once the circuit has closed:
                resources that all ask at once would only wait.

        Returns:
            Wake-ups.
        """
        was_closed, failure = self._breaker.open_circuit is None, answer.failure
        has_closed = self._breaker.complete(permit.reserved, answer.model_id, failure, now, jitter)
        is_closed = self._breaker.open_circuit is None
        is_answer = failure is None or not is_unanswered(failure)
        has_opened_alone = was_closed and not is_closed and not self._held_up
        if not is_answer and not has_opened_alone:
            # A resource that has opened the circuit alone polls at the named time; another model is
            # the better trial.
            self._held_up[permit.key] = None
        wake_ups = []
        if has_closed:
            wake_ups = [WakeUp(one, now + n * interval) for n, one in enumerate(self._held_up)]
        if is_answer and is_closed:
            self._held_up.clear()
        return wake_ups + self._next()

    def _next(self) -> list[WakeUp]:
        """Expect a resource for the next trial call, before its own next poll is due."""
        if self._breaker.open_circuit is None or not self._held_up:
            return []
        return [WakeUp(next(iter(self._held_up)), self._breaker.trial_at)]
