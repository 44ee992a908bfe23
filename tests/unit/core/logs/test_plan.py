"""core/logs/plan.py: each entry is stored once, in order, for any sequence of fetches."""

import json
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from itertools import chain

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scriptix_operator.core.logs.segments import LogIndex, SealedSegment
from scriptix_operator.core.model.remote import LogEntry
from tests.unit.core.fake_log_store import (
    EIGHT_SECOND,
    FakeLogStore,
    KilledError,
    entry,
    in_order,
    whole,
    wide,
)

MINIMUM = 65536
SEAL = 512 * 1024

# Few messages and seconds, so that equal entries are frequent; wide, so that segments fill.
MESSAGES = {"a": "a", "b": "b", "J": "語" * 1000, "w": "w" * 4000}
Blocks = list[tuple[str, float | None]]
"""Keys of MESSAGES, and the second that these entries share."""

seconds = st.none() | st.integers(0, 5) | st.floats(0, 5)
logs = st.lists(st.tuples(st.text("abJw", min_size=1, max_size=10), seconds), max_size=6)
lates = st.lists(st.sets(st.integers(0, 59)), max_size=4)
cuts = st.lists(st.integers(0, 60), max_size=5).map(sorted)
kills = st.tuples(st.integers(0, 2), st.integers(0, 60), st.integers(0, 12))
bounds = st.sampled_from([MINIMUM, 300_000])


def entries_of(blocks: Blocks, begin: int = 0) -> list[LogEntry]:
    return [
        entry(MESSAGES[key], None if second is None else begin + second)
        for keys, second in blocks
        for key in keys
    ]


@given(logs, cuts)
def test_growing_log_is_stored_as_if_saved_at_once(blocks: Blocks, steps: list[int]) -> None:
    ordered = in_order(entries_of(blocks))
    at_once, stepwise = FakeLogStore(), FakeLogStore()
    at_once.save(ordered, max_bytes=300_000)
    for step in (*steps, len(ordered)):
        stepwise.save(ordered[:step], max_bytes=300_000)
    assert stepwise.texts == at_once.texts
    assert stepwise.text == whole(ordered)


@given(st.lists(st.tuples(st.text("ab", min_size=1, max_size=10), seconds), max_size=6), lates)
def test_late_and_unordered_entries_are_each_stored_once(
    blocks: Blocks, absent: list[set[int]]
) -> None:
    fake = FakeLogStore()  # of short lines, so that no segment is sealed
    entries = entries_of(blocks)
    missing: set[int] = set(range(60))
    for step in (*absent, set[int]()):
        missing &= step
        shown = [e for i, e in enumerate(entries) if i not in missing]
        fake.save(shown)
        assert Counter(fake.text.splitlines()) == Counter(whole(shown).splitlines())


@given(logs, cuts, st.integers(0, 12), bounds)
@example([("JJJJJ", None), ("w" * 13, None)], [6], 3, MINIMUM)  # killed beside a deletion
@example([("JJJww", 0), ("J" * 21, 0)], [5], 3, MINIMUM)  # the same, and more than fits is new
@settings(max_examples=200, deadline=None)
def test_save_after_a_kill_at_any_write_completes_the_log(
    blocks: Blocks, steps: list[int], writes: int, max_bytes: int
) -> None:
    ordered = in_order(entries_of(blocks))
    fake = FakeLogStore(writes_left=writes)
    for step in (*steps, len(ordered)):
        try:
            fake.save(ordered[:step], max_bytes=max_bytes)
        except KilledError:
            fake.writes_left = 10**9
        assert fake.indexed <= fake.segments.keys()
    log_index = fake.save(ordered, max_bytes=max_bytes)
    assert fake.indexed == fake.segments.keys()
    assert whole(ordered).endswith(fake.text)
    assert log_index.size == len(fake.text.encode()) <= max_bytes
    assert log_index.truncated == (fake.text != whole(ordered))
    assert max_bytes == MINIMUM or not log_index.truncated


