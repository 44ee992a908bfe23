"""Rate limits."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_simulator.units import Limit
from scriptix_simulator.windows import Style, Window, Windows

styles = st.sampled_from(["sliding", "fixed"])
steps = st.lists(st.floats(0, 30), max_size=40)
NOON = 1_737_028_800.0


def test_a_sliding_window_forgets_each_call_one_length_later() -> None:
    window = Window(Limit(2, 60), "sliding", speed=1)
    assert window.take(NOON).remaining == 1
    assert window.take(NOON + 30).remaining == 0
    refused = window.take(NOON + 59)
    assert not refused.allowed
    assert (refused.reset, refused.retry_after) == (int(NOON) + 60, 1)
    assert window.take(NOON + 60).allowed
    assert not window.take(NOON + 89).allowed
    assert window.take(NOON + 90).allowed


def test_a_fixed_window_forgets_all_calls_at_its_end() -> None:
    window = Window(Limit(2, 60), "fixed", speed=1)
    assert [window.take(NOON + 58).allowed for _ in range(3)] == [True, True, False]
    assert window.look(NOON + 58).reset == NOON + 60
    assert [window.take(NOON + 60).allowed for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("style", ["sliding", "fixed"])
def test_windows_scale_with_the_speed(style: Style) -> None:
    window = Window(Limit(1, 3600), style, speed=480)
    assert window.take(NOON).allowed
    assert not window.take(NOON + 7.4).allowed
    assert window.take(NOON + 7.5).allowed


def test_looking_spends_nothing() -> None:
    window = Window(Limit(1, 60), "sliding", speed=1)
    assert [window.look(NOON).remaining for _ in range(3)] == [1, 1, 1]


def test_each_owner_has_a_window_of_its_own() -> None:
    windows = Windows("sliding", speed=1)
    assert windows.of(("a", "run"), Limit(1, 60)).take(NOON).allowed
    assert windows.of(("b", "run"), Limit(1, 60)).take(NOON).allowed
    assert windows.of(("a", "log"), Limit(1, 60)).take(NOON).allowed
    assert not windows.of(("a", "run"), Limit(1, 60)).take(NOON).allowed


@given(steps, st.integers(1, 5))
def test_a_sliding_window_never_lets_more_through_than_its_limit(
    waits: list[float], count: int
) -> None:
    window = Window(Limit(count, 60), "sliding", speed=1)
    now, passed = NOON, []
    for wait in waits:
        now += wait
        if window.take(now).allowed:
            passed.append(now)
    assert all(
        later - earlier > 60 - 1e-5 for earlier, later in zip(passed, passed[count:], strict=False)
    )


@given(styles, steps, st.floats(0.5, 5000))
def test_whoever_waits_as_told_is_let_through(
    style: Style, waits: list[float], speed: float
) -> None:
    window = Window(Limit(3, 60), style, speed)
    now = NOON
    for wait in waits:
        now += wait
        answer = window.take(now)
        if not answer.allowed:
            assert window.look(now + answer.retry_after).allowed
            assert window.look(max(answer.reset, now)).allowed


@given(styles, steps)
def test_what_is_told_is_what_is_left(style: Style, waits: list[float]) -> None:
    window = Window(Limit(3, 60), style, speed=1)
    now = NOON
    for wait in waits:
        now += wait
        before = window.look(now)
        after = window.take(now)
        assert after.allowed == (before.remaining > 0)
        assert after.remaining == max(before.remaining - 1, 0)
        assert after.retry_after >= 1
        assert after.reset >= math.ceil(now)
