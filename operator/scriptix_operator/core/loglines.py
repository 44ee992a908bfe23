"""The remote log as lines: rendered, put in order, and counted.

A line is `2025-01-16T08:05:00Z INFO message`. Entries without a timestamp are written with `-` in
its place and belong to the time of the entry before them. Times are whole seconds since 1970, as
that is what a stored line can tell.
"""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import NamedTuple

from scriptix_operator.core.remote import LogEntry
from scriptix_operator.core.text import clean

__all__ = ["START", "UNTIMED", "Line", "Position", "RunLog", "join", "render", "split", "total"]

MAX_MESSAGE = 4096
"""Characters of a message: a line of 4-byte characters is then about 16 KiB."""

MAX_LEVEL = 16
"""Characters of a level; the longest in use is CRITICAL."""

NOTHING = "-"
"""Stands for a missing timestamp, level or message, as in syslog."""

UNTIMED = -(2**53)
"""The second of lines before the first timestamp: earlier than every other, exact in JSON."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)

START_TOLERANCE = 1
"""Seconds: the API may round an instant one way in its log and another in started_training_at."""


class Line(NamedTuple):
    """One stored line."""

    at: int
    """Second that it belongs to: its own, or that of the line before it."""
    text: str

    @property
    def size(self) -> int:
        """UTF-8 bytes, with the newline."""
        return len(self.text.encode()) + 1

    @property
    def sent_size(self) -> int:
        """Bytes in a request: the client writes JSON in ASCII, three times as long at worst."""
        return len(json.dumps(self.text))


class Position(NamedTuple):
    """What of a run's log comes before some point."""

    at: int
    """Latest second of it."""
    same: int
    """How many of its lines belong to that second."""
    lines: int
    """How many lines it has."""

    def after(self, lines: Iterable[Line]) -> "Position":
        """The position behind `lines`, which follow here."""
        at, same, count = self
        for line in lines:
            count += 1
            if line.at > at:
                at, same = line.at, 1
            elif line.at == at:
                same += 1
        return Position(at, same, count)


START = Position(UNTIMED, 0, 0)
"""Nothing comes before."""


def render(entry: LogEntry) -> str:
    r"""Write an entry as one printable line without its newline.

    Line breaks in the message become a visible `\n`; other control characters become spaces.
    """
    at = NOTHING
    if entry.at is not None:
        # isoformat and not strftime: it pads years, and it is what fromisoformat reads.
        moment = entry.at.astimezone(UTC).replace(microsecond=0, tzinfo=None)
        at = f"{moment.isoformat()}Z"
    level = "_".join(clean(entry.level[: MAX_LEVEL * 2], MAX_LEVEL).split()).upper()[:MAX_LEVEL]
    return f"{at} {level or NOTHING} {_message(entry.message) or NOTHING}"


def _message(text: str) -> str:
    if len(text) <= MAX_MESSAGE and text.isprintable():
        return text.strip()  # nearly every message; `clean` looks at each character
    head = text[: MAX_MESSAGE + 1].strip().replace("\r\n", "\n").replace("\r", "\n")
    return clean(head.replace("\n", "\\n"), MAX_MESSAGE)


def join(lines: Iterable[Line]) -> str:
    """The text of `lines`, each with its newline."""
    return "".join(f"{line.text}\n" for line in lines)


def split(text: str, at: int) -> tuple[Line, ...]:
    """Read stored text back; `at` is the second of what comes before it."""
    lines = []
    for line in text.split("\n"):
        if not line:
            continue
        second = _second_of(line)
        at = at if second is None else second
        lines.append(Line(at, line))
    return tuple(lines)


def _second_of(line: str) -> int | None:
    stamp = line.split(" ", 1)[0]
    if stamp == NOTHING:
        return None
    try:
        return _second(datetime.fromisoformat(stamp))
    except (ValueError, TypeError):  # somebody edited the ConfigMap
        return None


def _second(moment: datetime) -> int:
    return (moment - EPOCH) // SECOND


@dataclass(frozen=True, slots=True)
class RunLog:
    """The log of one run in order of time, not rendered: it may be 64 MiB."""

    seconds: list[int]
    """Second of each entry, ascending."""
    entries: list[LogEntry]

    @classmethod
    def of(cls, entries: Iterable[LogEntry], run_started_at: datetime | None) -> "RunLog":
        """Put `entries` in order and leave out those of earlier runs.

        The order is by time and stable; an entry without a timestamp stays behind the entry it
        was given behind and shares its fate. Those before the first timestamp come first.
        """
        earliest = UNTIMED if run_started_at is None else _second(run_started_at) - START_TOLERANCE
        leading: list[LogEntry] = []
        timed: list[tuple[datetime, LogEntry]] = []
        current: datetime | None = None
        for entry in entries:
            if entry.at is not None:
                current = entry.at
            if current is None:
                leading.append(entry)
            else:
                timed.append((current, entry))
        if timed and _second(timed[0][0]) < earliest:
            leading = []
        timed = [item for item in timed if _second(item[0]) >= earliest]
        timed.sort(key=itemgetter(0))
        return cls(
            [UNTIMED] * len(leading) + [_second(at) for at, _ in timed],
            leading + [entry for _, entry in timed],
        )

    def through(self, at: int) -> int:
        """How many entries belong to second `at` or an earlier one."""
        return bisect_right(self.seconds, at)

    def below(self, at: int) -> int:
        """How many entries are older than second `at`."""
        return bisect_left(self.seconds, at)

    def position(self, index: int) -> Position:
        """What comes before the entry at `index`."""
        if index == 0:
            return START
        at = self.seconds[index - 1]
        return Position(at, index - self.below(at), index)

    def newest(self, start: int, budget: int) -> tuple[int, list[Line]]:
        """Render entries from `start` on, the newest only if all exceed `budget` bytes.

        Returns:
            The index of the first one rendered, and the lines in order. Only if that index is
            `start` are they complete.
        """
        lines: list[Line] = []
        index = len(self.entries)
        while index > start:
            line = Line(self.seconds[index - 1], render(self.entries[index - 1]))
            budget -= line.size
            if budget < 0:
                break
            lines.append(line)
            index -= 1
        lines.reverse()
        return index, lines


def total(lines: Sequence[Line]) -> int:
    """UTF-8 bytes of `lines`."""
    return sum(line.size for line in lines)
