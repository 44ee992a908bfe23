"""core/model/progress.py: stages and ratings, with both sides of their bounds."""

from decimal import Decimal

import pytest

from scriptix_operator.core.model.progress import rating_of, stage_of


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
