"""core/demand.py: how far intervals are stretched so that all looks fit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.core.demand import Demand

SHARES = {"a": 0.2, "b": 0.2, "c": 0.4, "d": 0.2}


def _demand(**wanted: tuple[int, float]) -> Demand[str, str]:
    """So many of each kind, with such an interval."""
    demand = Demand[str, str](SHARES)
    for kind, (count, interval) in wanted.items():
        for number in range(count):
            demand.wants(f"{kind}{number}", kind, interval)
    return demand


@pytest.mark.parametrize(
    ("wanted", "stretches"),
    [
        pytest.param({}, {"a": 1, "c": 1}, id="nobody wants any"),
        pytest.param({"c": (100, 100)}, {"c": 1}, id="just enough for one kind alone"),
        pytest.param({"c": (101, 100)}, {"c": 1.01}, id="one too many"),
        pytest.param({"c": (400, 100)}, {"c": 4}, id="four times as many"),
        pytest.param({"c": (200, 100), "d": (10, 100)}, {"c": 2 / 0.9, "d": 1}, id="d fits"),
        pytest.param({"c": (30, 100), "d": (70, 100)}, {"c": 1, "d": 1}, id="d has what c leaves"),
        pytest.param({"c": (30, 100), "d": (140, 100)}, {"c": 1, "d": 2}, id="and no more"),
        pytest.param(
            {"c": (200, 100), "d": (200, 100)}, {"c": 3, "d": 6}, id="both want more: two to one"
        ),
        pytest.param(
            {"a": (200, 100), "b": (10, 100), "c": (180, 100)},
            {"a": 200 / 30, "b": 1, "c": 3},
            id="b leaves a half of its share to both",
        ),
    ],
)
def test_who_wants_more_than_the_share_is_stretched_by_what_the_others_leave(
    wanted: dict[str, tuple[int, float]], stretches: dict[str, float]
) -> None:
    demand = _demand(**wanted)
    for kind, stretch in stretches.items():
        assert demand.stretch(kind, 1.0) == pytest.approx(stretch)


def test_all_intervals_of_a_kind_are_stretched_alike_whatever_they_are() -> None:
    demand = _demand(c=(100, 100))
    demand.wants("often", "c", 1)
    assert demand.stretch("c", 1.0) == pytest.approx(2)


def test_a_higher_rate_has_room_for_more() -> None:
    assert _demand(c=(200, 100)).stretch("c", 2.0) == pytest.approx(1)


def test_a_new_wish_takes_the_place_of_the_old() -> None:
    demand = _demand(c=(200, 100))
    for number in range(200):
        demand.wants(f"c{number}", "c", 200)
    assert demand.stretch("c", 1.0) == pytest.approx(1)
    for number in range(200):
        demand.wants(f"c{number}", "d", 100)
    assert demand.stretch("c", 1.0) == 1
    assert demand.stretch("d", 1.0) == pytest.approx(2)


def test_the_same_wish_again_changes_nothing() -> None:
    demand = _demand(c=(200, 100))
    demand.wants("c0", "c", 100)
    assert demand.stretch("c", 1.0) == pytest.approx(2)


@given(st.lists(st.floats(1, 3600), min_size=1, max_size=50))
def test_when_all_have_left_nothing_is_wanted_not_even_a_rest_of_rounding(
    intervals: list[float],
) -> None:
    demand = _demand()
    for number, interval in enumerate(intervals):
        demand.wants(f"c{number}", "c", interval)
    for number in range(len(intervals)):
        demand.leave(f"c{number}")
    demand.leave("never-there")
    assert demand.stretch("c", 1e-30) == 1


WISHES = st.fixed_dictionaries(
    {kind: st.tuples(st.integers(0, 40), st.integers(1, 100)) for kind in SHARES}
)


@given(WISHES, st.floats(0.1, 10))
def test_stretched_all_looks_fit_and_none_is_stretched_in_vain(
    wanted: dict[str, tuple[int, float]], rate: float
) -> None:
    demand = _demand(**wanted)
    asked = {kind: count / interval for kind, (count, interval) in wanted.items()}
    got = {kind: asked[kind] / demand.stretch(kind, rate) for kind in SHARES}
    assert sum(got.values()) <= rate * 1.000001
    is_scarce = sum(asked.values()) > rate
    assert sum(got.values()) >= (rate if is_scarce else sum(asked.values())) * 0.999999
    for kind, share in SHARES.items():
        assert got[kind] >= min(asked[kind], share * rate) * 0.999999
