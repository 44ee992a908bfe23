"""Rate limits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_simulator.units import Limit
from scriptix_simulator.windows import Quota, Style, Window, Windows

styles = st.sampled_from(["sliding", "fixed"])
steps = st.lists(st.floats(0, 30), max_size=40)
limits = st.lists(st.builds(Limit, st.integers(1, 5), st.floats(1, 120)), min_size=1, max_size=3)
NOON = 1_737_028_800.0
"""A multiple of 300 seconds."""


def quota(style: Style, *limits: Limit) -> Quota:
    return Windows(style, speed=1).of("key", limits)


def test_sliding_window_frees_each_call_after_its_length() -> None:
    window = Window(Limit(2, 60), "sliding", speed=1)
    assert window.take(NOON).remaining == 1
    assert window.take(NOON + 30).remaining == 0
    refused = window.take(NOON + 59)
    assert not refused.allowed
    assert (refused.reset, refused.retry_after) == (int(NOON) + 60, 1)
    assert window.take(NOON + 60).allowed
    assert not window.take(NOON + 89).allowed
    assert window.take(NOON + 90).allowed


def test_fixed_window_frees_all_calls_at_its_end() -> None:
    window = Window(Limit(2, 60), "fixed", speed=1)
    assert [window.take(NOON + 58).allowed for _ in range(3)] == [True, True, False]
    assert window.reads(NOON + 58).reset == NOON + 60
    assert [window.take(NOON + 60).allowed for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("style", ["sliding", "fixed"])
def test_windows_scale_with_the_speed(style: Style) -> None:
    window = Window(Limit(1, 3600), style, speed=480)
    assert window.take(NOON).allowed
    assert not window.take(NOON + 7.4).allowed
    assert window.take(NOON + 7.5).allowed


def test_reading_a_window_is_not_charged() -> None:
    window = Window(Limit(1, 60), "sliding", speed=1)
    assert [window.reads(NOON).remaining for _ in range(3)] == [1, 1, 1]


def test_each_owner_has_windows_of_its_own() -> None:
    windows = Windows("sliding", speed=1)
    assert windows.of(("a", "run"), (Limit(1, 60),)).take(NOON).allowed
    assert windows.of(("b", "run"), (Limit(1, 60),)).take(NOON).allowed
    assert windows.of(("a", "log"), (Limit(1, 60),)).take(NOON).allowed
    assert not windows.of(("a", "run"), (Limit(1, 60),)).take(NOON).allowed


@pytest.mark.parametrize(
    ("style", "at", "allowed"),
    [
        # Two in 10 s, three in 60 s: the short window fills and empties, then the long one fills.
        ("sliding", [0, 0, 9.9, 10, 20, 59.9, 60], [1, 1, 0, 1, 0, 0, 1]),
        ("fixed", [0, 0, 9.9, 10, 20, 59.9, 60, 60, 60], [1, 1, 0, 1, 0, 0, 1, 1, 0]),
    ],
)
def test_a_call_is_refused_where_any_of_the_windows_is_full(
    style: Style, at: list[float], allowed: list[int]
) -> None:
    both = quota(style, Limit(2, 10), Limit(3, 60))
    assert [int(both.take(NOON + seconds).allowed) for seconds in at] == allowed


@pytest.mark.parametrize("style", ["sliding", "fixed"])
@pytest.mark.parametrize("full", [0, 1], ids=["first", "last"])
def test_a_refused_call_counts_in_none_of_the_windows(style: Style, full: int) -> None:
    order = [Limit(3, 60), Limit(3, 60)]
    order[full] = Limit(1, 10)
    both = quota(style, *order)
    assert [both.take(NOON).allowed for _ in range(5)] == [True, False, False, False, False]
    assert [both.take(NOON + later).allowed for later in (10, 20, 30)] == [True, True, False]


@pytest.mark.parametrize(
    ("limits", "at", "rate_info"),
    [
        pytest.param([(5, 10), (3, 60)], [0], (True, 3, 2, 60), id="least-left"),
        pytest.param([(3, 60), (5, 10)], [0], (True, 3, 2, 60), id="least-left-in-any-order"),
        pytest.param([(2, 10), (9, 60)], [0], (True, 2, 1, 10), id="least-left-in-the-short"),
        pytest.param([(1, 10), (1, 60)], [0], (True, 1, 0, 60), id="as-little-left-in-both"),
        pytest.param([(1, 10), (5, 60)], [0, 1], (False, 1, 0, 10), id="only-the-short-is-full"),
        pytest.param([(2, 10), (2, 60)], [0, 1, 2], (False, 2, 0, 60), id="the-longest-wait"),
        pytest.param([(2, 60), (2, 10)], [0, 1, 2], (False, 2, 0, 60), id="the-longest-wait-first"),
        pytest.param(
            [(4, 60), (2, 10)], [0, 1, 55, 56, 57], (False, 2, 0, 65), id="the-short-ends-last"
        ),
    ],
)
def test_window_that_blocks_longest_is_reported(
    limits: list[tuple[int, float]], at: list[float], rate_info: tuple[bool, int, int, int]
) -> None:
    windows = quota("sliding", *(Limit(*limit) for limit in limits))
    answer = [windows.take(NOON + seconds) for seconds in at][-1]
    shown = (answer.allowed, answer.limit, answer.remaining, answer.reset - int(NOON))
    assert shown == rate_info
    assert answer.retry_after == answer.reset - int(NOON + at[-1])


@pytest.mark.parametrize("lengths", [(10.2, 10.9), (10.9, 10.2)])
def test_later_of_two_windows_in_one_second_is_reported(
    lengths: tuple[float, float],
) -> None:
    both = quota("sliding", *(Limit(1, length) for length in lengths))
    both.take(NOON)
    refused = both.take(NOON + 0.5)
    assert (refused.reset, refused.retry_after) == (int(NOON) + 11, 11)


@given(steps, st.integers(1, 5))
def test_sliding_window_never_exceeds_its_limit(waits: list[float], count: int) -> None:
    window = Window(Limit(count, 60), "sliding", speed=1)
    now, passed = NOON, []
    for wait in waits:
        now += wait
        if window.take(now).allowed:
            passed.append(now)
    assert all(
        later - earlier > 60 - 1e-5 for earlier, later in zip(passed, passed[count:], strict=False)
    )


@given(styles, limits, steps, st.floats(0.5, 5000))
def test_call_after_the_reported_wait_is_allowed(
    style: Style, limits: list[Limit], waits: list[float], speed: float
) -> None:
    now = NOON
    passed: list[float] = []
    windows = Windows(style, speed)
    for wait in waits:
        now += wait
        answer = windows.of("key", limits).take(now)
        if answer.allowed:
            passed.append(now)
            continue
        for later in (now + answer.retry_after, max(answer.reset, now)):
            # A read drops expired calls, so the later read uses separate windows.
            again = Windows(style, speed).of("key", limits)
            assert all(again.take(at).allowed for at in passed)
            assert again.reads(later).allowed


@given(styles, limits, steps)
def test_reported_remaining_is_correct(
    style: Style, limits: list[Limit], waits: list[float]
) -> None:
    window = quota(style, *limits)
    now = NOON
    for wait in waits:
        now += wait
        before = window.reads(now)
        after = window.take(now)
        assert after.allowed == (before.remaining > 0)
        assert after.remaining == max(before.remaining - 1, 0)
        assert after.allowed or after == before
        assert after.retry_after >= 1
        assert after.reset >= math.ceil(now)
