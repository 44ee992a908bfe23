"""Log calls with one API key: a first-come, first-served queue, with a background class behind it.

Runs that have ended wait in the order of asking, and come before all running trainings: their last
call fetches what earlier calls missed. Running trainings may use a part of the quota at most:

    20 calls an hour   [ e e e e e | r r r r r r r r r r r r r r r ]
                         ended only, at least; the other 15 are for all

No wake-ups are needed: each resource asks again at the time that its wait names. Times are
monotonic seconds, given by the caller.
"""

from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.scheduling.fair_queue import DISPATCH_TIMEOUT
from scriptix_operator.core.scheduling.quota_view import QuotaView

__all__ = ["RUNNING", "SHORTEST_WAIT", "LogScheduler"]

RUNNING = "running"
"""The tag of the calls for running trainings."""
RUNNING_PART = 0.75
"""Part of the quota for running trainings."""
SHORTEST_WAIT = 1.0
"""Shortest wait in seconds. Times are rounded: a shorter wait may end before the call fits."""


class LogScheduler:
    """The order of the log calls of a key.

    Args:
        quota: When log calls fit.
    """

    def __init__(self, quota: QuotaView) -> None:
        self._quota = quota
        self._waiting: dict[TrainingKey, float] = {}
        """Resources whose runs have ended, in the order of asking, and when each asks again."""

    def wait(self, key: TrainingKey, now: float, *, has_ended: bool) -> float:
        """Seconds until a resource is to ask again; 0: it may call now.

        A resource whose run has ended joins the queue, and stays there until it leaves.
        """
        for missed in [k for k, at in self._waiting.items() if at < now - DISPATCH_TIMEOUT]:
            del self._waiting[missed]
        if not has_ended:
            wait = max(
                self._quota.wait(now, len(self._waiting)),
                self._quota.wait_in_part(now, RUNNING, RUNNING_PART),
            )
            return max(wait, SHORTEST_WAIT) if wait > 0 else 0.0
        self._waiting.setdefault(key, now)
        place = list(self._waiting).index(key)
        wait = self._quota.wait(now, place)
        if wait <= 0:
            return 0.0
        # One after the other: of resources that ask at the same time, all but one would ask again.
        wait = max(wait, SHORTEST_WAIT * (place + 1))
        self._waiting[key] = now + wait
        return wait

    def leave(self, key: TrainingKey) -> None:
        """Leave the queue."""
        self._waiting.pop(key, None)
