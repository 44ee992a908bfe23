"""The stored logs of a resource: segments of bounded size and their index.

    <name>-log-0003  <name>-log-0004  <name>-log
    sealed, immutable, oldest first   active, rewritten

The active segment has the index of all segments: it is written after the segments that the index
names are created, and before segments that the index no longer names are deleted. A segment with
the next number that the index does not name was sealed just before a crash: `LogIndex.adopt` adds
the segment before the next log is fetched. An older such segment was about to be deleted; status
still names it. So the next save repairs one that was killed at any point.

Lines are only appended: sealed segments are never read to find the new lines.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError

from scriptix_operator.core.logs.lines import START, Line, Position, join, split, total

__all__ = [
    "EMPTY",
    "INDEX_KEY",
    "LOG_KEY",
    "LogIndex",
    "SealedSegment",
    "SegmentInfo",
    "active_name",
    "segment_name",
    "segment_number",
    "without",
]

LOG_KEY = "log"
"""Key of the lines in an object's data."""
INDEX_KEY = "index"
"""Key of the index in an object's data. Not an annotation: Argo CD is configured to ignore data,
and a growing log must not trigger a sync."""


def active_name(name: str) -> str:
    """Name of the active segment's object."""
    return f"{name}-log"


def segment_name(name: str, number: int) -> str:
    """Name of a sealed object."""
    return f"{name}-log-{number:04d}"


def segment_number(name: str, object_name: str) -> int | None:
    """The number in the name of a sealed object of `name`; None for other names."""
    digits = object_name.removeprefix(f"{name}-log-")
    if digits == object_name or not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits)


class SegmentInfo(NamedTuple):
    """A sealed object as the index knows it."""

    number: int
    size: int
    """UTF-8 bytes of its lines."""
    entries: int


@dataclass(frozen=True, slots=True)
class SealedSegment:
    """A sealed object with its lines."""

    number: int
    run_id: str
    since: int | None
    """First second of the run, as LogIndex.since."""
    before: Position
    log: bytes
    """The lines in UTF-8: as objects, lines would take six times as much memory."""

    @classmethod
    def of(cls, log_index: "LogIndex", before: Position, lines: Iterable[Line]) -> "SealedSegment":
        """A segment of the active segment's run, without its number yet."""
        return cls(0, log_index.run_id, log_index.since, before, join(lines).encode())

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines of the segment."""
        return split(self.log.decode(), self.before.at)

    @property
    def end(self) -> Position:
        """The position behind the segment, which is the same after it is read back."""
        return self.before.after(self.lines)

    def data(self) -> dict[str, str]:
        """The ConfigMap's data."""
        index = _SegmentEntry(run=self.run_id, since=self.since, before=self.before)
        return {LOG_KEY: self.log.decode(), INDEX_KEY: index.model_dump_json()}

    @classmethod
    def read(cls, number: int, data: dict[str, str]) -> "SealedSegment":
        """Read a segment; one with an unreadable index belongs to no run."""
        try:
            index = _SegmentEntry.model_validate_json(data.get(INDEX_KEY, ""))
        except ValidationError:
            index = _SegmentEntry(run="", before=START)
        log = data.get(LOG_KEY, "").encode()
        return cls(number, index.run, index.since, index.before, log)

    def as_segment(self) -> SegmentInfo:
        """The segment as the index names it."""
        return SegmentInfo(self.number, len(self.log), self.log.count(b"\n"))


@dataclass(frozen=True, slots=True)
class LogIndex:
    """The stored logs of a resource."""

    run_id: str
    """Run of the active segment."""
    segments: tuple[SegmentInfo, ...]
    """Sealed segments, oldest first, including those of earlier runs."""
    first: int
    """Segments from this number on belong to the active segment's run."""
    next: int
    """Number of the next segment; never used twice."""
    before: Position
    """The position of the active segment in the run's log, kept or not."""
    active: tuple[Line, ...]
    since: int | None = None
    """First second of the active segment's run, by the clock of the log: older entries belong to
    other runs; None: an older version of the operator wrote the index."""

    @property
    def size(self) -> int:
        """UTF-8 bytes of all lines."""
        return sum(segment.size for segment in self.segments) + total(self.active)

    @property
    def entries(self) -> int:
        """Number of all lines."""
        return sum(segment.entries for segment in self.segments) + len(self.active)

    @property
    def end(self) -> Position:
        """The high-water mark: up to here the run's log is stored, or was dropped."""
        return self.before.after(self.active)

    @property
    def segments_of_run(self) -> tuple[SegmentInfo, ...]:
        """The sealed segments of the active segment's run."""
        return tuple(segment for segment in self.segments if segment.number >= self.first)

    @property
    def truncated(self) -> bool:
        """Whether older lines of the active segment's run were dropped."""
        return self.before.lines > sum(segment.entries for segment in self.segments_of_run)

    def with_segment(self, sealed: SealedSegment) -> "LogIndex":
        """The index once `sealed` is stored."""
        return replace(self, segments=(*self.segments, sealed.as_segment()), next=sealed.number + 1)

    def data(self) -> dict[str, str]:
        """The data of the active segment's ConfigMap."""
        index = _ActiveEntry(
            run=self.run_id,
            segments=self.segments,
            first=self.first,
            next=self.next,
            before=self.before,
            since=self.since,
        )
        return {LOG_KEY: join(self.active), INDEX_KEY: index.model_dump_json()}

    @classmethod
    def read(cls, data: dict[str, str]) -> "LogIndex | None":
        """Read an active segment; None if its index is unreadable."""
        try:
            index = _ActiveEntry.model_validate_json(data.get(INDEX_KEY, ""))
        except ValidationError:
            return None
        active = split(data.get(LOG_KEY, ""), index.before.at)
        return cls(
            index.run, index.segments, index.first, index.next, index.before, active, index.since
        )

    def adopt(self, sealed: SealedSegment) -> "LogIndex":
        """Add a segment that is stored but not in the index.

        If the segment begins where the active one begins, it has the active lines, except for a
        rest. If the segment does not follow, the plan was to drop all lines before it.
        """
        same_run = sealed.run_id == self.run_id
        if same_run:
            follows = sealed.before == self.before
        else:  # the old active segment was sealed before this one
            follows = not self.active and sealed.before == START
        return LogIndex(
            sealed.run_id,
            (*(self.segments if follows else ()), sealed.as_segment()),
            self.first if same_run else sealed.number,
            sealed.number + 1,
            sealed.end,
            without(self.active, sealed.lines) if follows else (),
            sealed.since,
        )


EMPTY = LogIndex("", (), 1, 1, START, ())
"""Nothing is stored."""


class _SegmentEntry(BaseModel):
    model_config = ConfigDict(frozen=True)
    run: str
    before: Position
    since: int | None = None


class _ActiveEntry(BaseModel):
    model_config = ConfigDict(frozen=True)
    run: str
    segments: tuple[SegmentInfo, ...]
    first: int
    next: int
    before: Position
    since: int | None = None


def without(lines: Iterable[Line], known: Iterable[Line]) -> tuple[Line, ...]:
    """`lines` without `known`, as multisets of texts; the first of equal lines are removed."""
    counts = Counter(line.text for line in known)
    rest = []
    for line in lines:
        if counts[line.text] > 0:
            counts[line.text] -= 1
        else:
            rest.append(line)
    return tuple(rest)