@given(st.lists(logs, min_size=2, max_size=3), st.lists(kills, max_size=6).map(sorted), bounds)
@example([[("JJJwwJJJJ", 0)], [("JJwwwwJJJJwwww", 0)]], [(0, 60, 12), (1, 60, 2)], MINIMUM)
@settings(max_examples=200, deadline=None)
def test_save_after_killed_saves_of_runs_completes_the_log(
    runs: list[Blocks], steps: list[tuple[int, int, int]], max_bytes: int
) -> None:
    fake = FakeLogStore()
    parts = [
        in_order([entry("begin", run * 1000), *entries_of(blocks, run * 1000)])
        for run, blocks in enumerate(runs)
    ]
    last = len(parts) - 1

    def save(run: int, count: int) -> LogIndex:
        return fake.save(
            [*chain.from_iterable(parts[:run]), *parts[run][:count]],
            run_id=f"r{run}",
            max_bytes=max_bytes,
            since=EIGHT_SECOND + run * 1000,
        )

    for run, count, writes in steps:
        # One save is killed; the next one succeeds.
        fake.writes_left = writes if fake.writes_left else 10**9
        with suppress(KilledError):
            save(min(run, last), count)
        assert fake.indexed <= fake.segments.keys()
    fake.writes_left = 10**9
    log_index = save(last, len(parts[last]))
    # An earlier run may have segments that appear only when the next segment is sealed.
    assert all(number >= log_index.next for number in fake.segments.keys() - fake.indexed)
    assert log_index.size == len(fake.text.encode()) <= max_bytes
    assert log_index.entries == fake.text.count("\n")
    kept = sum(segment.entries for segment in log_index.segments_of_run) + len(log_index.active)
    assert fake.text.endswith(whole(parts[last][-kept:]))
    assert log_index.truncated == (kept < len(parts[last]))
    assert not log_index.truncated or kept == log_index.entries


@given(logs, cuts, st.sampled_from([MINIMUM, 100_000]))
def test_the_bound_holds_and_the_newest_lines_are_kept(
    blocks: Blocks, steps: list[int], max_bytes: int
) -> None:
    ordered = in_order(entries_of(blocks))
    fake = FakeLogStore()
    for step in (*steps, len(ordered)):
        log_index = fake.save(ordered[:step], max_bytes=max_bytes)
        text, full = fake.text, whole(ordered[:step])
        assert len(text.encode()) == log_index.size <= max_bytes
        assert full.endswith(text)
        # A dropped segment is a quarter of the bound, or one line longer.
        assert text == full or len(text.encode()) > max_bytes * 3 // 4 - 20_000
        assert log_index.truncated == (text != full)
        assert log_index.entries == text.count("\n")


def test_saving_again_writes_nothing() -> None:
    fake = FakeLogStore()
    entries = wide(2000)
    fake.save(entries)
    fake.writes_left = 0
    fake.save(entries)
    fake.save(entries[::-1])


def test_segments_are_filled_to_512_kib_of_data() -> None:
    fake = FakeLogStore()
    # 2,048 of these lines would fill a segment to the last byte and leave none for its index.
    fake.save(wide(7000, size=256))
    sizes = [sum(len(v.encode()) for v in data.values()) for data in fake.segments.values()]
    assert len(sizes) == 3
    assert all(SEAL - 1024 < size <= SEAL for size in sizes)


def test_multibyte_text_is_measured_in_bytes() -> None:
    fake = FakeLogStore()
    entries = [entry("🎧" * 4000, i) for i in range(100)]
    fake.save(entries)
    assert fake.text == whole(entries)
    assert all(len(text.encode()) <= SEAL for text in fake.texts)
    assert len(fake.texts) == 5


@pytest.mark.parametrize("character", ["🎧", "語", '"', "\\"])
def test_requests_to_the_cluster_are_bounded(character: str) -> None:
    fake = FakeLogStore()
    entries = [entry(character * 4000, i) for i in range(300)]
    fake.save(entries)
    assert fake.text == whole(entries)
    assert max(len(json.dumps(text)) for text in fake.texts) <= 1024 * 1024 - 64 * 1024


