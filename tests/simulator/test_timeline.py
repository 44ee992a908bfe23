"""The document's timeline."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_simulator.timeline import progress_at, share_at, stage

shares = st.floats(0, 1)


@pytest.mark.parametrize(
    ("hour", "percent"),
    [(0, 0), (0.25, 5), (0.5, 10), (2, 30), (4, 50), (6, 75), (7.5, 95), (8, 100)],
)
def test_the_points_of_the_document_are_met(hour: float, percent: float) -> None:
    assert progress_at(hour / 8) == pytest.approx(percent)
    assert share_at(percent) == pytest.approx(hour / 8)


def test_between_two_points_progress_is_linear() -> None:
    assert progress_at(3 / 8) == pytest.approx(40)


@given(shares, shares)
def test_progress_never_falls(one: float, other: float) -> None:
    assert progress_at(min(one, other)) <= progress_at(max(one, other))


@given(shares)
def test_progress_leads_back_to_its_share(share: float) -> None:
    assert share_at(progress_at(share)) == pytest.approx(share, abs=1e-9)


def test_outside_the_run_progress_stays_put() -> None:
    assert progress_at(-1) == 0
    assert progress_at(2) == 100


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
