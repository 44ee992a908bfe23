"""Stage, rating and expected end of a run, from what the API tells.

Source of all numbers: the remote API's document ("Training Progress States", "Training Timeline",
"Interpreting Results").
"""

from bisect import bisect_right
from datetime import datetime, timedelta
from decimal import Decimal

from scriptix_operator.api.reasons import Rating, Stage

__all__ = ["estimated_completion", "rating_of", "stage_of"]

STAGES = (
    (0, Stage.DATA_PREPROCESSING),
    (10, Stage.INITIAL_EPOCHS),
    (30, Stage.MAIN_TRAINING),
    (70, Stage.FINE_TUNING),
    (90, Stage.FINAL_EVALUATION),
)

TIMELINE = ((0, 0.0), (5, 0.25), (10, 0.5), (30, 2.0), (50, 4.0), (75, 6.0), (95, 7.5), (100, 8.0))
"""Percent against hours for the document's 20-hour dataset: progress is not linear in time."""

EXCELLENT_BELOW, VERY_GOOD_BELOW, GOOD_UP_TO = 10, 15, 25

MIN_PROGRESS_FOR_ETA = 10
"""Below it the elapsed time says too little: preprocessing does not scale with the epochs."""


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


def elapsed_share(progress: int) -> float:
    """Share (0 to 1) of a run's whole duration that has passed at `progress` percent."""
    progress = min(max(progress, 0), 100)
    total = TIMELINE[-1][1]
    index = bisect_right(TIMELINE, progress, key=lambda row: row[0])
    if index == len(TIMELINE):
        return 1.0
    (low, since), (high, until) = TIMELINE[index - 1], TIMELINE[index]
    return (since + (until - since) * (progress - low) / (high - low)) / total


def estimated_completion(
    started_at: datetime | None, progress: int | None, now: datetime
) -> datetime | None:
    """When a run is expected to end, never before `now`; None where it cannot be told yet."""
    if started_at is None or progress is None or progress < MIN_PROGRESS_FOR_ETA:
        return None
    elapsed = (now - started_at).total_seconds()
    if elapsed <= 0:
        return None
    expected = started_at + timedelta(seconds=elapsed / elapsed_share(progress))
    return max(expected, now).replace(microsecond=0)
