"""The circuit breaker of the Kubernetes API server: no reconcile begins while it is unreachable.

kube/reachability.py learns from each request of the process, also from those for the Lease and the
watch. While the circuit is open, one trial request is made at a time, resources that become due
stay in the work queue, and those whose reconcile has failed are noted. The first reply to any
request closes the circuit. The noted resources are then due at once, whatever their own backoff
says, and what is overdue is reconciled at a bounded rate:

    API server   replies | away ............................... | replies
    trial        .       . at once, after 1s, 2s, 4s, 5s, 5s …  .
    reconciles   a b c   : a fails: noted   d, e become due     : a, d, e: RESUME_RATE a second

If the first trial request has a reply, the failure concerned one request: its resource keeps its
own backoff.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NoReturn

from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.kube.errors import KubeError
from scriptix_operator.kube.reachability import Reachability

__all__ = ["LONGEST_WAIT", "RESUME_RATE", "ClusterBreaker"]

FIRST_WAIT, LONGEST_WAIT = 1.0, 5.0
"""Seconds between trial requests: the first delay, which doubles, and the longest."""
TRIAL_TIMEOUT = 4.0
"""Seconds that a trial request may take; as for the Lease."""
RESUME_RATE = 50.0
"""Reconciles that begin in a second after an outage, while resources are overdue."""


@dataclass(slots=True)
class ClusterBreaker:
    """Holds reconciles back while the API server is unreachable.

    Args:
        reachability: Whether the API server replies.
        trial: Makes one cheap request.
        clock: Monotonic seconds.
        resume: Takes the noted resources, and the seconds since the API server became unreachable,
            once the API server replies; returns how many resources are overdue.
    """

    reachability: Reachability
    trial: Callable[[], Awaitable[None]]
    clock: Callable[[], float]
    resume: Callable[[tuple[TrainingKey, ...], float], int]
    _failed: dict[TrainingKey, None] = field(default_factory=dict)
    """Resources whose reconcile has failed because of the outage, in this order."""
    _closed: asyncio.Event = field(default_factory=asyncio.Event)
    _overdue: int = 0
    """Resources that were overdue after the outage, and are still to be reconciled."""
    _next_at: float = 0.0
    """When the next one of these may be reconciled."""

    def __post_init__(self) -> None:
        """Begin with a closed circuit."""
        self._closed.set()

    async def run(self) -> NoReturn:
        """Open the circuit whenever the API server is unreachable, until cancelled."""
        while True:
            await self.reachability.lost.wait()
            since = self.clock()
            self._closed.clear()
            try:
                is_outage = await self._try_until_reachable()
                failed, self._failed = tuple(self._failed), {}
                if is_outage:
                    self._overdue, self._next_at = self.resume(failed, self.clock() - since), 0.0
            finally:
                self._closed.set()

    def note(self, key: TrainingKey) -> bool:
        """Note a resource whose request had no reply; returns whether the API server is away."""
        if self.reachability.is_reachable:
            return False
        self._failed[key] = None
        return True

    def forget(self, key: TrainingKey) -> None:
        """Forget a resource that was deleted."""
        self._failed.pop(key, None)

    async def wait(self) -> None:
        """Wait until a reconcile may begin."""
        await self._closed.wait()
        if self._overdue:
            await asyncio.sleep(self._next_at - self.clock())

    def begun(self) -> None:
        """Count a reconcile that begins."""
        if self._overdue:
            self._overdue -= 1
            self._next_at = max(self._next_at, self.clock()) + 1 / RESUME_RATE

    async def _try_until_reachable(self) -> bool:
        """Make trial requests; returns whether the first one failed, too."""
        failed = 0
        while not self.reachability.is_reachable:
            with contextlib.suppress(KubeError, TimeoutError):
                async with asyncio.timeout(TRIAL_TIMEOUT):
                    await self.trial()
            if not self.reachability.is_reachable:
                failed += 1
                await self.reachability.pause(backoff(FIRST_WAIT, failed - 1, LONGEST_WAIT))
        return failed > 0
