"""The granted part of the requested poll rates, so that all polls fit into the quota."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.core.scheduling.poll_interval import GrantedInterval
from scriptix_operator.core.scheduling.poll_rates import EXTRA_PART, PollRates

SHARES = {"a": 0.2, "b": 0.2, "c": 0.4, "d": 0.2}


def _rates(**wanted: tuple[int, float]) -> PollRates[str, str]:
    """So many requests of each priority, with this interval."""
    rates = PollRates[str, str](SHARES)
    for kind, (count, interval) in wanted.items():
        for number in range(count):
            rates.request(f"{kind}{number}", kind, interval)
    return rates


@pytest.mark.parametrize(
    ("wanted", "stretches"),
    [
        pytest.param({}, {"a": 1, "c": 1}, id="no log is wanted"),
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
def test_requests_above_the_share_split_what_others_leave(
    wanted: dict[str, tuple[int, float]], stretches: dict[str, float]
) -> None:
    rates = _rates(**wanted)
    for kind, interval_ratio in stretches.items():
        assert rates.interval_ratio(kind, 1.0) == pytest.approx(interval_ratio)


def test_request_below_the_share_is_granted_in_full() -> None:
    rates = PollRates[str, str](SHARES)
    for number in range(100):
        rates.request(f"often{number}", "c", 1)
    for number in range(10):
        rates.request(f"seldom{number}", "c", 600)
    granted_interval = rates.granted_interval("c", 1.0)
    assert granted_interval.granted(600) == 600
    assert granted_interval.granted(1) == pytest.approx(100 / (1 - 10 / 600))
    for number in range(90):
        rates.leave(f"often{number}")
    assert rates.granted_interval("c", 1.0).granted(600) == 600


@pytest.mark.parametrize(
    ("running", "speed_up", "granted_interval"),
    [
        pytest.param(50, 2.0, GrantedInterval(), id="all fit"),
        pytest.param(50, 3.0, GrantedInterval(0.0, 0.5), id="half of what is wanted is left over"),
        pytest.param(
            100, 12.0, GrantedInterval(125.0, 0.2 / 0.8 / 11), id="all at once: a fifth is theirs"
        ),
    ],
)
def test_closer_polls_have_the_unused_rate_and_a_fifth(
    running: int, speed_up: float, granted_interval: GrantedInterval
) -> None:
    rates = PollRates[str, str](SHARES)
    for number in range(running):
        rates.request(f"c{number}", "c", 100, speed_up)
    found = rates.granted_interval("c", 1.0)
    assert (found.shortest, found.speed_up) == pytest.approx(
        (granted_interval.shortest, granted_interval.speed_up)
    )


def test_few_closer_polls_take_little_from_the_others() -> None:
    rates = _rates(c=(190, 100))
    for number in range(10):
        rates.request(f"end{number}", "c", 100, 2.0)
    granted_interval = rates.granted_interval("c", 1.0)
    assert (granted_interval.shortest, granted_interval.speed_up) == pytest.approx((210, 1))
    assert granted_interval.granted(100, 50) == pytest.approx(105)


def test_new_requested_interval_replaces_the_old() -> None:
    rates = _rates(c=(200, 100))
    for number in range(200):
        rates.request(f"c{number}", "c", 200)
    assert rates.interval_ratio("c", 1.0) == pytest.approx(1)
    for number in range(200):
        rates.request(f"c{number}", "d", 100)
    assert rates.interval_ratio("c", 1.0) == 1
    assert rates.interval_ratio("d", 1.0) == pytest.approx(2)


def test_same_requested_interval_changes_nothing() -> None:
    rates = _rates(c=(200, 100))
    rates.request("c0", "c", 100)
    assert rates.interval_ratio("c", 1.0) == pytest.approx(2)


@given(st.lists(st.floats(1, 3600), min_size=1, max_size=50))
def test_no_rate_is_requested_once_all_have_left(
    intervals: list[float],
) -> None:
    rates = _rates()
    for number, interval in enumerate(intervals):
        rates.request(f"c{number}", "c", interval)
    for number in range(len(intervals)):
        rates.leave(f"c{number}")
    rates.leave("never-there")
    assert rates.interval_ratio("c", 1e-30) == 1


WISHES = st.lists(
    st.tuples(
        st.sampled_from(sorted(SHARES)),
        st.sampled_from([1, 5, 60, 61, 600, 3600]),
        st.sampled_from([1.0, 1.0, 1.0, 2.0, 12.0]),
    ),
    max_size=60,
)


@given(WISHES, st.floats(0.01, 10))
def test_all_polls_fit_and_no_interval_is_longer_than_needed(
    wishes: list[tuple[str, float, float]], rate: float
) -> None:
    rates = PollRates[str, str](SHARES)
    asked, made, regular = (dict.fromkeys(SHARES, 0.0) for _ in range(3))
    for number, (kind, interval, speed_up) in enumerate(wishes):
        rates.request(str(number), kind, interval, speed_up)
        asked[kind] += speed_up / interval
    for kind, interval, speed_up in wishes:
        granted_interval = rates.granted_interval(kind, rate)
        made[kind] += 1 / granted_interval.granted(interval, interval / speed_up)
        regular[kind] += 1 / interval
        # No worse than if all had the same interval and no end were near.
        members = sum(one == kind for one, _, _ in wishes)
        fair = members / (rate * SHARES[kind] * (1 - EXTRA_PART))
        assert granted_interval.granted(interval) <= max(interval, fair) * 1.000001
    assert sum(made.values()) <= rate * 1.000001
    assert sum(made.values()) >= min(rate, sum(asked.values())) * 0.999999
    for kind, share in SHARES.items():
        assert made[kind] >= min(asked[kind], share * rate) * 0.999999
        assert rates.interval_ratio(kind, rate) >= 1


def test_many_distinct_intervals_are_grouped_into_few() -> None:
    """The granted rates are computed at each poll, for ten thousand resources too."""
    rates = PollRates[str, str](SHARES)
    for interval in range(1, 3601):
        rates.request(str(interval), "c", interval)
    assert len(rates._counts["c"]) <= 250
