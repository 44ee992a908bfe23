"""A fake log store: carries log plans out in memory, as kube/logstore.py does in a cluster.

A test can kill it between any two writes. tests/operator/test_logstore.py tests the real one
in an API server.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter

from scriptix_operator.core.logs.collector import LogCollector
from scriptix_operator.core.logs.lines import UNTIMED, render
from scriptix_operator.core.logs.plan import plan
from scriptix_operator.core.logs.segments import EMPTY, LOG_KEY, LogIndex, SealedSegment
from scriptix_operator.core.logs.window import Window
from scriptix_operator.core.model.remote import LogEntry

EIGHT = datetime(2025, 1, 16, 8, 0, tzinfo=UTC)
EIGHT_SECOND = 1737014400


def entry(message: str, seconds: float | None = 0) -> LogEntry:
    """A log entry so many seconds after eight, or without a time."""
    at = None if seconds is None else EIGHT + timedelta(seconds=seconds)
    return LogEntry(at, "info", message)


def wide(count: int, *, begin: int = 0, per_second: int = 1, size: int = 1000) -> list[LogEntry]:
    """Numbered, distinct entries of `size` bytes each when rendered."""
    filler = "x" * (size - len(render(entry("000000 x"))))
    return [entry(f"{i:06} {filler}", i // per_second) for i in range(begin, begin + count)]


class KilledError(Exception):
    """The process is killed here."""


@dataclass
class FakeLogStore:
    """Stores the segments of a log in memory."""

    segments: dict[int, dict[str, str]] = field(default_factory=dict)
    active: dict[str, str] | None = None
    named: set[int] = field(default_factory=set)
    """The segments that status names; written last."""
    reads: int = 0
    writes_left: int = 10**9

    def save(
        self,
        entries: Iterable[LogEntry],
        *,
        run_id: str = "r1",
        max_bytes: int = 2**24,
        since: int = UNTIMED,
    ) -> LogIndex:
        """Do what LogStore.open, the collector and LogStore.save do."""
        log_index = (LogIndex.read(self.active) if self.active else None) or EMPTY
        while log_index.next in self.segments:
            log_index = log_index.adopt(self._read(log_index.next))
        known = self.named | {segment.number for segment in log_index.segments}
        collector = LogCollector(log_index, Window(since), run_id=run_id, max_bytes=max_bytes)
        for entry in entries:
            collector.add(entry)
        planned = plan(log_index, collector.result(), run_id=run_id, max_bytes=max_bytes)
        stored = planned.log_index
        for seal in planned.seal:
            self._before_write()
            self.segments[seal.number] = seal.data()
            stored = stored.with_segment(seal)
        data = stored.data()
        if data != self.active:
            self._before_write()
            self.active = data
        numbers = {segment.number for segment in stored.segments}
        for number in sorted(known - numbers):
            if number in self.segments:
                self._before_write()
                del self.segments[number]
        self.named = numbers
        return stored

    def _read(self, number: int) -> SealedSegment:
        self.reads += 1
        return SealedSegment.read(number, self.segments[number])

    def _before_write(self) -> None:
        if not self.writes_left:
            raise KilledError
        self.writes_left -= 1

    @property
    def indexed(self) -> set[int]:
        """The sealed segments that the active segment names."""
        log_index = LogIndex.read(self.active) if self.active else None
        return {segment.number for segment in log_index.segments} if log_index else set()

    @property
    def texts(self) -> list[str]:
        """The text of each segment that status names, oldest first, the active segment last."""
        parts = [self.segments[number][LOG_KEY] for number in sorted(self.named)]
        return [*parts, self.active[LOG_KEY] if self.active else ""]

    @property
    def text(self) -> str:
        """The whole stored text."""
        return "".join(self.texts)


def in_order(entries: Iterable[LogEntry]) -> list[LogEntry]:
    """The entries by time; an entry without a time stays behind its predecessor."""
    latest, timed = datetime.min.replace(tzinfo=UTC), list[tuple[datetime, LogEntry]]()
    for each in entries:
        latest = each.at or latest
        timed.append((latest, each))
    return [each for _, each in sorted(timed, key=itemgetter(0))]


def whole(entries: Iterable[LogEntry]) -> str:
    """The text of all entries, in order."""
    return "".join(f"{render(each)}\n" for each in in_order(entries))
