"""Collects the entries of a log reply one by one, and keeps the new ones of the run.

A log may be 64 MiB, so only the newest lines up to spec.log.maxBytes, the learning curve, and
counts are kept. The stored lines end at a high-water mark. New are

    entries newer than the lines before the active segment, and not among the lines of that segment.

Of the second in which the lines before the active segment end, as many entries are known as were
stored or dropped.

Known limits. An entry that arrives late for a sealed segment, older than the second in which that
ends, cannot be distinguished from a known one and is not stored; only the count shows that
(`Collected`). Of entries that arrive late for that very second, another of the same second may be
stored instead.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scriptix_operator.api.status import LearningPoint
from scriptix_operator.core.logs.buffer import LEADING, LineBuffer, second_at
from scriptix_operator.core.logs.learning_curve import LearningCurve
from scriptix_operator.core.logs.lines import START, UNTIMED, Line, Position, render
from scriptix_operator.core.logs.segments import LogIndex
from scriptix_operator.core.logs.window import Window
from scriptix_operator.core.model.remote import LogEntry

__all__ = ["Collected", "LogCollector"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Collected:
    """The part of a log reply that belongs to a run."""

    since: int
    """First second of the run, as Window.since."""
    entries: int
    """Entries of the run in the reply, new or known."""
    lines: Iterable[Line]
    """The new lines, oldest first; the newest up to the bound. May be read once."""
    cut: Position | None = None
    """The position of the lines, where more lines were new than may be kept."""
    curve: tuple[LearningPoint, ...] = ()
    """The learning curve."""
    skipped: int = 0
    """Entries that are older than the run."""


class LogCollector:
    """Collects one reply; `add` may be called from another thread.

    Args:
        log_index: The stored log.
        window: The entries that belong to the run.
        run_id: The run.
        max_bytes: Most UTF-8 bytes of lines to keep.
    """

    def __init__(self, log_index: LogIndex, window: Window, *, run_id: str, max_bytes: int) -> None:
        is_same_run = log_index.run_id == run_id
        self._window = window
        self._floor = log_index.before if is_same_run else START
        self._active = log_index.active if is_same_run else ()
        self._stored = Counter(line.text for line in self._active)
        self._timed = Counter(self._active)
        self._new = LineBuffer(max_bytes, self._dropped)
        self._curve = LearningCurve()
        self._at, self._newest = LEADING, UNTIMED
        self._is_leading_own = True
        self._entries = self._own = self._same_as_floor = 0
        self._dropped_of_all = self._dropped_of_own = 0
        self._cut = Position(UNTIMED, 0, 0)

    def add(self, entry: LogEntry) -> None:
        """Take the next entry, in the order of the reply; one without a time shares the last."""
        if entry.at is not None:
            at = (entry.at - EPOCH) // MICROSECOND
            if self._at == LEADING:
                self._first_time(second_at(at))
            self._at = at
        at, second = self._at, second_at(self._at)
        self._newest = max(self._newest, second)
        self._entries += 1
        is_own = self._is_own(second)
        self._own += is_own
        if not (is_own or self._window.is_open):
            return
        self._curve.add(at, entry)
        if second < self._floor.at:
            return
        if self._new.is_too_old(at) and not self._stored and second > self._floor.at:
            self._dropped(at)  # not rendered, which takes most of the time
            return
        text = render(entry)
        if self._is_known(second, text):
            return
        self._new.add(at, text)

    def result(self) -> Collected:
        """The collected entries, after the last one."""
        window = self._window
        is_all = window.is_open and not self._own and self._newest != window.stored_until
        if window.is_open and not is_all:
            self._new.keep(self._is_own)
        self._new.trim()  # and count the lines over the bound
        dropped = self._dropped_of_all if is_all else self._dropped_of_own
        entries = self._entries if is_all else self._own
        return Collected(
            since=UNTIMED if is_all else window.since,
            entries=entries,
            lines=self._new,
            cut=self._cut_position(dropped) if dropped else None,
            curve=self._curve.points((lambda _: True) if is_all else self._is_own),
            skipped=self._entries - entries,
        )

    def _is_own(self, second: int) -> bool:
        if second == UNTIMED:
            return self._is_leading_own
        return second >= self._window.since

    def _first_time(self, second: int) -> None:
        """Assign entries before the first timestamp to the run of that timestamp."""
        if second >= self._window.since:
            return
        self._is_leading_own = False
        self._own = self._dropped_of_own = 0
        if not self._window.is_open:
            self._new.clear()

    def _is_known(self, second: int, text: str) -> bool:
        is_of_floor = second == self._floor.at and self._same_as_floor < self._floor.same
        if is_of_floor and self._timed[Line(second, text)] <= 0:
            # Not by text alone: that would use up an equal line without a time, of a later second.
            self._same_as_floor += 1
            return True
        count = self._stored.pop(text, 0)  # a late line without a time is read back with another
        if count:
            if count > 1:
                self._stored[text] = count - 1
            self._timed[Line(second, text)] -= 1
            return True
        self._same_as_floor += is_of_floor
        return is_of_floor

    def _dropped(self, at: int) -> None:
        second = second_at(at)
        self._dropped_of_all += 1
        self._dropped_of_own += self._is_own(second)
        cut = self._cut
        if second > cut.at:
            self._cut = Position(second, 1, 0)
        elif second == cut.at:
            self._cut = Position(second, cut.same + 1, 0)

    def _cut_position(self, dropped: int) -> Position:
        """The position of the new lines, of which the oldest were dropped."""
        at, same, _ = self._cut
        same += sum(line.at == at for line in self._active)
        if self._floor.at == at:
            same += self._floor.same
        return Position(at, same, self._floor.lines + len(self._active) + dropped)