def test_sealed_segments_are_not_read_while_the_log_grows() -> None:
    fake = FakeLogStore()
    entries = wide(3000)
    for count in (700, 1500, 1501, 3000):
        fake.save(entries[:count])
    assert fake.reads == 0
    assert fake.text == whole(entries)


def test_entry_late_for_a_sealed_segment_is_only_counted() -> None:
    fake = FakeLogStore()
    entries, late = wide(1200), entry("late", 3)
    fake.save(entries)
    log_index = fake.save([*entries, late])
    assert fake.text == whole(entries)
    assert log_index.end.lines == len([*entries, late]) - 1
    log_index = fake.save([*entries, late, *wide(1500, begin=1200)])
    assert fake.text == whole([*entries, *wide(1500, begin=1200)])


def test_entry_late_for_the_active_segment_is_appended() -> None:
    fake = FakeLogStore()
    entries, late = wide(1200), entry("late", 1100)
    fake.save(entries)
    for _ in range(2):
        fake.save([*entries, late])
        assert fake.text == whole(entries) + whole([late])


@pytest.mark.parametrize("per_second", [1, 7, 10**6], ids=["apart", "shared", "one-second"])
def test_dropped_entries_do_not_come_back(per_second: int) -> None:
    fake = FakeLogStore()
    entries = wide(900, per_second=per_second)
    for count in (300, 301, 450, 900):
        fake.save(entries[:count], max_bytes=200_000)
        assert whole(entries[:count]).endswith(fake.text)
        assert fake.text.count("\n") > 140


def test_a_log_within_one_second_is_not_written_again_and_again() -> None:
    fake = FakeLogStore()
    for count in range(180, 600, 7):
        entries = wide(count, per_second=10**6)
        log_index = fake.save(entries, max_bytes=200_000)
        assert whole(entries).endswith(fake.text)
        assert log_index.next == 1 + (count - 1) // 50


def test_untimed_entry_is_not_taken_for_an_equal_earlier_one() -> None:
    fake = FakeLogStore()
    untimed = entry("again " + "x" * 500, None)
    entries = [*wide(16), untimed]
    fake.save(entries, max_bytes=MINIMUM)
    assert len(fake.texts) == 2
    entries += [entry("later", 100), untimed]
    fake.save(entries, max_bytes=MINIMUM)
    assert fake.text == whole(entries)


def test_the_bound_is_kept_to_the_byte() -> None:
    for max_bytes, kept in ((67_000, 67), (66_999, 51), (66_001, 51)):
        fake = FakeLogStore()
        fake.save(wide(60), max_bytes=max_bytes)
        log_index = fake.save(wide(67), max_bytes=max_bytes)
        assert log_index.entries == kept


@pytest.mark.parametrize("length", [50, 60, 65, 66, 500])
def test_long_new_run_drops_the_old_runs_segments(length: int) -> None:
    fake = FakeLogStore()
    fake.save(wide(10), run_id="r1", max_bytes=MINIMUM)
    entries = [*wide(10), *wide(length, begin=1000)]
    start = EIGHT_SECOND + 1000
    log_index = fake.save(entries, run_id="r2", max_bytes=MINIMUM, since=start)
    assert whole(entries).endswith(fake.text)
    own = sum(segment.entries for segment in log_index.segments_of_run) + len(log_index.active)
    assert own == min(length, log_index.entries)
    assert log_index.truncated == (own < length)


def test_a_log_without_any_time_is_kept_too() -> None:
    fake = FakeLogStore()
    entries = [replace(e, at=None) for e in wide(900)]
    for count in (100, 450, 900):
        fake.save(entries[:count], max_bytes=200_000)
        assert whole(entries[:count]).endswith(fake.text)


def test_a_remote_log_that_shrinks_takes_nothing_away() -> None:
    fake = FakeLogStore()
    entries = wide(1200)
    fake.save(entries)
    fake.save(entries[1100:])
    fake.save([])
    fake.save(wide(5, begin=1200))
    assert fake.text == whole(wide(1205))


