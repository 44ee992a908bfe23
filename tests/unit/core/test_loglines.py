"""core/loglines.py: how entries become lines, and in which order."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.core.loglines import (
    START,
    UNTIMED,
    Line,
    Position,
    RunLog,
    join,
    render,
    split,
)
from scriptix_operator.core.remote import LogEntry

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


def test_entries_are_put_in_order_of_time_and_equal_ones_stay_as_given() -> None:
    log = RunLog.of([entry("c", 2), entry("a1", 0.5), entry("a2", 0.5), entry("a0", 0.1)], None)
    assert [e.message for e in log.entries] == ["a0", "a1", "a2", "c"]
    assert log.seconds == [EIGHT_SECOND] * 3 + [EIGHT_SECOND + 2]


def test_entries_without_a_time_stay_behind_the_one_they_were_given_behind() -> None:
    log = RunLog.of([entry("first", None), entry("b", 9), entry("of b", None), entry("a", 1)], None)
    assert [e.message for e in log.entries] == ["first", "a", "b", "of b"]
    assert log.seconds == [UNTIMED, EIGHT_SECOND + 1, EIGHT_SECOND + 9, EIGHT_SECOND + 9]


def test_entries_before_the_run_are_left_out_but_for_a_second_of_rounding() -> None:
    earlier = [entry("e0", None), entry("e1", -60), entry("e2", None), entry("e3", -1.01)]
    own = [entry("o1", -1), entry("o2", 0), entry("o3", None)]
    log = RunLog.of([*earlier, *own], EIGHT)
    assert [e.message for e in log.entries] == ["o1", "o2", "o3"]


def test_leading_entries_without_a_time_are_kept_if_the_run_follows_them() -> None:
    for tail in ([], [entry("own", 5)]):
        log = RunLog.of([entry("a", None), entry("b", None), *tail], EIGHT)
        assert [e.message for e in log.entries][:2] == ["a", "b"]


def test_the_zero_time_of_some_apis_leaves_nothing_out() -> None:
    start = datetime(1, 1, 1, tzinfo=UTC)
    assert RunLog.of([LogEntry(start, "info", "x")], start).entries


def test_positions_tell_what_comes_before_an_entry() -> None:
    log = RunLog.of([entry("a", None), entry("b"), entry("c"), entry("d", 1)], None)
    assert [log.position(i) for i in range(5)] == [
        START,
        Position(UNTIMED, 1, 1),
        Position(EIGHT_SECOND, 1, 2),
        Position(EIGHT_SECOND, 2, 3),
        Position(EIGHT_SECOND + 1, 1, 4),
    ]
    assert (log.below(EIGHT_SECOND), log.through(EIGHT_SECOND)) == (1, 3)


def test_only_the_newest_entries_are_rendered_when_all_are_too_many() -> None:
    log = RunLog.of([entry(f"{i:03}", i) for i in range(100)], None)
    size = len("2025-01-16T08:00:00Z INFO 000\n")
    assert log.newest(90, 10 * size) == (90, log.newest(0, 10 * size)[1])
    index, lines = log.newest(0, 10 * size + size - 1)
    assert index == 90
    assert [line.text[-3:] for line in lines] == [f"{i:03}" for i in range(90, 100)]


def test_bytes_are_counted_and_not_characters() -> None:
    line = Line(0, "語🎧")
    assert line.size == len("語🎧\n".encode()) == 8
    log = RunLog.of([entry("語" * 100, i) for i in range(10)], None)
    assert log.newest(0, 10 * 300)[0] == 1


def test_lines_that_somebody_edited_are_read_all_the_same() -> None:
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
def test_what_is_written_is_read_back(given_entries: list[LogEntry], cut: int) -> None:
    log = RunLog.of(given_entries, None)
    _, lines = log.newest(0, 10**9)
    assert len(lines) == len(given_entries)
    assert all(line.text.isprintable() for line in lines)
    cut = min(cut, len(lines))
    before = log.position(cut)
    assert before == START.after(lines[:cut])
    assert split(join(lines[cut:]), before.at) == tuple(lines[cut:])
