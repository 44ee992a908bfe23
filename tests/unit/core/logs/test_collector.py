"""core/logs/collector.py and core/logs/buffer.py: new entries of a reply, in bounded memory.

tests/unit/core/logs/test_plan.py has the result of several fetches.
"""

import random
import tracemalloc
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.core.logs.buffer import LineBuffer
from scriptix_operator.core.logs.collector import Collected, LogCollector
from scriptix_operator.core.logs.lines import UNTIMED, Line, Position, render, split
from scriptix_operator.core.logs.segments import EMPTY, LogIndex
from scriptix_operator.core.logs.window import Window
from scriptix_operator.core.model.remote import LogEntry
from tests.unit.core.fake_log_store import EIGHT_SECOND, entry, in_order, whole, wide

MIB = 1024 * 1024
EIGHT = Window(EIGHT_SECOND)


def collected(
    entries: Iterable[LogEntry], window: Window = EIGHT, max_bytes: int = MIB
) -> Collected:
    """The new lines of a first reply."""
    collector = LogCollector(EMPTY, window, run_id="r1", max_bytes=max_bytes)
    for each in entries:
        collector.add(each)
    return collector.result()


def texts(found: Collected) -> list[str]:
    """The lines, without time and level."""
    return [line.text.split(" ", 2)[2] for line in found.lines]


# The window.


@pytest.mark.parametrize(
    ("window", "kept"),
    [
        pytest.param(Window(), "abcdefgh", id="all"),
        pytest.param(EIGHT, "efgh", id="since eight"),
        pytest.param(Window(EIGHT_SECOND + 99), "", id="none"),
        pytest.param(Window(EIGHT_SECOND + 99, is_open=True), "abcdefgh", id="none, so all"),
        pytest.param(Window(EIGHT_SECOND, is_open=True), "efgh", id="some, so no others"),
        pytest.param(
            Window(EIGHT_SECOND + 99, is_open=True, stored_until=EIGHT_SECOND + 98),
            "abcdefgh",
            id="none, and not those that are stored",
        ),
        pytest.param(
            Window(EIGHT_SECOND + 21, is_open=True, stored_until=EIGHT_SECOND + 20),
            "",
            id="those that are stored only",
        ),
    ],
)
def test_entries_of_other_runs_are_left_out(window: Window, kept: str) -> None:
    before = [entry("a", None), entry("b", -60), entry("c", None), entry("d", -1)]
    own = [entry("e", 0), entry("f", None), entry("g", 9), entry("h", 20)]
    found = collected([*before, *own], window)
    assert texts(found) == list(kept)
    assert found.entries == len(kept)
    assert found.since == (UNTIMED if kept.startswith("a") else window.since)


@pytest.mark.parametrize("begin", [-5, 5])
def test_leading_untimed_entries_follow_the_first_timed_one(begin: int) -> None:
    entries = [entry("a", None), entry("b", None), entry("c", begin), entry("d", 9)]
    found = collected(entries)
    assert texts(found) == (["d"] if begin < 0 else ["a", "b", "c", "d"])
    assert found.entries == len(texts(found))


def test_dropped_leading_entries_of_another_run_do_not_truncate() -> None:
    leading = [replace(each, at=None) for each in wide(300)]
    found = collected([*leading, entry("a", -5), entry("b", 9)], max_bytes=100_000)
    assert (texts(found), found.entries, found.cut) == (["b"], 1, None)


def test_log_without_any_time_is_of_the_run() -> None:
    assert texts(collected([entry("a", None), entry("b", None)])) == ["a", "b"]


@pytest.mark.parametrize(("since", "skipped"), [(0, 2), (-50, 1), (-60, 0), (1, 0)])
def test_entries_older_than_the_run_are_counted(since: int, skipped: int) -> None:
    entries = [entry("a", -60), entry("b", -50), entry("c", 0)]
    assert collected(entries, Window(EIGHT_SECOND + since, is_open=True)).skipped == skipped


