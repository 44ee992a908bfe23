"""core/ratelimit/pacer.py: an even pace, with a few calls at once after a pause."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.core.ratelimit.pacer import Pacer


def _waits(spread: Pacer, now: float, burst: int, calls: int) -> list[float]:
    """Make so many calls at once; returns the wait of each."""
    waits = []
    for _ in range(calls):
        waits.append(spread.wait(now, 2.0, burst))
        spread.acquire(now, 2.0)
    return waits


@pytest.mark.parametrize(
    ("burst", "waits"),
    [
        pytest.param(1, [0, 2, 4, 6, 8], id="one after the other"),
        pytest.param(2, [0, 0, 2, 4, 6], id="two at once"),
        pytest.param(4, [0, 0, 0, 0, 2], id="four at once"),
    ],
)
def test_after_a_burst_calls_come_at_the_even_pace(burst: int, waits: list[float]) -> None:
    assert _waits(Pacer(), 100.0, burst, 5) == waits


@pytest.mark.parametrize(
    ("pause", "waits"),
    [(2, [2, 4]), (4, [0, 2]), (6, [0, 0]), (60, [0, 0])],
    ids=["too short", "one", "two", "no more for a longer one"],
)
def test_a_pause_is_made_up_for_by_a_burst_and_no_more(pause: float, waits: list[float]) -> None:
    spread = Pacer()
    _waits(spread, 100.0, 2, 3)
    assert _waits(spread, 100.0 + pause, 2, 2) == waits


@pytest.mark.parametrize(("ahead", "wait"), [(0, 0), (1, 0), (2, 2), (9, 16)])
def test_calls_ahead_use_the_burst_first(ahead: int, wait: float) -> None:
    assert Pacer().wait(100.0, 2.0, 2, ahead) == wait


def test_call_that_was_not_made_frees_its_time() -> None:
    spread = Pacer()
    _waits(spread, 100.0, 1, 3)
    spread.cancel(2.0)
    assert spread.wait(100.0, 2.0, 1) == 4


def test_a_slower_pace_counts_from_the_next_call_on() -> None:
    spread = Pacer()
    spread.acquire(100.0, 2.0)
    assert spread.wait(100.0, 6.0, 1) == 2
    spread.acquire(102.0, 6.0)
    assert spread.wait(102.0, 6.0, 1) == 6


@given(st.integers(1, 5), st.lists(st.integers(0, 30), min_size=1, max_size=50))
def test_calls_never_exceed_a_burst_plus_the_pace(burst: int, gaps: list[int]) -> None:
    spread, now, sent = Pacer(), 0.0, list[float]()
    for gap in gaps:
        now += gap
        now += spread.wait(now, 2.0, burst)
        spread.acquire(now, 2.0)
        sent.append(now)
    for first, begin in enumerate(sent):
        for last, end in enumerate(sent[first:], first):
            assert last - first + 1 <= burst + (end - begin) / 2
