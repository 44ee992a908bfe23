"""core/scheduling/poll_interval.py: the intervals of polls, and how they are reported."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.core.scheduling.poll_interval import (
    CLOSEST,
    MAX_CREDITS,
    GrantedInterval,
    jittered,
    next_poll,
    shown_interval,
)

MINUTE, HOUR = 60.0, 3600.0


@pytest.mark.parametrize(
    ("to_end", "seconds"),
    [
        pytest.param(None, 60, id="the end is not known"),
        pytest.param(8 * HOUR, 60, id="far from it"),
        pytest.param(600, 60, id="ten intervals before the ETA"),
        pytest.param(599, 59.9, id="closer"),
        pytest.param(300, 30, id="half as far"),
        pytest.param(50, 5, id="the closest"),
        pytest.param(0, 5, id="at the end"),
        pytest.param(-40, 5, id="just after it"),
        pytest.param(-300, 30, id="overdue"),
        pytest.param(-601, 60, id="long overdue"),
    ],
)
def test_polls_are_closer_around_the_eta(to_end: float | None, seconds: float) -> None:
    assert next_poll(60.0, to_end, 8 * HOUR, None).seconds == pytest.approx(seconds)


@pytest.mark.parametrize("asked", [1.0, 4.9, CLOSEST])
@pytest.mark.parametrize("to_end", [None, 0.0, 9999.0])
def test_interval_below_the_closest_is_always_granted(asked: float, to_end: float | None) -> None:
    assert next_poll(asked, to_end, HOUR, None).seconds == asked


@pytest.mark.parametrize(
    ("age", "spare", "polls"),
    [
        pytest.param(0, None, 0.1, id="a run that has just begun"),
        pytest.param(HOUR, None, 6.1, id="a tenth of its polls so far"),
        pytest.param(99 * HOUR, None, MAX_CREDITS, id="no more than are needed"),
        pytest.param(99 * HOUR, 3.0, 3.1, id="what is known counts"),
        pytest.param(0, 0.0, 0.1, id="none are left"),
        pytest.param(0, MAX_CREDITS, MAX_CREDITS, id="never more"),
    ],
)
def test_poll_credit_grows_while_the_eta_is_far(
    age: float, spare: float | None, polls: float
) -> None:
    interval = next_poll(60.0, None, age, spare)
    assert interval.seconds == 60.0
    assert interval.credits == pytest.approx(polls)


@pytest.mark.parametrize(
    ("spare", "seconds", "left"),
    [
        pytest.param(0.5, 30.0, 0.05, id="just enough"),
        pytest.param(0.49, 60.0, 0.59, id="not enough"),
    ],
)
def test_closer_poll_uses_poll_credit(spare: float, seconds: float, left: float) -> None:
    """By the half of the poll that comes early; credit grows for the time that the poll waits."""
    interval = next_poll(60.0, 300.0, 0.0, spare)
    assert interval.seconds == seconds
    assert interval.credits == pytest.approx(left)


@given(
    st.sampled_from([1.0, 7.0, 60.0, 600.0, 3600.0]),
    st.lists(st.none() | st.floats(-1e4, 1e5), min_size=1, max_size=200),
    st.floats(0, 1e5),
)
def test_closer_polls_add_at_most_a_tenth_over_any_run(
    asked: float, ends: list[float | None], age: float
) -> None:
    """The bound holds for any ETA, and any changes of the ETA."""
    spare: float | None = None
    passed = 0.0
    for polls, to_end in enumerate(ends, 1):
        interval = next_poll(asked, to_end, age + passed, spare)
        assert min(asked, CLOSEST) <= interval.seconds <= asked
        assert 0 <= interval.credits <= MAX_CREDITS
        passed, spare = passed + interval.seconds, interval.credits
        # For a run that was observed late, its earlier credit counts, too.
        assert polls <= 1.1 * passed / asked + 0.1 * age / asked + 1e-6


@pytest.mark.parametrize(
    ("error", "late"), [(0.0, 5), (0.01, 15), (0.05, 30)], ids=["exact", "by 1 %", "by 5 %"]
)
def test_end_near_the_eta_is_seen_sooner_than_by_even_polls(error: float, late: float) -> None:
    """A poll each minute shows the end 30 seconds late on average, for runs of 6 to 12 hours."""
    jitter, latest, polls, asked = Random(1), 0.0, 0, 0.0  # noqa: S311 - repeatable on purpose
    for _ in range(200):
        end = 6 * HOUR * (1 + jitter.random())
        expected = end * (1 + jitter.uniform(-error, error))
        now, spare = jitter.uniform(0, MINUTE), None
        while now < end:
            interval = next_poll(MINUTE, expected - now, now, spare)
            now, spare = now + jittered(interval.seconds, jitter.random()), interval.credits
            polls += 1
        latest += now - end
        asked += now / MINUTE
    assert polls <= 1.1 * asked
    assert latest / 200 <= late


@pytest.mark.parametrize(
    ("jitter", "seconds"), [(0.0, 114.0), (0.5, 120.0), (1.0, 126.0)], ids=["least", "mean", "most"]
)
def test_poll_intervals_are_jittered(jitter: float, seconds: float) -> None:
    assert jittered(120.0, jitter) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("granted_interval", "wanted", "kept"),
    [
        pytest.param(GrantedInterval(), None, 60, id="as asked for"),
        pytest.param(GrantedInterval(), 5, 5, id="as wanted near the end"),
        pytest.param(GrantedInterval(59), None, 60, id="asked for less than is left"),
        pytest.param(GrantedInterval(180), None, 180, id="asked for more than is left"),
        pytest.param(GrantedInterval(180), 5, 15, id="near the end, as much closer as wanted"),
        pytest.param(
            GrantedInterval(180, 0.5), 20, 90, id="near the end, half of the polls on top"
        ),
        pytest.param(
            GrantedInterval(180, 0.0), 5, 180, id="near the end, but nothing is left for that"
        ),
    ],
)
def test_granted_interval_is_kept(
    granted_interval: GrantedInterval, wanted: float | None, kept: float
) -> None:
    assert granted_interval.granted(60, wanted) == pytest.approx(kept)


@pytest.mark.parametrize(
    ("floor", "shown"),
    [
        pytest.param(0, None, id="as asked for"),
        pytest.param(89, None, id="about as asked for"),
        pytest.param(90, 120, id="a minute and a half is reported as two"),
        pytest.param(120, 120, id="exactly two"),
        pytest.param(121, 300, id="a little more"),
        pytest.param(660, 1200, id="eleven"),
        pytest.param(120000, 86400, id="more than a day is reported as one"),
    ],
)
def test_reported_interval_is_rounded_coarsely(floor: float, shown: int | None) -> None:
    assert shown_interval(60.0, floor) == shown


@given(st.floats(7.5, 5000))
def test_reported_interval_is_near_and_not_below_the_granted(floor: float) -> None:
    shown = shown_interval(5.0, floor)
    assert shown is not None
    assert floor <= shown <= 3 * floor