def test_learning_curve_is_of_this_run_only() -> None:
    entries = [entry("epoch 9/9 WER: 9%", -60), entry("epoch 1/9 WER: 8%", 5)]
    assert [p.epoch for p in collected(entries).curve] == [1]
    assert [p.epoch for p in collected(entries, Window(EIGHT_SECOND, is_open=True)).curve] == [1]
    none = Window(EIGHT_SECOND + 99, is_open=True)
    assert [p.epoch for p in collected(entries, none).curve] == [1, 9]


def test_stored_untimed_line_is_not_taken_for_an_equal_one() -> None:
    def lines(*entries: LogEntry) -> tuple[Line, ...]:
        return split("".join(f"{render(each)}\n" for each in entries), EIGHT_SECOND)

    sealed = entry("a"), entry("same", None)
    tail = entry("b"), entry("c", 1), entry("same", None)
    before = Position(EIGHT_SECOND, 2, 2)
    log_index = LogIndex("r1", (), 1, 1, before, lines(*tail), EIGHT_SECOND)
    collector = LogCollector(log_index, EIGHT, run_id="r1", max_bytes=MIB)
    for each in (*sealed, *tail, entry("same", None)):
        collector.add(each)
    assert [line.at for line in collector.result().lines] == [EIGHT_SECOND + 1]


# The bound.


ORDERS = {
    "oldest first": list[LogEntry],
    "newest first": lambda entries: entries[::-1],
    "unordered": lambda entries: random.Random(1).sample(entries, len(entries)),  # noqa: S311
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("window", [EIGHT, Window(), Window(EIGHT_SECOND, is_open=True)])
def test_newest_lines_are_kept_in_any_order(order: type[list[LogEntry]], window: Window) -> None:
    entries = wide(3000)
    found = collected(order(entries), window, max_bytes=200_000)
    lines = list(found.lines)
    assert [line.text for line in lines] == [render(each) for each in entries[-200:]]
    assert [line.at for line in lines] == [EIGHT_SECOND + i for i in range(2800, 3000)]
    assert (found.entries, found.cut) == (3000, Position(EIGHT_SECOND + 2799, 1, 2800))


def test_no_line_is_kept_that_is_older_than_a_dropped_one() -> None:
    dropped: list[int] = []
    buffer = LineBuffer(100, dropped.append)
    buffer.add(2, "x" * 80)
    buffer.add(3, "y" * 40)
    buffer.trim()
    buffer.add(1, "z" * 20)  # the buffer has space for the line
    assert [line.text[0] for line in buffer] == ["y"]
    assert dropped == [2, 1]


@given(
    parts=st.lists(st.tuples(st.none() | st.integers(-3, 3), st.sampled_from("abc"))),
    max_bytes=st.integers(1, 400),
    is_open=st.booleans(),
)
def test_lines_kept_are_the_newest_that_fit(
    parts: list[tuple[int | None, str]], max_bytes: int, *, is_open: bool
) -> None:
    entries = [entry(text, second) for second, text in parts]
    found = collected(entries, Window(EIGHT_SECOND - 9, is_open=is_open), max_bytes)
    lines = "".join(f"{line.text}\n" for line in found.lines)
    assert whole(entries).endswith(lines)
    assert len(lines) <= max_bytes
    dropped = len(in_order(entries)) - lines.count("\n")
    assert (found.cut.lines if found.cut else 0) == dropped
    assert not dropped or len(lines) + 40 > max_bytes


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
def test_memory_is_a_few_times_the_bound_for_any_log(order: type[list[LogEntry]]) -> None:
    entries = order([entry(f"{i:06}", i) for i in range(30_000)])  # 1 MB of short lines
    window = Window(EIGHT_SECOND + 10**9, is_open=True)  # the widest: nothing is left out early
    collector = LogCollector(EMPTY, window, run_id="r1", max_bytes=MIB // 4)
    tracemalloc.start()
    try:
        for each in entries:
            collector.add(each)
        found = collector.result()
        count = sum(1 for _ in found.lines)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == MIB // 4 // len("2025-01-16T08:00:00Z INFO 000000\n")
    assert peak < 6 * MIB // 4
