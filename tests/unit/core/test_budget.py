"""core/budget.py: sliding windows, told apart from what simply trying would find."""

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.core.budget import Budget
from scriptix_operator.core.limits import Limit

FIVE_AN_HOUR = (Limit(5, 3600.0),)


def spent(limits: tuple[Limit, ...], *times: float) -> Budget:
    """A budget of which calls were taken at these times."""
    budget = Budget(limits)
    for time in times:
        budget.take(time)
    return budget


def test_a_fresh_budget_has_its_whole_count_at_once() -> None:
    budget = Budget(FIVE_AN_HOUR)
    for _ in range(5):
        assert budget.wait(100.0) == 0
        budget.take(100.0)
    assert budget.wait(100.0) == 3600


def test_the_window_slides_with_the_oldest_call() -> None:
    budget = spent(FIVE_AN_HOUR, 0, 10, 20, 30, 40)
    assert budget.wait(1000.0) == 2600
    assert budget.wait(3600.0) == 0
    budget.take(3600.0)
    assert budget.wait(3600.0) == 10


def test_all_limits_hold_at_once() -> None:
    budget = spent((Limit(2, 10.0), Limit(3, 100.0)), 0, 1)
    assert budget.wait(1.0) == 9
    budget.take(10.0)
    assert budget.wait(11.0) == 89


def test_without_a_limit_nothing_waits() -> None:
    assert spent((), 0, 0, 0).wait(0.0, ahead=9) == 0


def test_a_call_that_was_not_sent_is_given_back() -> None:
    budget = spent((Limit(1, 60.0),), 5.0)
    budget.give_back(5.0)
    assert budget.wait(5.0) == 0


def test_a_call_that_has_aged_may_still_be_given_back() -> None:
    budget = spent((Limit(1, 60.0),), 0.0)
    assert budget.wait(100.0) == 0
    budget.give_back(0.0)
    assert budget.wait(100.0) == 0


def test_a_refusal_holds_all_calls_back() -> None:
    budget = Budget(FIVE_AN_HOUR)
    budget.hold(60.0)
    assert budget.wait(10.0) == 50
    budget.hold(30.0)
    assert budget.wait(10.0) == 50
    assert budget.wait(60.0) == 0


@pytest.mark.parametrize(
    ("ahead", "wait"),
    [(0, 0), (4, 0), (5, 3600), (9, 3600), (10, 7200)],
    ids=["first", "fifth", "sixth", "tenth", "eleventh"],
)
def test_those_ahead_go_first(ahead: int, wait: float) -> None:
    assert Budget(FIVE_AN_HOUR).wait(0.0, ahead) == wait


@given(
    st.integers(1, 4),
    st.lists(st.integers(0, 300), max_size=8),
    st.integers(0, 9),
    st.none() | st.integers(300, 600),
)
def test_the_wait_is_what_trying_one_by_one_would_find(
    count: int, times: list[int], ahead: int, held: int | None
) -> None:
    budget = Budget((Limit(count, 100.0),))
    now = 0.0
    for time in sorted(times):  # only what fits was ever taken
        if budget.wait(float(time)) == 0:
            budget.take(float(time))
    now = 300.0
    if held is not None:
        budget.hold(float(held))
    tried, moment = deepcopy(budget), now
    for _ in range(ahead):
        moment += tried.wait(moment)
        tried.take(moment)
    assert budget.wait(now, ahead) == moment + tried.wait(moment) - now


@given(st.integers(1, 5), st.lists(st.integers(0, 50), min_size=1, max_size=40))
def test_no_window_ever_holds_more_than_its_count(count: int, gaps: list[int]) -> None:
    budget, now, sent = Budget((Limit(count, 60.0),)), 0.0, []
    for gap in gaps:
        now += gap
        now += budget.wait(now)
        budget.take(now)
        sent.append(now)
    assert all(sum(start <= time < start + 60 for time in sent) <= count for start in sent)
