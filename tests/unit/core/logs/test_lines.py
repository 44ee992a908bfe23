"""core/logs/lines.py: how entries become lines, and their order."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.core.logs.lines import (
    UNTIMED,
    Line,
    join,
    render,
    second_of,
    split,
)
from scriptix_operator.core.model.remote import LogEntry

EIGHT = datetime(2025, 1, 16, 8, 0, tzinfo=UTC)
EIGHT_SECOND = 1737014400


def entry(message: str, seconds: float | None = 0, level: str = "info") -> LogEntry:
    at = None if seconds is None else EIGHT + timedelta(seconds=seconds)
    return LogEntry(at, level, message)


@pytest.mark.parametrize(
    ("given_entry", "line"),
    [
        (entry("Training started"), "2025-01-16T08:00:00Z INFO Training started"),
        (entry("late", 300.999), "2025-01-16T08:05:00Z INFO late"),
        (entry("no time", None), "- INFO no time"),
        (entry("", 0, ""), "2025-01-16T08:00:00Z - -"),
        (entry("x", 0, "very bad\nlevel"), "2025-01-16T08:00:00Z VERY_BAD_LEVEL x"),
        (entry("x", 0, "ß" * 40), "2025-01-16T08:00:00Z " + "S" * 16 + " x"),
        (entry("a\nb\r\nc\rd"), "2025-01-16T08:00:00Z INFO a\\nb\\nc\\nd"),
        (
            entry("red \x1b[31m, tab\t, nul\0, sep\u2028"),
            "2025-01-16T08:00:00Z INFO red  [31m, tab , nul , sep",
        ),
        (entry("half \ud800 of a pair"), "2025-01-16T08:00:00Z INFO half \ufffd of a pair"),
        (entry("größer 語 🎧"), "2025-01-16T08:00:00Z INFO größer 語 🎧"),
        (
            LogEntry(datetime(1, 1, 1, tzinfo=UTC), "info", "zero"),
            "0001-01-01T00:00:00Z INFO zero",
        ),
        (
            LogEntry(EIGHT.astimezone(timezone(timedelta(hours=5))), "info", "far"),
            "2025-01-16T08:00:00Z INFO far",
        ),
    ],
)
def test_an_entry_becomes_one_printable_line(given_entry: LogEntry, line: str) -> None:
    assert render(given_entry) == line


def test_a_message_is_cut_to_4096_characters() -> None:
    for message in ("m" * 4097, "\n" * 9000 + "m" * 9000, "m\n" * 9000):
        text = render(entry(message)).removeprefix("2025-01-16T08:00:00Z INFO ")
        assert len(text) <= 4096
    assert render(entry("m" * 4096)).endswith(" INFO " + "m" * 4096)
    assert render(entry("m" * 4097)).endswith("m…")


def test_bytes_are_counted_and_not_characters() -> None:
    assert Line(0, "語🎧").size == len("語🎧\n".encode()) == 8


def test_edited_lines_are_still_read() -> None:
    assert split("wh\x0bat\n2025-01-16T08:00:00Z INFO a\n- INFO b\n2025-01-16 INFO c\n\n", 7) == (
        Line(7, "wh\x0bat"),
        Line(EIGHT_SECOND, "2025-01-16T08:00:00Z INFO a"),
        Line(EIGHT_SECOND, "- INFO b"),
        Line(EIGHT_SECOND, "2025-01-16 INFO c"),
    )


entries = st.builds(
    LogEntry,
    st.none() | st.datetimes(timezones=st.just(UTC)),
    st.text(max_size=20),
    st.text(max_size=60),
)


@given(st.lists(entries, max_size=30), st.integers(0, 30))
def test_written_lines_are_read_back(given_entries: list[LogEntry], cut: int) -> None:
    at, lines = UNTIMED, list[Line]()
    for each in given_entries:
        at = at if each.at is None else second_of(each.at)
        lines.append(Line(at, render(each)))
    assert all(line.text.isprintable() for line in lines)
    before = lines[cut - 1].at if 0 < cut <= len(lines) else UNTIMED
    assert split(join(lines[cut:]), before) == tuple(lines[cut:])
