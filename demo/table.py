"""Parses the output of `kubectl get cmt -o wide` by the positions of its headings."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest

FIRST_WIDE_COLUMN = "RATING"


@dataclass(frozen=True, slots=True)
class Row:
    """The fields of a resource that the demo reads.

    Attributes:
        name: its name.
        phase: empty before the first reconcile.
        stage: empty before and after the run at the API.
        message: the status message.
    """

    name: str
    phase: str = ""
    stage: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """All resources at one time.

    Attributes:
        lines: the lines that kubectl prints without `-o wide`.
        rows: the resources by name.
    """

    lines: tuple[str, ...]
    rows: Mapping[str, Row]

    @property
    def phases(self) -> tuple[str, ...]:
        """The phase of each row."""
        return tuple(row.phase for row in self.rows.values())

    @property
    def outline(self) -> tuple[tuple[str, str, str], ...]:
        """The fields whose change is worth a new table."""
        return tuple((row.name, row.phase, row.stage) for row in self.rows.values())


EMPTY = Table((), {})


def parse(text: str) -> Table:
    """Read the output of `kubectl get cmt -o wide`."""
    if not text.strip():
        return EMPTY
    header, *lines = text.splitlines()
    columns = dict(_columns(header))
    rows = (_row(line, columns) for line in lines)
    narrow = slice(columns[FIRST_WIDE_COLUMN].start)
    shown = tuple(line[narrow].rstrip() for line in (header, *lines))
    return Table(shown, {row.name: row for row in rows})


def _columns(header: str) -> Iterator[tuple[str, slice]]:
    headings = list(re.finditer(r"\S+", header))
    for heading, following in zip_longest(headings, headings[1:]):
        yield heading[0], slice(heading.start(), following.start() if following else None)


def _row(line: str, columns: Mapping[str, slice]) -> Row:
    name, phase, stage, message = (
        line[columns[heading]].strip() for heading in ("NAME", "PHASE", "STAGE", "MESSAGE")
    )
    return Row(name, phase, stage, message)