def test_shrunken_remote_log_after_drops_still_grows() -> None:
    fake = FakeLogStore()
    fake.save(wide(900), max_bytes=200_000)
    log_index = fake.save(wide(50, begin=880), max_bytes=200_000)
    assert whole(wide(930)).endswith(fake.text)
    assert log_index.truncated


def test_new_run_seals_the_active_segment() -> None:
    fake = FakeLogStore()
    first, second = wide(10), wide(10, begin=100)
    fake.save(first, run_id="r1")
    start = EIGHT_SECOND + 100
    log_index = fake.save([*first, *second], run_id="r2", since=start)
    assert fake.texts == [whole(first), whole(second)]
    assert SealedSegment.read(1, fake.segments[1]).run_id == "r1"
    assert (log_index.segments_of_run, log_index.entries, log_index.truncated) == ((), 20, False)


def test_new_run_without_a_line_keeps_the_active_segment() -> None:
    fake = FakeLogStore()
    fake.save(wide(10), run_id="r1")
    fake.writes_left = 0
    log_index = fake.save(wide(10), run_id="r2", since=EIGHT_SECOND + 3600)
    assert log_index.run_id == "r1"


def test_a_new_run_that_loses_lines_leaves_none_of_the_old_one() -> None:
    fake = FakeLogStore()
    first, second = [entry("old")], wide(66, begin=1000)
    fake.save(first, run_id="r1", max_bytes=MINIMUM)
    start = EIGHT_SECOND + 1000
    log_index = fake.save([*first, *second], run_id="r2", max_bytes=MINIMUM, since=start)
    assert log_index.truncated
    assert whole(second).endswith(fake.text)


def test_segments_of_earlier_runs_are_dropped_first() -> None:
    fake = FakeLogStore()
    fake.save(wide(60), run_id="r1", max_bytes=100_000)
    start = EIGHT_SECOND + 1000
    log_index = fake.save(
        [*wide(60), *wide(60, begin=1000)], run_id="r2", max_bytes=100_000, since=start
    )
    assert log_index.size <= 100_000
    assert whole([*wide(60), *wide(60, begin=1000)]).endswith(fake.text)
    assert not log_index.truncated
    assert (
        sum(segment.entries for segment in log_index.segments_of_run) + len(log_index.active) == 60
    )


@pytest.mark.parametrize("writes", range(8))
def test_kill_at_a_new_run_loses_and_doubles_no_line(writes: int) -> None:
    fake = FakeLogStore()
    first, second = wide(600), wide(1300, begin=1000)
    fake.save(first, run_id="r1")
    fake.writes_left = writes
    start = EIGHT_SECOND + 1000
    try:
        fake.save(first + second, run_id="r2", since=start)
    except KilledError:
        fake.writes_left = 10**9
    log_index = fake.save(first + second, run_id="r2", since=start)
    assert fake.text == whole(first + second)
    assert (
        sum(segment.entries for segment in log_index.segments_of_run) + len(log_index.active)
        == 1300
    )
    assert not log_index.truncated


def test_segments_of_many_short_runs_fit_into_status() -> None:
    fake = FakeLogStore()
    for run in range(99):
        fake.save([entry("only", run * 10)], run_id=f"r{run}")
    log_index = fake.save([entry("only", 990)], run_id="r99")
    assert len(log_index.segments) + 1 == 64
    assert log_index.next == 100


def test_a_lower_bound_is_kept_at_once() -> None:
    fake = FakeLogStore()
    fake.save(wide(1500))
    log_index = fake.save(wide(1501), max_bytes=MINIMUM)
    assert log_index.size <= MINIMUM
    assert whole(wide(1501)).endswith(fake.text)
    assert log_index.size > MINIMUM // 2


def test_new_lines_beyond_the_bound_replace_stored_ones() -> None:
    fake = FakeLogStore()
    fake.save(wide(50), max_bytes=MINIMUM)
    log_index = fake.save(wide(5000), max_bytes=MINIMUM)
    assert whole(wide(5000)).endswith(fake.text)
    assert log_index.before.lines + len(log_index.active) == 5000
    fake.save(wide(5003), max_bytes=MINIMUM)
    assert whole(wide(5003)).endswith(fake.text)
