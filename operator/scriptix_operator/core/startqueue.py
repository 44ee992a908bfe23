"""Who starts next of those that share a key, and could start now.

Between namespaces: the fewest starts in the window first, then new work before reruns, then the
oldest request. Within one: those whose start was lost behind those that have had none, priority,
new work before reruns, age.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from scriptix_operator.core.resolve import FREE_ATTEMPTS
from scriptix_operator.core.training import Training, TrainingKey

__all__ = ["Claim", "Order", "StartQueue", "claim_of"]


@dataclass(frozen=True, slots=True)
class Claim:
    """A resource that could start now."""

    key: TrainingKey
    uid: str
    is_repeated: bool
    """A start for it was lost before."""
    is_late: bool
    """So many were lost that it may only have a part of the allowance."""
    priority: int
    is_rerun: bool
    """The resource has had a run before."""
    created_at: datetime
    """Of the resource, which asks for its first run itself."""
    joined_at: datetime
    """Since when it could start."""

    @property
    def since(self) -> datetime:
        """Its age. A rerun has that of its waiting: the resource may be years old."""
        return self.joined_at if self.is_rerun else self.created_at

    @property
    def within(self) -> tuple[bool, int, bool, datetime, str]:
        """What the order within a namespace goes by."""
        return self.is_repeated, -self.priority, self.is_rerun, self.since, self.uid

    @property
    def between(self) -> tuple[bool, datetime, str]:
        """What the order between namespaces goes by, where they have started equally many."""
        return self.is_rerun, self.since, self.uid


def claim_of(training: Training, now: datetime) -> Claim:
    """What a resource that could start now is ranked by."""
    status, run = training.status, training.status.run
    attempt = 1 if run is None else run.attempt
    joined_at = None if status.queue is None else status.queue.joined_at
    return Claim(
        key=training.key,
        uid=training.uid,
        is_repeated=attempt > 1,
        is_late=attempt > FREE_ATTEMPTS,
        priority=training.spec.priority,
        is_rerun=bool(status.history),
        created_at=training.created_at,
        joined_at=joined_at or now,
    )


class Order:
    """The order of those who wait."""

    def __init__(self, keys: Iterable[TrainingKey]) -> None:
        self._keys = tuple(keys)
        self._positions = {key: position for position, key in enumerate(self._keys)}

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[TrainingKey]:
        return iter(self._keys)

    def index(self, key: TrainingKey) -> int:
        """How many come before `key`."""
        return self._positions[key]

    def first(self, count: int) -> tuple[TrainingKey, ...]:
        """Those who are next."""
        return self._keys[:count]


class StartQueue:
    """Those that wait for a start."""

    def __init__(self) -> None:
        self._claims: dict[TrainingKey, Claim] = {}
        self._order = Order(())
        self._ordered_for: tuple[Mapping[str, int], bool] | None = None
        """What the order is by; None: it is to be made anew."""

    def __len__(self) -> int:
        return len(self._claims)

    def __contains__(self, key: TrainingKey) -> bool:
        return key in self._claims

    def join(self, claim: Claim) -> None:
        """Wait for a start, or wait on under another claim."""
        if self._claims.get(claim.key) != claim:
            self._claims[claim.key] = claim
            self._ordered_for = None

    def leave(self, key: TrainingKey) -> None:
        """Wait no more."""
        if self._claims.pop(key, None) is not None:
            self._ordered_for = None

    def order(self, started: Mapping[str, int], *, late: bool) -> Order:
        """All that wait, in order.

        Args:
            started: Starts in the window, by namespace.
            late: Whether those whose starts were lost again and again may start now; else they
                come behind all others.
        """
        if self._ordered_for != (started, late):
            claims = self._claims.values()
            timely = [claim for claim in claims if late or not claim.is_late]
            others = [claim for claim in claims if claim.is_late and not late]
            self._order = Order((*_in_turn(timely, started), *_in_turn(others, started)))
            self._ordered_for = dict(started), late
        return self._order


def _in_turn(claims: Iterable[Claim], started: Mapping[str, int]) -> Iterator[TrainingKey]:
    """Take from one namespace after the other, as if each taken had started."""
    lines: defaultdict[str, deque[Claim]] = defaultdict(deque)
    for claim in sorted(claims, key=lambda claim: claim.within):
        lines[claim.key.namespace].append(claim)
    heads = [
        (started.get(namespace, 0), line[0].between, namespace) for namespace, line in lines.items()
    ]
    heapq.heapify(heads)
    while heads:
        starts, _, namespace = heapq.heappop(heads)
        line = lines[namespace]
        yield line.popleft().key
        if line:
            heapq.heappush(heads, (starts + 1, line[0].between, namespace))
