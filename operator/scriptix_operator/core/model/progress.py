"""Stage and rating of a run, from the API's progress and metrics.

Source of all numbers: the remote API's document ("Training Progress States", "Interpreting
Results").
"""

from bisect import bisect_right
from decimal import Decimal

from scriptix_operator.api.reasons import Rating, Stage

__all__ = ["DONE", "STAGES", "rating_of", "stage_of"]

DONE = 100
"""Percent of a completed run."""
STAGES = (
    (0, Stage.DATA_PREPROCESSING),
    (10, Stage.INITIAL_EPOCHS),
    (30, Stage.MAIN_TRAINING),
    (70, Stage.FINE_TUNING),
    (90, Stage.FINAL_EVALUATION),
)
"""The percent at which each stage begins."""

EXCELLENT_BELOW, VERY_GOOD_BELOW, GOOD_UP_TO = 10, 15, 25


def stage_of(progress: int) -> Stage:
    """The stage that `progress` percent belongs to; a lower bound belongs to the later stage."""
    return STAGES[max(bisect_right(STAGES, progress, key=lambda row: row[0]) - 1, 0)][1]


def rating_of(word_error_rate: Decimal) -> Rating:
    """What a word error rate (percent) means in practice."""
    if word_error_rate < EXCELLENT_BELOW:
        return Rating.EXCELLENT
    if word_error_rate < VERY_GOOD_BELOW:
        return Rating.VERY_GOOD
    return Rating.GOOD if word_error_rate <= GOOD_UP_TO else Rating.POOR
