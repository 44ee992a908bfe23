"""core/eta/estimate.py: the ETA of a run, and how long its stage may take."""

from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scriptix_operator.api.reasons import Stage
from scriptix_operator.core.eta.estimate import (
    FEW,
    LEAST_LEFT,
    TELLING,
    Estimate,
    Running,
    estimate,
    longest_stage,
)
from scriptix_operator.core.eta.timeline import (
    LONGEST,
    MILESTONES,
    NOT_REACHED,
    REFERENCE,
    PastRun,
    with_milestones,
)

HOUR = 3600.0


def even(hours: float, model_id: int = 7) -> PastRun:
    """A past run whose progress was even."""
    return PastRun.of(
        model_id, hours * HOUR, tuple(round(hours * 36 * milestone) for milestone in MILESTONES)
    )


def a_run(
    progress: int,
    hours: float,
    now: float | None = None,
    timeline: tuple[int, ...] = (),
) -> Running:
    """A run of model 7 that reached this progress in so many hours."""
    return Running(7, progress, hours * HOUR, (hours if now is None else now) * HOUR, timeline)


def likely(running: Running, past: Sequence[PastRun] = ()) -> float | None:
    """The estimated hours of the run (p50)."""
    expected = estimate(running, past)
    return None if expected is None else expected.likely / HOUR


def late(running: Running, past: Sequence[PastRun] = ()) -> float:
    """The estimated hours of the run (p90)."""
    expected = estimate(running, past)
    assert expected is not None
    return expected.late / HOUR


# Without any past run.


@pytest.mark.parametrize(
    ("progress", "hours"), [(10, 0.5), (30, 2), (50, 4), (75, 6), (95, 7.5), (99, 7.9)]
)
@pytest.mark.parametrize("granted_interval", [0.5, 1, 1.5])
def test_documents_run_has_an_eta_of_eight_hours_at_any_point(
    progress: int, hours: float, granted_interval: float
) -> None:
    """The estimate of a slower or faster run is in proportion."""
    timeline = tuple(
        round(REFERENCE.share(milestone) * 8 * HOUR * granted_interval) for milestone in MILESTONES
    )
    known = sum(milestone <= progress for milestone in MILESTONES)
    run = a_run(progress, hours * granted_interval, timeline=timeline[:known])
    assert likely(run) == pytest.approx(8 * granted_interval)


@pytest.mark.parametrize(
    ("progress", "hours"),
    [
        pytest.param(0, 4, id="no progress"),
        pytest.param(TELLING - 1, 4, id="preprocessing says nothing of the epochs"),
        pytest.param(50, 0, id="no time has passed"),
        pytest.param(50, -1, id="the clocks disagree"),
    ],
)
def test_no_eta_without_enough_progress(progress: int, hours: float) -> None:
    assert likely(a_run(progress, hours)) is None


@pytest.mark.parametrize(
    ("timeline", "hours"),
    [
        pytest.param((), 8, id="no milestone was seen: the past run counts"),
        pytest.param((NOT_REACHED,) * 5, 8, id="the milestones were missed"),
        pytest.param((1800, 4500, 7200, 10800, 14400), 8, id="it has that shape"),
        pytest.param((2690,), 8, id="nearly"),
        pytest.param((2710,), 4 + (4 - 2710 / 3600) / 40 * 50, id="not any more"),
        pytest.param((1210,), 8, id="nearly, on the other side"),
        pytest.param((1190,), 4 + (4 - 1190 / 3600) / 40 * 50, id="not any more, there"),
        pytest.param((0, NOT_REACHED, 3600), 4 + 3 / 20 * 50, id="by the first milestone seen"),
        pytest.param((NOT_REACHED,) * 4 + (3600,), 8, id="it has only just come there"),
    ],
)
def test_eta_of_a_run_of_another_shape_follows_its_pace(
    timeline: tuple[int, ...], hours: float
) -> None:
    """The document's run is at 50 % after 4 hours, too."""
    assert likely(a_run(50, 4, timeline=timeline)) == pytest.approx(hours)


def test_eta_of_an_even_run_is_exact_from_the_second_milestone() -> None:
    timeline = with_milestones((), 10, 0.8 * HOUR)
    errors = []
    for progress in range(20, 100, 5):
        hours = 8 * progress / 100
        timeline = with_milestones(timeline, progress, hours * HOUR)
        found = likely(a_run(progress, hours, timeline=timeline))
        assert found is not None
        errors.append(abs(found - 8))
    assert max(errors) <= 3
    assert max(errors[6:]) <= 1e-6


# With past runs.


def test_eta_is_the_median_of_past_run_estimates() -> None:
    slow_start = PastRun.of(
        7, 10 * HOUR, tuple(round(HOUR * (5 + milestone / 20)) for milestone in MILESTONES)
    )
    runs = [even(2), even(3), slow_start]
    assert likely(a_run(30, 2), runs[:1]) == pytest.approx(2 / 0.3)
    assert likely(a_run(30, 2), runs) == pytest.approx(2 / 0.3)
    # 65 % of the time has passed; of two estimates the middle counts.
    assert likely(a_run(30, 2), runs[2:]) == pytest.approx(2 / 0.65)
    assert likely(a_run(30, 2), runs[1:]) == pytest.approx((2 / 0.3 + 2 / 0.65) / 2)


