"""A terminal shows one table that changes; a file gets a table when phase or stage changes."""

import io

from demo.screen import ERASE_BELOW, MOST_TABLES, Terminal, Transcript, open_screen
from tests.demo.tables import row, table


class FakeTerminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Always true."""
        return True


def test_stream_selects_the_screen() -> None:
    assert isinstance(open_screen(FakeTerminal()), Terminal)
    assert isinstance(open_screen(io.StringIO()), Transcript)


def test_a_terminal_draws_over_the_last_table_and_keeps_the_news() -> None:
    stream = FakeTerminal()
    terminal = Terminal(stream, lambda: 200)
    terminal.show(table(row("a", "Pending"), row("b", "Pending")), ["both wait"])
    assert ERASE_BELOW not in stream.getvalue()
    first = len(stream.getvalue())
    terminal.show(table(row("a", "Running"), row("b", "Pending")), ["a runs"])
    second = stream.getvalue()[first:]
    # Three lines: the heading and two rows; the news stays above.
    assert second.startswith(f"\x1b[3F{ERASE_BELOW}> a runs\nNAME")
    assert second.count("\n") == 4


def test_a_terminal_never_lets_the_table_wrap() -> None:
    stream = FakeTerminal()
    Terminal(stream, lambda: 20).show(table(row("a-rather-long-name", "Running")), [])
    assert max(map(len, stream.getvalue().splitlines())) < 20


def test_a_transcript_prints_a_table_when_phase_or_stage_has_changed() -> None:
    stream = io.StringIO()
    transcript = Transcript(stream)
    for stage in ("MainTraining", "MainTraining", "FineTuning", "FineTuning"):
        transcript.show(table(row("a", "Running", stage)), [])
    assert stream.getvalue().count("NAME") == 2
    assert "\x1b" not in stream.getvalue()


def test_a_transcript_prints_news_without_a_table() -> None:
    stream = io.StringIO()
    transcript = Transcript(stream)
    transcript.show(table(row("a", "Pending")), [])
    before = stream.getvalue()
    transcript.show(table(row("a", "Pending")), ["data arrives"])
    assert stream.getvalue() == f"{before}\n> data arrives\n"


def test_a_transcript_waits_for_the_first_phase() -> None:
    stream = io.StringIO()
    Transcript(stream).show(table(row("a")), [])
    assert stream.getvalue() == ""


def test_a_transcript_stays_short_and_still_shows_the_end() -> None:
    stream = io.StringIO()
    transcript = Transcript(stream)
    for number in range(3 * MOST_TABLES):
        transcript.show(table(row("a", "Running", f"Stage{number}")), [])
    assert stream.getvalue().count("NAME") == MOST_TABLES
    transcript.show(table(row("a", "Succeeded", "FinalEvaluation")), [])
    assert stream.getvalue().count("NAME") == MOST_TABLES + 1
    assert "Succeeded" in stream.getvalue()
