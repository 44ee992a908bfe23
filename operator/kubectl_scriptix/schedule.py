"""When starts fit: the operator's own rate limiter and start queue, run ahead of time.

Times are seconds from now.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from scriptix_operator.core.ledger.ledger import StartCharge
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limiter import RateLimiter
from scriptix_operator.core.ratelimit.limits import Limit, parse_limits
from scriptix_operator.core.ratelimit.window import PastCall
from scriptix_operator.core.scheduling.calls import Call
from scriptix_operator.core.scheduling.quota_document import KeyQuota
from scriptix_operator.core.scheduling.start_queue import QueueEntry, StartQueue

__all__ = ["DOCUMENTED", "StartQuota", "Waiting", "start_quota", "start_times"]

DOCUMENTED = parse_limits("5/1h")
"""The limit in the API's documentation, for keys whose quota is not published."""
LEAST = 0.001
"""Seconds by which time advances at least, whatever rounding leaves of a wait."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A resource that waits for a start, or will.

    Attributes:
        entry: Its queue entry.
        ready_in: Seconds until the resource could start.
    """

    entry: QueueEntry
    ready_in: float = 0.0


@dataclass(frozen=True, slots=True)
class StartQuota:
    """The start quota of a key.

    Attributes:
        limits: The limits that apply, shortest window first.
        past: Earlier starts that may still count, at their likely times.
        late_past: The same, at the latest possible times.
        free_in: Seconds until the operator allows a start.
    """

    limits: tuple[Limit, ...]
    past: tuple[PastCall, ...]
    late_past: tuple[PastCall, ...]
    free_in: float = 0.0

    @property
    def window(self) -> float:
        """The longest window in seconds."""
        return self.limits[-1].seconds

    def starts_by_namespace(self) -> dict[str, int]:
        """The known starts in the longest window."""
        limiter = _limiter(self.limits, self.past)
        return dict(sorted(limiter.calls_by_tag(0.0).items()))


def start_quota(
    published: KeyQuota | None,
    written_at: datetime | None,
    charges: Iterable[StartCharge],
    now: datetime,
) -> StartQuota:
    """The start quota of a key: what the operator publishes, and the starts that statuses show.

    Args:
        published: The key in the quota document; None: the document lacks the key.
        written_at: When the document was written.
        charges: The starts that statuses show.
        now: The time.
    """
    past = tuple(PastCall((one.at - now).total_seconds(), one.namespace) for one in charges)
    if published is None or written_at is None:
        return StartQuota(DOCUMENTED, past, past)
    operation = published.operations[Call.START]
    limits = parse_limits(",".join(f"{one.limit}/{one.window}" for one in operation.limits))
    at = (written_at - now).total_seconds()
    seen = sum(at - limits[-1].seconds < one.at <= at for one in past)
    unseen = max(operation.limits[-1].used - seen, 0)
    free_at = operation.next_free_at
    free_in = 0.0 if free_at is None else max((free_at - now).total_seconds(), 0.0)
    # The document has no times of starts, only when the oldest one leaves the window.
    oldest = free_in - limits[-1].seconds
    gap = (at - oldest) / max(unseen - 1, 1)
    spread = (PastCall(oldest + gap * number) for number in range(unseen))
    return StartQuota(limits, (*past, *spread), (*past, *[PastCall(at)] * unseen), free_in)


def start_times(
    quota: StartQuota, waiting: Sequence[Waiting], *, is_late: bool = False
) -> dict[TrainingKey, float]:
    """When each resource starts, if nothing else asks for a start.

    Args:
        quota: The quota.
        waiting: All resources that ask for a start.
        is_late: Whether starts whose times are not known count for as long as they may.
    """
    limiter = _limiter(quota.limits, quota.late_past if is_late else quota.past)
    queue, now = StartQueue(), quota.free_in
    coming = sorted(waiting, key=lambda one: one.ready_in)
    starts: dict[TrainingKey, float] = {}
    while coming or len(queue):
        while coming and coming[0].ready_in <= now:
            queue.join(coming.pop(0).entry)
        next_join = coming[0].ready_in if coming else math.inf
        wait = limiter.wait(now) if len(queue) else math.inf
        if wait > 0:
            now = min(now + max(wait, LEAST), next_join)
            continue
        (key,) = queue.order(limiter.calls_by_tag(now)).first(1)
        limiter.complete(limiter.acquire(now, key.namespace), now)
        queue.leave(key)
        starts[key] = now
    return starts


def _limiter(limits: Sequence[Limit], past: Iterable[PastCall]) -> RateLimiter:
    limiter = RateLimiter(limits)
    limiter.restore(past)
    return limiter
