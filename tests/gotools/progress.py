"""Progress of a build that takes minutes: a bar on a terminal, a line every tenth in a log."""

from dataclasses import dataclass, field
from typing import TextIO

BAR_WIDTH = 30
LOG_STEP_PERCENT = 10


@dataclass
class Progress:
    """Counts steps towards `total` and reports them on `stream`.

    Args:
        label: the action, at the beginning of each line.
        total: the expected number of steps; more do no harm.
        stream: a terminal, which gets a bar, or a log, which gets lines.
    """

    label: str
    total: int
    stream: TextIO
    done: int = 0
    _printed_percent: int = field(default=0, init=False)

    def advance(self) -> None:
        """Count one step."""
        self.done = min(self.done + 1, self.total)
        percent = 100 * self.done // self.total
        if self.stream.isatty():
            filled = BAR_WIDTH * self.done // self.total
            bar = "#" * filled + "." * (BAR_WIDTH - filled)
            self._write(f"\r{self.label} [{bar}] {self.done}/{self.total}")
        elif percent >= self._printed_percent + LOG_STEP_PERCENT:
            self._printed_percent = percent - percent % LOG_STEP_PERCENT
            self._write(f"{self.label}: {self._printed_percent} % of {self.total} packages\n")

    def close(self) -> None:
        """Leave the cursor on a line of its own."""
        if self.stream.isatty() and self.done:
            self._write("\n")

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()
