"""A stand-in for the cluster: carries log plans out in memory, as kube/logstore.py does for real.

It can be killed between any two of its writes. tests/operator/test_logstore.py tries the real one
against a real API server.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from scriptix_operator.core.logbook import EMPTY, LOG_KEY, Book, Sealed
from scriptix_operator.core.loglines import RunLog, join, render
from scriptix_operator.core.logplan import needs_sealed, plan
from scriptix_operator.core.remote import LogEntry

EIGHT = datetime(2025, 1, 16, 8, 0, tzinfo=UTC)


def entry(message: str, seconds: float | None = 0) -> LogEntry:
    """An entry so many seconds after eight, or without a time."""
    at = None if seconds is None else EIGHT + timedelta(seconds=seconds)
    return LogEntry(at, "info", message)


def wide(count: int, *, begin: int = 0, per_second: int = 1, size: int = 1000) -> list[LogEntry]:
    """Entries of `size` bytes each when rendered, numbered, no two alike."""
    filler = "x" * (size - len(render(entry("000000 x"))))
    return [entry(f"{i:06} {filler}", i // per_second) for i in range(begin, begin + count)]


class KilledError(Exception):
    """The process ends here."""


@dataclass
class Shelf:
    """Stands for the cluster."""

    chunks: dict[int, dict[str, str]] = field(default_factory=dict)
    tail: dict[str, str] | None = None
    reads: int = 0
    writes_left: int = 10**9

    def save(
        self,
        entries: Sequence[LogEntry],
        *,
        run_id: str = "r1",
        max_bytes: int = 2**24,
        started_at: datetime | None = None,
    ) -> Book:
        """Do what LogStore.save does."""
        log = RunLog.of(entries, started_at)
        book = (Book.read(self.tail) if self.tail else None) or EMPTY
        while True:
            sealed: tuple[Sealed, ...] = ()
            if needs_sealed(book, log, run_id):
                sealed = tuple(self._read(chunk.number) for chunk in book.chunks_of_run)
            planned = plan(book, log, run_id=run_id, max_bytes=max_bytes, sealed=sealed)
            for chunk in planned.drop:
                if chunk.number in self.chunks:
                    self._before_write()
                    del self.chunks[chunk.number]
            stored = planned.book
            for seal in planned.seal:
                if seal.number in self.chunks:
                    break
                self._before_write()
                self.chunks[seal.number] = seal.data()
                stored = stored.with_chunk(seal)
            else:
                break
            while book.next in self.chunks:
                book = book.adopt(self._read(book.next))
        data = stored.data()
        if data != self.tail:
            self._before_write()
            self.tail = data
        return stored

    def _read(self, number: int) -> Sealed:
        self.reads += 1
        return Sealed.read(number, self.chunks[number])

    def _before_write(self) -> None:
        if not self.writes_left:
            raise KilledError
        self.writes_left -= 1

    @property
    def texts(self) -> list[str]:
        """The text of each object, oldest first, the tail's last."""
        parts = [self.chunks[number][LOG_KEY] for number in sorted(self.chunks)]
        return [*parts, self.tail[LOG_KEY] if self.tail else ""]

    @property
    def text(self) -> str:
        """All that is stored."""
        return "".join(self.texts)


def whole(entries: Sequence[LogEntry]) -> str:
    """The text of all entries, in order."""
    return join(RunLog.of(entries, None).newest(0, 10**9)[1])
