"""The documented timeline, and others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_simulator.timeline import DOCUMENT, Timeline, stage

shares = st.floats(0, 1)

SLOW_START = Timeline(((0, 0), (1, 0), (4, 10), (5, 90), (7, 90), (10, 100)))
timelines = pytest.mark.parametrize(
    "timeline", [DOCUMENT, SLOW_START], ids=["document", "slow start"]
)


@pytest.mark.parametrize(
    ("hour", "percent"),
    [(0, 0), (0.25, 5), (0.5, 10), (2, 30), (4, 50), (6, 75), (7.5, 95), (8, 100)],
)
def test_the_points_of_the_document_are_met(hour: float, percent: float) -> None:
    assert DOCUMENT.progress_at(hour / 8) == pytest.approx(percent)
    assert DOCUMENT.share_at(percent) == pytest.approx(hour / 8)


def test_between_two_points_progress_is_linear() -> None:
    assert DOCUMENT.progress_at(3 / 8) == pytest.approx(40)


@timelines
@given(shares, shares)
def test_progress_never_falls(timeline: Timeline, one: float, other: float) -> None:
    assert timeline.progress_at(min(one, other)) <= timeline.progress_at(max(one, other))


@timelines
@given(st.floats(0, 100))
def test_a_share_leads_back_to_its_progress(timeline: Timeline, progress: float) -> None:
    assert timeline.progress_at(timeline.share_at(progress)) == pytest.approx(progress, abs=1e-9)


@pytest.mark.parametrize(
    ("progress", "hour"), [(-1, 0), (0, 0), (5, 2.5), (10, 4), (90, 5), (95, 8.5), (101, 10)]
)
def test_share_of_a_progress_is_its_first_occurrence(progress: float, hour: float) -> None:
    assert SLOW_START.share_at(progress) == pytest.approx(hour / 10)


@pytest.mark.parametrize(
    ("points", "said"),
    [
        ((), "two points at least"),
        (((0.0, 0.0),), "two points at least"),
        (((0.5, 0.0), (8.0, 100.0)), "begins with"),
        (((0.0, 1.0), (8.0, 100.0)), "begins with"),
        (((0.0, 0.0), (8.0, 99.9)), "ends at 100"),
        (((0.0, 0.0), (2.0, 10.0), (2.0, 20.0), (8.0, 100.0)), "2 does not to 2"),
        (((0.0, 0.0), (2.0, 10.0), (3.0, 9.9), (8.0, 100.0)), "from 10 to 9.9"),
    ],
)
def test_invalid_timeline_is_refused(points: tuple[tuple[float, float], ...], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Timeline(points)


@given(shares)
def test_progress_leads_back_to_its_share(share: float) -> None:
    assert DOCUMENT.share_at(DOCUMENT.progress_at(share)) == pytest.approx(share, abs=1e-9)


def test_outside_the_run_progress_stays_put() -> None:
    assert DOCUMENT.progress_at(-1) == 0
    assert DOCUMENT.progress_at(2) == 100


@pytest.mark.parametrize(
    ("progress", "name"),
    [
        (0, "Data preprocessing"),
        (9.9, "Data preprocessing"),
        (10, "Initial training epochs"),
        (30, "Main training"),
        (70, "Fine-tuning"),
        (90, "Final evaluation"),
        (100, "Final evaluation"),
    ],
)
def test_a_bound_belongs_to_the_later_stage(progress: float, name: str) -> None:
    assert stage(progress) == name