def test_documents_run_counts_if_it_lies_among_few_past_runs() -> None:
    quick_start = PastRun.of(
        7, 10 * HOUR, tuple(round(HOUR * milestone / 20) for milestone in MILESTONES)
    )
    runs = [even(2), even(3), even(4), quick_start]
    # A quarter of the time by the document, 30 % and 15 % by these.
    assert likely(a_run(30, 2), runs) == pytest.approx(8)
    # The more past runs there are, the less the document's run weighs.
    assert likely(a_run(30, 2), [*runs, *runs]) == pytest.approx(2 / 0.3)
    assert likely(a_run(30, 2), runs[:3]) == pytest.approx(
        2 / 0.3
    )  # the document's run does not count


def test_past_runs_outweigh_the_milestones() -> None:
    assert likely(a_run(50, 4, timeline=(60,)), [even(3)]) == pytest.approx(8)


@pytest.mark.parametrize(
    ("past", "hours"),
    [
        pytest.param([even(3), even(5)], 4, id="as long as the model's runs took"),
        pytest.param([even(3), even(9, model_id=8), even(9, model_id=9)], 3, id="and not others'"),
        pytest.param([even(8, model_id=8), even(9, model_id=9)], 8.5, id="others' if it had none"),
        pytest.param([], None, id="unknown"),
    ],
)
def test_past_runs_of_the_model_give_an_eta_before_progress(
    past: list[PastRun], hours: float | None
) -> None:
    assert likely(a_run(9, 0.4), past) == (None if hours is None else pytest.approx(hours))


@pytest.mark.parametrize("progress", [TELLING, 100])
def test_past_runs_give_no_eta_while_no_time_has_passed(progress: int) -> None:
    assert likely(a_run(progress, 0), [even(3)]) is None


# The 90th percentile.


@pytest.mark.parametrize(
    ("runs", "later"),
    [
        pytest.param(1, 9, id="one: a quarter of the time left more"),
        pytest.param(FEW - 1, 9, id="nine: still few"),
        pytest.param(FEW, 8, id="ten: their own spread"),
    ],
)
def test_few_past_runs_do_not_narrow_the_p90_estimate(runs: int, later: float) -> None:
    """The document's run gives the same estimate, which does not count as evidence."""
    assert late(a_run(50, 4), [even(3)] * runs) == pytest.approx(later)


def test_nine_of_ten_runs_end_by_the_p90_estimate() -> None:
    past = [even(hours) for hours in range(1, 21)]
    assert likely(a_run(0, 0.5), past) == pytest.approx(10.5)
    assert late(a_run(0, 0.5), past) == pytest.approx(18)
    # With few runs, a p90 further away than a quarter.
    assert late(a_run(0, 0.5), past[:4]) == pytest.approx(4)


# Overdue.


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        pytest.param(7.999, Estimate(8 * HOUR, 9 * HOUR), id="not yet"),
        pytest.param(8, Estimate(8 * HOUR + LEAST_LEFT, 9 * HOUR), id="just now: a minute"),
        pytest.param(9, Estimate(9.5 * HOUR, 10.5 * HOUR), id="an hour: half of it again"),
        pytest.param(12, Estimate(14 * HOUR, 18 * HOUR), id="four hours"),
    ],
)
def test_eta_of_an_overdue_run_adds_half_the_overdue_time(now: float, expected: Estimate) -> None:
    found = estimate(a_run(50, 4, now), ())
    assert found is not None
    assert (found.likely, found.late) == pytest.approx((expected.likely, expected.late))


TIMELINES = st.lists(st.integers(-1, 10**5), max_size=len(MILESTONES)).map(tuple)
PAST = st.lists(
    st.builds(PastRun.of, st.sampled_from([7, 8]), st.floats(1, 1e5), TIMELINES), max_size=12
)


@given(st.integers(-5, 200), st.floats(0, 1e5), st.floats(0, 1e5), TIMELINES, PAST)
def test_eta_is_never_past_and_p90_never_before_p50(
    progress: int, seconds: float, since: float, timeline: tuple[int, ...], past: list[PastRun]
) -> None:
    now = seconds + since
    found = estimate(Running(7, progress, seconds, now, timeline), past)
    assert (found is None) == (not past if progress < TELLING else seconds <= 0)
    if found is not None:
        assert now < found.likely <= found.late


@given(st.integers(0, 100), st.floats(0, 1e12), TIMELINES, PAST)
@example(11, 23895.0, (1,), [])
def test_eta_is_a_date_for_any_progress(
    progress: int, seconds: float, timeline: tuple[int, ...], past: list[PastRun]
) -> None:
    found = estimate(Running(7, progress, seconds, 3600.0, timeline), past)
    assert found is None or found.late <= LONGEST + 3600.0


# The duration of a stage.


@pytest.mark.parametrize(
    ("expected", "hours"),
    [
        pytest.param(None, 3.6, id="no end is expected: the document's"),
        pytest.param(4 * HOUR, 3.6, id="a faster run is given as much"),
        pytest.param(8 * HOUR, 3.6, id="just as the document's"),
        pytest.param(16 * HOUR, 7.2, id="a slower one is given more"),
    ],
)
def test_stage_may_last_as_long_as_in_the_documents_run(
    expected: float | None, hours: float
) -> None:
    assert longest_stage(Stage.MAIN_TRAINING, expected, ()) == pytest.approx(hours * HOUR)


def test_stage_may_last_as_long_as_in_any_past_run() -> None:
    past = [even(3), even(5), even(4)]
    assert longest_stage(Stage.MAIN_TRAINING, 99 * HOUR, past) == pytest.approx(2 * HOUR)
