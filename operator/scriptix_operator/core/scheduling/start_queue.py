"""The start queue: round robin between namespaces by fewest starts, for resources that share a key.

Between namespaces: the fewest starts in the window first, then new work before reruns, then the
oldest request. Within a namespace: first attempts before repeated ones, then priority, new work
before reruns, age.

The *start count* of an entry is the number of starts that its namespace has made when the entry's
turn comes; the queue is sorted by it. Here team-a has made 3 starts in the window, team-b has made
1, and team-c none:

    start count    0     1     2     3     4
    team-a         .     .     .     a1    a2
    team-b         .     b1    b2    .     .
    team-c         c1    .     .     .     .
    order          c1    b1    b2    a1    a2

So a position needs no sorting. Before an entry with start count n come all entries of any namespace
with a smaller one, and those with start count n whose namespace comes first. For a1 (n = 3): one of
team-c, both of team-b, none of team-a before it in the row; a1 is the fourth.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import heapify, heappop, heapreplace
from itertools import islice
from typing import NamedTuple

from scriptix_operator.core.model.training import Training, TrainingKey

__all__ = ["QueueEntry", "QueueSnapshot", "StartQueue", "queue_entry_of"]


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A resource that could start now."""

    key: TrainingKey
    uid: str
    is_repeated: bool
    """An earlier start for the run had no effect."""
    priority: int
    is_rerun: bool
    """The resource has had a run before."""
    created_at: datetime
    """When the resource was created, which asks for its first run."""
    joined_at: datetime
    """Since when the resource could start."""

    @property
    def since(self) -> datetime:
        """The time that the age counts from; for a rerun, the wait: the resource may be old."""
        return self.joined_at if self.is_rerun else self.created_at

    @property
    def within(self) -> tuple[bool, int, bool, datetime, str]:
        """The sort key within a namespace."""
        return self.is_repeated, -self.priority, self.is_rerun, self.since, self.uid

    @property
    def between(self) -> tuple[bool, datetime, str]:
        """The sort key between namespaces with equally many starts."""
        return self.is_rerun, self.since, self.uid


def queue_entry_of(training: Training, now: datetime) -> QueueEntry:
    """The queue entry of a resource that could start now."""
    status, run = training.status, training.status.run
    attempt = 1 if run is None else run.attempt
    # Not from status.queue: a refused or aborted start, or a block, removes that.
    joined_at = None if run is None else run.queued_at
    return QueueEntry(
        key=training.key,
        uid=training.uid,
        is_repeated=attempt > 1,
        priority=training.spec.priority,
        is_rerun=bool(status.history),
        created_at=training.created_at,
        joined_at=joined_at or now,
    )


class _Wait(NamedTuple):
    """A queue entry in the line of its namespace; sorts by the sort key within a namespace."""

    within: tuple[bool, int, bool, datetime, str]
    between: tuple[bool, datetime, str]
    key: TrainingKey

    @classmethod
    def of(cls, queue_entry: QueueEntry) -> "_Wait":
        return cls(queue_entry.within, queue_entry.between, queue_entry.key)


_Lines = Mapping[str, Sequence[_Wait]]
"""Queue entries by namespace, in the order within the namespace; no line is empty."""


class QueueSnapshot:
    """The order of the queue, until a resource joins or leaves.

    Nothing is sorted here: thousands join after a restart, and each asks for its position.

    Args:
        queue_entries: All queue entries.
        lines: The same entries by namespace.
        started: Starts in the window, by namespace.
    """

    def __init__(
        self,
        queue_entries: Mapping[TrainingKey, QueueEntry],
        lines: _Lines,
        started: Mapping[str, int],
    ) -> None:
        self._queue_entries = queue_entries
        self._lines = lines
        self._started = started

    def __len__(self) -> int:
        return len(self._queue_entries)

    def __contains__(self, key: TrainingKey) -> bool:
        return key in self._queue_entries

    def __iter__(self) -> Iterator[TrainingKey]:
        """All resources in order; joining and leaving meanwhile does not affect the iterator."""
        copy = {namespace: tuple(line) for namespace, line in self._lines.items()}
        return _in_order(copy, self._started)

    def first(self, count: int) -> tuple[TrainingKey, ...]:
        """The first resources of the queue."""
        return tuple(islice(_in_order(self._lines, self._started), count))

    def index(self, key: TrainingKey) -> int:
        """The number of resources before `key`."""
        wait = _Wait.of(self._queue_entries[key])
        position = bisect_left(self._lines[key.namespace], wait)
        start_count = self._started.get(key.namespace, 0) + position
        rank, before = (wait.between, key.namespace), 0
        for namespace, line in self._lines.items():
            smaller = start_count - self._started.get(namespace, 0)
            if smaller >= len(line):
                before += len(line)
            elif smaller >= 0:  # and the entry after these has the same start count
                before += smaller + ((line[smaller].between, namespace) < rank)
        return before


class StartQueue:
    """The resources that wait for a start."""

    def __init__(self) -> None:
        self._queue_entries: dict[TrainingKey, QueueEntry] = {}
        self._lines: dict[str, list[_Wait]] = {}
        self._order: QueueSnapshot | None = None
        """The latest snapshot; None: a resource has joined or left since."""
        self._ordered_for: Mapping[str, int] | None = None
        """The starts by namespace at the latest snapshot."""

    def __len__(self) -> int:
        return len(self._queue_entries)

    def __contains__(self, key: TrainingKey) -> bool:
        return key in self._queue_entries

    def join(self, queue_entry: QueueEntry) -> None:
        """Join the queue, or replace the queue entry."""
        if self._queue_entries.get(queue_entry.key) != queue_entry:
            self.leave(queue_entry.key)
            self._queue_entries[queue_entry.key] = queue_entry
            line = self._lines.setdefault(queue_entry.key.namespace, [])
            insort(line, _Wait.of(queue_entry))
            self._order = None

    def leave(self, key: TrainingKey) -> None:
        """Leave the queue."""
        queue_entry = self._queue_entries.pop(key, None)
        if queue_entry is not None:
            line = self._lines[key.namespace]
            del line[bisect_left(line, _Wait.of(queue_entry))]
            if not line:
                del self._lines[key.namespace]
            self._order = None

    def order(self, started: Mapping[str, int]) -> QueueSnapshot:
        """All waiting resources, in order.

        Args:
            started: Starts in the window, by namespace.
        """
        if self._order is None or self._ordered_for != started:
            self._ordered_for = dict(started)
            self._order = QueueSnapshot(self._queue_entries, self._lines, self._ordered_for)
        return self._order


def _in_order(lines: _Lines, started: Mapping[str, int]) -> Iterator[TrainingKey]:
    """Merge the lines of all namespaces, as if each resource had started."""
    heads = [
        (started.get(namespace, 0), line[0].between, namespace, 0)
        for namespace, line in lines.items()
    ]
    heapify(heads)
    while heads:
        starts, _, namespace, position = heads[0]
        line = lines[namespace]
        yield line[position].key
        if position + 1 < len(line):
            heapreplace(heads, (starts + 1, line[position + 1].between, namespace, position + 1))
        else:
            heappop(heads)
