"""core/logs/segments.py: stored segments, and how a segment unknown to the index is taken over."""

import pytest

from scriptix_operator.core.logs.lines import START, UNTIMED, Line, Position, join
from scriptix_operator.core.logs.segments import (
    EMPTY,
    INDEX_KEY,
    LOG_KEY,
    LogIndex,
    SealedSegment,
    SegmentInfo,
    active_name,
    segment_name,
    segment_number,
    without,
)

A = Line(0, "1970-01-01T00:00:00Z INFO a")
B = Line(0, "1970-01-01T00:00:00Z INFO b")
C = Line(1, "1970-01-01T00:00:01Z INFO c")
D = Line(1, "- INFO d")


def a_sealed(
    number: int, run_id: str, before: Position, *lines: Line, since: int | None = -9
) -> SealedSegment:
    return SealedSegment(number, run_id, since, before, join(lines).encode())


def test_names_can_be_read_back() -> None:
    assert active_name("cardio") == "cardio-log"
    assert [segment_name("cardio", n) for n in (1, 12345)] == [
        "cardio-log-0001",
        "cardio-log-12345",
    ]
    assert [segment_number("cardio", segment_name("cardio", n)) for n in (1, 12345)] == [1, 12345]


@pytest.mark.parametrize(
    "name", ["cardio-log", "cardio-log-", "other-log-0001", "cardio-log-x1", "cardio-log-\u0661"]
)
def test_other_names_have_no_number(name: str) -> None:
    assert segment_number("cardio", name) is None


def test_active_segment_is_read_back() -> None:
    log_index = LogIndex(
        "r2", (SegmentInfo(3, 99, 4), SegmentInfo(4, 50, 2)), 4, 5, Position(1, 1, 2), (C, D), 1
    )
    data = log_index.data()
    assert data[LOG_KEY] == f"{C.text}\n{D.text}\n"
    assert LogIndex.read(data) == log_index
    assert (log_index.size, log_index.entries) == (99 + 50 + C.size + D.size, 8)
    assert [segment.number for segment in log_index.segments_of_run] == [4]
    assert not log_index.truncated


def test_unreadable_active_segment_is_ignored() -> None:
    for index in ("", "{", "[]", '{"run": "r1"}'):
        assert LogIndex.read({LOG_KEY: "x\n", INDEX_KEY: index}) is None
    assert LogIndex.read({}) is None


def test_sealed_segment_is_read_back() -> None:
    sealed = a_sealed(7, "r1", Position(1, 2, 9), D, C)
    assert SealedSegment.read(7, sealed.data()) == sealed
    assert (sealed.lines, sealed.end) == ((D, C), Position(1, 4, 11))
    assert sealed.as_segment() == SegmentInfo(7, D.size + C.size, 2)


def test_unreadable_sealed_segment_belongs_to_no_run() -> None:
    sealed = SealedSegment.read(7, {LOG_KEY: f"{A.text}\n", INDEX_KEY: "?"})
    assert sealed == a_sealed(7, "", START, A, since=None)


def test_log_is_truncated_when_lines_of_the_run_were_dropped() -> None:
    segments = (SegmentInfo(3, 99, 4), SegmentInfo(4, 50, 2))
    assert not LogIndex("r", segments, 4, 5, Position(0, 1, 2), (C,)).truncated
    assert LogIndex("r", segments, 4, 5, Position(0, 1, 3), (C,)).truncated
    assert not LogIndex("r", segments, 3, 5, Position(0, 1, 6), (C,)).truncated


def test_sealed_lines_leave_the_active_segment() -> None:
    log_index = LogIndex("r1", (), 1, 1, START, (A, A, C))
    adopted = log_index.adopt(a_sealed(1, "r1", START, A, B))
    assert adopted.active == (A, C)
    assert adopted.segments == (SegmentInfo(1, A.size + B.size, 2),)
    assert (adopted.before, adopted.next, adopted.first) == (Position(0, 2, 2), 2, 1)


def test_segment_behind_a_gap_replaces_the_active_segment() -> None:
    log_index = LogIndex("r1", (), 1, 1, START, (A, B))
    adopted = log_index.adopt(a_sealed(1, "r1", Position(0, 50, 50), C))
    assert adopted.active == ()
    assert adopted.before == Position(1, 1, 51)
    assert adopted.truncated


def test_segment_of_another_run_begins_that_run() -> None:
    log_index = LogIndex("r1", (SegmentInfo(1, 1, 1),), 1, 2, Position(0, 1, 1), (B,))
    turned = log_index.adopt(a_sealed(2, "r1", log_index.before, B)).adopt(
        a_sealed(3, "r2", START, C)
    )
    assert (turned.run_id, turned.since) == ("r2", -9)
    assert [segment.number for segment in turned.segments_of_run] == [3]
    assert turned.active == ()


def test_equal_lines_are_counted() -> None:
    assert without((A, B, A, A, C), (A, D, A)) == (B, A, C)


def test_nothing_is_stored_at_first() -> None:
    assert (EMPTY.size, EMPTY.entries, EMPTY.truncated, EMPTY.before.at) == (0, 0, False, UNTIMED)


def test_index_of_an_older_version_has_no_begin_of_the_run() -> None:
    index = '{"run":"r1","segments":[],"first":1,"next":1,"before":[-9,0,0]}'
    read = LogIndex.read({LOG_KEY: "", INDEX_KEY: index})
    assert read is not None
    assert (read.run_id, read.since) == ("r1", None)
    segment = SealedSegment.read(1, {INDEX_KEY: '{"run":"r1","before":[-9,0,0]}'})
    assert (segment.run_id, segment.since) == ("r1", None)
