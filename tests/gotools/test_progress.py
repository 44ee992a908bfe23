"""Progress is readable both on a terminal and in a log."""

import io

import pytest

from tests.gotools.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Always true."""
        return True


def test_a_log_gets_one_line_for_every_tenth() -> None:
    log = io.StringIO()
    progress = Progress("Compiling", 200, log)
    for _ in range(200):
        progress.advance()
    progress.close()
    lines = log.getvalue().splitlines()
    assert lines[0] == "Compiling: 10 % of 200 packages"
    assert lines[-1] == "Compiling: 100 % of 200 packages"
    assert len(lines) == 10


def test_a_terminal_gets_one_line_that_is_redrawn() -> None:
    terminal = Terminal()
    progress = Progress("Compiling", 2, terminal)
    progress.advance()
    progress.advance()
    progress.close()
    assert terminal.getvalue().count("\n") == 1
    assert terminal.getvalue().endswith(f"\rCompiling [{'#' * 30}] 2/2\n")


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_more_steps_than_expected_stay_at_100_percent(stream: io.StringIO) -> None:
    progress = Progress("Compiling", 1, stream)
    progress.advance()
    progress.advance()
    assert progress.done == 1
