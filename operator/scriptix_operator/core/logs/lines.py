"""The remote log as lines: rendered, read back, and counted.

A line is `2025-01-16T08:05:00Z INFO message`. Entries without a timestamp are written with `-` in
its place and belong to the time of the previous entry. Times are whole seconds since 1970, as in
stored lines.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from scriptix_operator.core.model.remote import LogEntry
from scriptix_operator.core.model.text import clean

__all__ = [
    "START",
    "UNTIMED",
    "Line",
    "Position",
    "join",
    "render",
    "second_of",
    "split",
    "total",
]

MAX_MESSAGE = 4096
"""Characters of a message: a line of 4-byte characters is then about 16 KiB."""

MAX_LEVEL = 16
"""Characters of a level; the longest in use is CRITICAL."""

NOTHING = "-"
"""The text in place of a missing timestamp, level or message, as in syslog."""

UNTIMED = -(2**53)
"""The second of lines before the first timestamp: earlier than every other, exact in JSON."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Line(NamedTuple):
    """One stored line."""

    at: int
    """The second of the line: its own, or that of the previous line."""
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
    """A position in a run's log."""

    at: int
    """Latest second before the position."""
    same: int
    """Number of lines before the position that belong to that second."""
    lines: int
    """Number of lines before the position."""

    def after(self, lines: Iterable[Line]) -> "Position":
        """The position behind `lines`, which follow this position."""
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
        # isoformat and not strftime: isoformat pads years, and fromisoformat reads its output.
        moment = entry.at.astimezone(UTC).replace(microsecond=0, tzinfo=None)
        at = f"{moment.isoformat()}Z"
    level = "_".join(clean(entry.level[: MAX_LEVEL * 2], MAX_LEVEL).split()).upper()[:MAX_LEVEL]
    return f"{at} {level or NOTHING} {_message(entry.message) or NOTHING}"


def _message(text: str) -> str:
    if len(text) <= MAX_MESSAGE and text.isprintable():
        return text.strip()  # the common case, for speed: `clean` checks each character
    head = text[: MAX_MESSAGE + 1].strip().replace("\r\n", "\n").replace("\r", "\n")
    return clean(head.replace("\n", "\\n"), MAX_MESSAGE)


def join(lines: Iterable[Line]) -> str:
    """The text of `lines`, each with its newline."""
    return "".join(f"{line.text}\n" for line in lines)


def split(text: str, at: int) -> tuple[Line, ...]:
    """The lines of stored text; `at` is the second of the line before the text."""
    lines = []
    for line in text.split("\n"):
        if not line:
            continue
        second = _stamp_of(line)
        at = at if second is None else second
        lines.append(Line(at, line))
    return tuple(lines)


def _stamp_of(line: str) -> int | None:
    stamp = line.split(" ", 1)[0]
    if stamp == NOTHING:
        return None
    try:
        return second_of(datetime.fromisoformat(stamp))
    except (ValueError, TypeError):  # the ConfigMap was edited by hand
        return None


def second_of(moment: datetime) -> int:
    """The whole second of an instant, since 1970."""
    return (moment - EPOCH) // SECOND


def total(lines: Sequence[Line]) -> int:
    """UTF-8 bytes of `lines`."""
    return sum(line.size for line in lines)
