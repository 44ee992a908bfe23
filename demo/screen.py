"""Shows a table that changes: in place on a terminal, now and then elsewhere."""

import shutil
from collections.abc import Callable, Sequence
from typing import Protocol, TextIO

from demo.table import EMPTY, Table

MOST_TABLES = 15
ERASE_BELOW = "\x1b[J"


class Screen(Protocol):
    """Where the table is shown."""

    def show(self, table: Table, news: Sequence[str]) -> None:
        """Show the current table, and lines about the changes since the last one."""


class Terminal:
    """Keeps the table at the bottom and lets the news scroll away above it.

    Args:
        stream: the terminal.
        width: returns its width; a line that wraps could not be erased.
    """

    def __init__(
        self,
        stream: TextIO,
        width: Callable[[], int] = lambda: shutil.get_terminal_size().columns,
    ) -> None:
        self._stream = stream
        self._width = width
        self._drawn = 0

    def show(self, table: Table, news: Sequence[str]) -> None:
        """Write the news over the old table and draw the new one below."""
        width = self._width()
        drawn = [line[: width - 1] for line in table.lines]
        up = f"\x1b[{self._drawn}F{ERASE_BELOW}" if self._drawn else ""
        lines = [*(f"> {line}" for line in news), *drawn]
        self._stream.write(up + "".join(f"{line}\n" for line in lines))
        self._stream.flush()
        self._drawn = len(drawn)


class Transcript:
    """Prints the table when a phase or a stage has changed; after `MOST_TABLES`, a phase only.

    Args:
        stream: a file or a pipe.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last = EMPTY
        self._printed = 0

    def show(self, table: Table, news: Sequence[str]) -> None:
        """Write the news, and the table if it has changed enough."""
        lines = [f"> {line}" for line in news]
        if self._has_changed(table):
            self._last = table
            self._printed += 1
            lines += table.lines
        if lines:
            self._stream.write("".join(f"{line}\n" for line in ["", *lines]))
            self._stream.flush()

    def _has_changed(self, table: Table) -> bool:
        if not any(table.phases):  # no resource was reconciled yet
            return False
        if self._printed < MOST_TABLES:
            return table.outline != self._last.outline
        return table.phases != self._last.phases


def open_screen(stream: TextIO) -> Screen:
    """Return the screen that suits the stream."""
    return Terminal(stream) if stream.isatty() else Transcript(stream)
