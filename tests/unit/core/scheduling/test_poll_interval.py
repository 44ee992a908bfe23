"""core/scheduling/poll_interval.py: how far apart looks are, and what is told of that."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.core.scheduling.poll_interval import (
    CLOSEST,
    MAX_SPARE,
    GrantedInterval,
    next_poll,
    reported_interval,
    shown_interval,
    spread,
)

MINUTE, HOUR = 60.0, 3600.0


@pytest.mark.parametrize(
    ("to_end", "seconds"),
    [
        pytest.param(None, 60, id="the end is not known"),
        pytest.param(8 * HOUR, 60, id="far from it"),
        pytest.param(600, 60, id="ten times the interval away"),
        pytest.param(599, 59.9, id="closer"),
        pytest.param(300, 30, id="half as far"),
        pytest.param(50, 5, id="the closest"),
        pytest.param(0, 5, id="at the end"),
        pytest.param(-40, 5, id="just after it"),
        pytest.param(-300, 30, id="overdue"),
        pytest.param(-601, 60, id="long overdue"),
    ],
)
def test_looks_are_closer_around_the_expected_end(to_end: float | None, seconds: float) -> None:
    assert next_poll(60.0, to_end, 8 * HOUR, None).seconds == pytest.approx(seconds)


@pytest.mark.parametrize("asked", [1.0, 4.9, CLOSEST])
@pytest.mark.parametrize("to_end", [None, 0.0, 9999.0])
def test_whoever_asks_for_less_than_the_closest_has_it_all_the_time(
    asked: float, to_end: float | None
) -> None:
    assert next_poll(asked, to_end, HOUR, None).seconds == asked


@pytest.mark.parametrize(
    ("age", "spare", "polls"),
    [
        pytest.param(0, None, 0.1, id="a run that has just begun"),
        pytest.param(HOUR, None, 6.1, id="a tenth of its looks so far"),
        pytest.param(99 * HOUR, None, MAX_SPARE, id="no more than are needed"),
        pytest.param(99 * HOUR, 3.0, 3.1, id="what is known counts"),
        pytest.param(0, 0.0, 0.1, id="none are left"),
        pytest.param(0, MAX_SPARE, MAX_SPARE, id="never more"),
    ],
)
def test_looks_are_saved_up_as_long_as_the_end_is_far(
    age: float, spare: float | None, polls: float
) -> None:
    interval = next_poll(60.0, None, age, spare)
    assert interval.seconds == 60.0
    assert interval.spare == pytest.approx(polls)


@pytest.mark.parametrize(
    ("spare", "seconds", "left"),
    [
        pytest.param(0.5, 30.0, 0.05, id="just enough"),
        pytest.param(0.49, 60.0, 0.59, id="not enough"),
    ],
)
def test_a_closer_look_is_paid_for_by_what_was_saved(
    spare: float, seconds: float, left: float
) -> None:
    """By the half of one that it comes early; and it saves up for the time that it waits."""
    interval = next_poll(60.0, 300.0, 0.0, spare)
    assert interval.seconds == seconds
    assert interval.spare == pytest.approx(left)


@given(
    st.sampled_from([1.0, 7.0, 60.0, 600.0, 3600.0]),
    st.lists(st.none() | st.floats(-1e4, 1e5), min_size=1, max_size=200),
    st.floats(0, 1e5),
)
def test_over_any_run_no_more_than_a_tenth_of_the_looks_come_on_top(
    asked: float, ends: list[float | None], age: float
) -> None:
    """Whatever is expected of it, and however often that changes."""
    spare: float | None = None
    passed = 0.0
    for polls, to_end in enumerate(ends, 1):
        interval = next_poll(asked, to_end, age + passed, spare)
        assert min(asked, CLOSEST) <= interval.seconds <= asked
        assert 0 <= interval.spare <= MAX_SPARE
        passed, spare = passed + interval.seconds, interval.spare
        # Of a run that was seen late, what it has saved before that counts, too.
        assert polls <= 1.1 * passed / asked + 0.1 * age / asked + 1e-6


@pytest.mark.parametrize(
    ("error", "late"), [(0.0, 5), (0.01, 15), (0.05, 30)], ids=["exact", "by 1 %", "by 5 %"]
)
def test_an_end_near_the_expected_is_seen_sooner_than_by_looks_all_alike(
    error: float, late: float
) -> None:
    """A look a minute tells of it 30 seconds late in the mean; after runs of 6 to 12 hours."""
    jitter, latest, polls, asked = Random(1), 0.0, 0, 0.0  # noqa: S311 - repeatable on purpose
    for _ in range(200):
        end = 6 * HOUR * (1 + jitter.random())
        expected = end * (1 + jitter.uniform(-error, error))
        now, spare = jitter.uniform(0, MINUTE), None
        while now < end:
            interval = next_poll(MINUTE, expected - now, now, spare)
            now, spare = now + spread(interval.seconds, jitter.random()), interval.spare
            polls += 1
        latest += now - end
        asked += now / MINUTE
    assert polls <= 1.1 * asked
    assert latest / 200 <= late


@pytest.mark.parametrize(
    ("jitter", "seconds"), [(0.0, 114.0), (0.5, 120.0), (1.0, 126.0)], ids=["least", "mean", "most"]
)
def test_intervals_vary_a_little(jitter: float, seconds: float) -> None:
    assert spread(120.0, jitter) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("granted_interval", "wanted", "kept"),
    [
        pytest.param(GrantedInterval(), None, 60, id="as asked for"),
        pytest.param(GrantedInterval(), 5, 5, id="as wanted near the end"),
        pytest.param(GrantedInterval(59), None, 60, id="asked for less than is left"),
        pytest.param(GrantedInterval(180), None, 180, id="asked for more than is left"),
        pytest.param(GrantedInterval(180), 5, 15, id="near the end, as much closer as wanted"),
        pytest.param(
            GrantedInterval(180, 0.5), 20, 90, id="near the end, half of the looks on top"
        ),
        pytest.param(
            GrantedInterval(180, 0.0), 5, 180, id="near the end, but nothing is left for that"
        ),
    ],
)
def test_an_interval_is_kept_as_the_key_allows(
    granted_interval: GrantedInterval, wanted: float | None, kept: float
) -> None:
    assert granted_interval.kept(60, wanted) == pytest.approx(kept)


@pytest.mark.parametrize(
    ("floor", "shown"),
    [
        pytest.param(0, None, id="as asked for"),
        pytest.param(89, None, id="about as asked for"),
        pytest.param(90, 120, id="a minute and a half is told as two"),
        pytest.param(120, 120, id="exactly two"),
        pytest.param(121, 180, id="a little more"),
        pytest.param(660, 900, id="eleven"),
        pytest.param(120000, 86400, id="more than a day is told as one"),
    ],
)
def test_an_interval_worth_telling_is_told_in_coarse_steps(floor: float, shown: int | None) -> None:
    assert shown_interval(60.0, floor) == shown


@pytest.mark.parametrize(
    ("events", "floor", "shown"),
    [
        pytest.param(120, 150, 120, id="a little longer than told"),
        pytest.param(120, 151, 180, id="longer than told"),
        pytest.param(180, 97, 180, id="a little shorter than told"),
        pytest.param(180, 96, 120, id="shorter than told"),
        pytest.param(120, 70, 120, id="still longer than asked for"),
        pytest.param(120, 65, None, id="about as asked for again"),
        pytest.param(None, 89, None, id="not told before"),
        pytest.param(86400, 120000, 86400, id="longer than any that is told"),
    ],
)
def test_what_was_told_stays_while_it_is_about_right(
    events: int | None, floor: float, shown: int | None
) -> None:
    assert shown_interval(60.0, floor, events) == shown


@given(st.floats(1, 5000), st.lists(st.floats(1, 1.2), min_size=2))
def test_an_interval_that_wavers_by_a_fifth_is_told_twice_at_most(
    floor: float, wavers: list[float]
) -> None:
    """Each time that it is told anew is a status write for each resource of the key."""
    events, writes = None, 0
    for waver in wavers:
        before, events = events, shown_interval(5.0, floor * waver, events)
        writes += events != before
    assert writes <= 2


@given(st.floats(7.5, 5000))
def test_what_is_told_is_not_less_than_what_is_kept_nor_far_from_it(floor: float) -> None:
    shown = shown_interval(5.0, floor)
    assert shown is not None
    assert floor <= shown <= 2.5 * floor


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (2, "2s"),
        (45, "45s"),
        (60, "1m"),
        (2700, "45m"),
        (3599, "59m"),
        (3600, "1h"),
        (86400, "24h"),
    ],
)
def test_an_interval_in_words(seconds: int, text: str) -> None:
    assert reported_interval(seconds) == text
