"""core/progress.py: stages, ratings and the expected end, with the bounds of DESIGN §2."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.core.progress import (
    elapsed_share,
    estimated_completion,
    rating_of,
    stage_of,
)
from tests.unit.core.builders import EIGHT, at


@pytest.mark.parametrize(
    ("progress", "stage"),
    [
        (-1, "DataPreprocessing"),
        (0, "DataPreprocessing"),
        (9, "DataPreprocessing"),
        (10, "InitialEpochs"),
        (29, "InitialEpochs"),
        (30, "MainTraining"),
        (69, "MainTraining"),
        (70, "FineTuning"),
        (89, "FineTuning"),
        (90, "FinalEvaluation"),
        (100, "FinalEvaluation"),
        (250, "FinalEvaluation"),
    ],
)
def test_a_lower_bound_belongs_to_the_later_stage(progress: int, stage: str) -> None:
    assert stage_of(progress) == stage


@pytest.mark.parametrize(
    ("wer", "rating"),
    [
        ("0", "Excellent"),
        ("9.9999", "Excellent"),
        ("10", "VeryGood"),
        ("14.9999", "VeryGood"),
        ("15", "Good"),
        ("25", "Good"),
        ("25.0", "Good"),
        ("25.0001", "Poor"),
        ("130", "Poor"),
    ],
)
def test_a_word_error_rate_is_rated(wer: str, rating: str) -> None:
    assert rating_of(Decimal(wer)) == rating


@pytest.mark.parametrize(
    ("progress", "share"),
    [
        (0, 0),
        (5, 0.25 / 8),
        (10, 0.5 / 8),
        (40, 3 / 8),
        (50, 0.5),
        (75, 0.75),
        (95, 7.5 / 8),
        (100, 1),
        (120, 1),
    ],
)
def test_the_share_of_the_time_follows_the_documents_timeline(progress: int, share: float) -> None:
    assert elapsed_share(progress) == pytest.approx(share)


def test_progress_below_nothing_is_nothing() -> None:
    assert elapsed_share(-5) == 0


@given(st.integers(0, 99))
def test_the_share_grows_with_the_progress(progress: int) -> None:
    assert elapsed_share(progress) < elapsed_share(progress + 1)


@pytest.mark.parametrize(
    ("progress", "now"),
    [
        (10, at(minutes=30)),
        (30, at(hours=2)),
        (50, at(hours=4)),
        (75, at(hours=6)),
        (95, at(hours=7.5)),
        (100, at(hours=8)),
    ],
)
def test_the_documents_run_is_expected_to_end_after_eight_hours(
    progress: int, now: datetime
) -> None:
    assert estimated_completion(EIGHT, progress, now) == at(hours=8)


@pytest.mark.parametrize(
    ("started_at", "progress", "now"),
    [
        pytest.param(None, 50, at(hours=4), id="start unknown"),
        pytest.param(EIGHT, None, at(hours=4), id="progress unknown"),
        pytest.param(EIGHT, 9, at(hours=4), id="too early to tell"),
        pytest.param(EIGHT, 50, EIGHT, id="no time has passed"),
        pytest.param(at(hours=5), 50, at(hours=4), id="started in the future"),
    ],
)
def test_without_enough_to_go_by_no_end_is_told(
    started_at: datetime | None, progress: int | None, now: datetime
) -> None:
    assert estimated_completion(started_at, progress, now) is None


@given(st.integers(10, 200), st.integers(1, 10**9), st.integers(0, 999_999))
def test_an_end_is_never_expected_in_the_past(progress: int, seconds: int, micro: int) -> None:
    now = EIGHT + timedelta(seconds=seconds, microseconds=micro)
    end = estimated_completion(EIGHT, progress, now)
    assert end is not None
    assert end >= now.replace(microsecond=0)
    assert end.microsecond == 0
