"""core/follow/progressing.py: what a poll says of a running run."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import Reason
from scriptix_operator.api.status import LearningPoint, TrainingStatus
from scriptix_operator.core.eta.timeline import MILESTONES, NOT_REACHED, PastRun
from scriptix_operator.core.follow.progressing import (
    running,
    training_reason,
    with_milestones_of,
    without_poll_facts,
)
from scriptix_operator.core.status.conditions import ConditionReason
from tests.unit.core.builders import EIGHT, a_model, a_run, a_status, at, followed

HOUR = 3600.0
ADOPTED = a_run(ownership="Adopted", claimed_at=at(hours=3))


def poll(
    progress: int | None, now: datetime, status: TrainingStatus | None = None, *past: PastRun
) -> TrainingStatus:
    """The facts after a poll that shows so much progress."""
    model = a_model(3, progress=progress, started_at=EIGHT)
    return running(status or followed(), model, now, 7, past)[0]


def even(hours: float) -> PastRun:
    """A past run of the model whose progress was even."""
    return PastRun.of(
        7, hours * HOUR, tuple(round(hours * 36 * milestone) for milestone in MILESTONES)
    )


# Progress.


def test_poll_records_progress_stage_and_time() -> None:
    status = poll(50, at(hours=4, seconds=0.25))
    assert (status.progress, status.stage) == (50, "MainTraining")
    assert status.last_progress_at == at(hours=4)


def test_poll_without_changes_changes_no_status() -> None:
    status = poll(50, at(hours=4))
    assert poll(50, at(hours=7), status) == status
    assert poll(None, at(hours=7), status) == status


def test_absent_progress_is_not_zero() -> None:
    status = poll(None, at(hours=1))
    assert (status.progress, status.stage, status.last_progress_at) == (None, None, None)
    assert (status.timeline, status.estimated_completion_at) == ((), None)


def test_decreased_progress_is_shown_and_counts_as_a_change() -> None:
    status = poll(40, at(hours=7), poll(75, at(hours=6)))
    assert (status.progress, status.stage) == (40, "MainTraining")
    assert status.last_progress_at == at(hours=7)


def test_run_start_time_is_recorded_once() -> None:
    status = poll(0, at(hours=1), followed(started_at=None))
    assert status.started_at == EIGHT
    later = a_model(3, progress=1, started_at=at(hours=2))
    assert running(status, later, at(hours=3), 7, ())[0].started_at == EIGHT


@pytest.mark.parametrize(
    ("later", "progress", "said"),
    [
        (59, 51, False),
        (60, 51, True),
        (60, None, True),
        (59, None, False),
        (1, 50, False),
        (1, 49, True),
        (0, 49, False),
        (-1, 49, False),
        (-60, 51, False),
        (None, 49, False),
    ],
)
def test_later_run_start_time_is_reported_from_a_minute_on(
    later: int | None, progress: int | None, *, said: bool
) -> None:
    start = None if later is None else at(seconds=later)
    model = a_model(3, progress=progress, started_at=start)
    _, note = running(followed(progress=50), model, at(hours=3), 7, ())
    text = (
        " The API reports a newer start time than that of this run; another client may have "
        "started "
        "the model."
    )
    assert note.message.endswith(text) == said


def test_start_time_of_the_reply_is_not_compared_with_a_poll() -> None:
    run = a_run(ownership="Owned", claimed_at=EIGHT)
    unseen = followed(run=run, started_at=at(hours=-1), progress=50)
    model = a_model(3, progress=49, started_at=EIGHT)
    assert "someone else" not in running(unseen, model, at(hours=3), 7, ())[1].message


# Progress milestones and the ETA.


@pytest.mark.parametrize(
    ("facts", "began"),
    [
        pytest.param({}, EIGHT, id="ours, from the intent on by our clock"),
        pytest.param({"started_at": at(hours=-1)}, EIGHT, id="whatever the API's clock says"),
        pytest.param({"run": ADOPTED}, EIGHT, id="adopted: by the API's clock"),
        pytest.param({"run": ADOPTED, "started_at": at(minutes=30)}, at(minutes=30), id="only"),
        pytest.param({"run": None}, EIGHT, id="without a run: by the API's clock"),
    ],
)
def test_elapsed_time_uses_the_clock_of_the_start_time(
    facts: dict[str, Any], began: datetime
) -> None:
    status = poll(10, at(hours=1), followed(**facts))
    seconds = (at(hours=1) - began).total_seconds()
    assert status.timeline == (seconds,)
    assert status.estimated_completion_at == began + timedelta(seconds=16 * seconds)


def test_run_without_a_start_time_has_no_milestones_and_no_eta() -> None:
    status = followed(run=ADOPTED, started_at=None)
    model = a_model(3, progress=50)
    status, _ = running(status, model, at(hours=4), 7, ())
    assert (status.progress, status.timeline, status.estimated_completion_at) == (50, (), None)
    assert with_milestones_of(status, 60, at(hours=5)) == status


def test_milestones_are_recorded_as_they_are_passed() -> None:
    status = followed()
    for progress, hours in ((5, 0.2), (12, 0.5), (47, 3), (30, 3.5), (50, 4)):
        status = poll(progress, at(hours=hours), status)
    assert status.timeline == (1800, NOT_REACHED, NOT_REACHED, NOT_REACHED, 14400)
    assert with_milestones_of(status, 60, at(hours=4.5)).timeline == (*status.timeline, 16200)


def test_eta_follows_the_documents_timeline_and_has_a_p90() -> None:
    status = poll(50, at(hours=4))
    assert status.estimated_completion_at == at(hours=8)
    assert status.estimated_completion_p90_at == at(hours=9)


def test_eta_follows_past_runs_where_there_are_any() -> None:
    status = poll(20, at(hours=1), None, even(3))
    assert status.estimated_completion_at == at(hours=5)
    status = poll(0, at(minutes=1), None, even(3))
    assert status.estimated_completion_at == at(hours=3)


def test_below_ten_percent_the_eta_is_cleared() -> None:
    assert poll(9, at(hours=1)).estimated_completion_at is None
    status = poll(9, at(hours=5), poll(50, at(hours=4)))
    assert (status.estimated_completion_at, status.estimated_completion_p90_at) == (None, None)


@pytest.mark.parametrize(
    ("progress", "now", "is_new"),
    [
        pytest.param(50, at(hours=7.99), False, id="not yet"),
        pytest.param(50, at(hours=8), False, id="just now"),
        pytest.param(50, at(hours=8, seconds=1), True, id="overdue"),
        pytest.param(51, at(hours=4.1), True, id="there is progress"),
    ],
)
def test_eta_is_computed_again_on_progress_or_when_overdue(
    progress: int,
    now: datetime,
    is_new: bool,  # noqa: FBT001 - the expected value
) -> None:
    status = poll(50, at(hours=4))
    later = poll(progress, now, status)
    assert (later != status) == is_new
    assert later.estimated_completion_at is not None
    assert later.estimated_completion_at >= now - timedelta(seconds=1)


def test_eta_is_kept_at_100_percent() -> None:
    """Otherwise each poll would change the ETA."""
    status = poll(100, at(hours=8))
    assert poll(100, at(hours=9), status) == status


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 300)), max_size=30))
def test_eta_is_never_past_and_is_to_the_second(
    polls: list[tuple[int, int]],
) -> None:
    status, now = followed(), at(seconds=0.5)
    for progress, minutes in polls:
        now += timedelta(minutes=minutes)
        status = poll(progress, now, status)
        end, late = status.estimated_completion_at, status.estimated_completion_p90_at
        if end is not None and progress < 100:
            assert now - timedelta(seconds=1) <= end
            assert late is not None
            assert end <= late
        assert TrainingStatus.model_validate(status.model_dump(mode="json")) == status


# Stalled progress.


def still(
    progress: int, hours: float, *past: PastRun, status: TrainingStatus | None = None
) -> float | None:
    """Hours without progress after which a run with this progress counts as stalled."""
    status = poll(progress, at(hours=hours), status, *past)
    for minutes in range(0, 24 * 60, 5):
        now = at(hours=hours, minutes=minutes)
        status = poll(progress, now, status, *past)
        if status.progress_stalled_at is not None:
            assert status.progress_stalled_at <= now
            return (status.progress_stalled_at - at(hours=hours)).total_seconds() / 3600
    return None


@pytest.mark.parametrize(
    ("progress", "hours", "after"),
    [
        pytest.param(0, 0, 1.5 * 0.5, id="preprocessing"),
        pytest.param(10, 0.5, 1.5 * 1.5, id="first epochs"),
        pytest.param(50, 4, 1.5 * 3.6, id="main training"),
        pytest.param(69, 5.5, 1.5 * 3.6, id="at its end"),
        pytest.param(95, 7.5, 1.5 * 0.875, id="evaluation"),
        pytest.param(50, 2, 1.5 * 3.6, id="a faster run has as long"),
        pytest.param(50, 8, 1.5 * 7.2, id="a slower one has longer"),
        pytest.param(100, 8, 1.5 * 0.875, id="all done, without an outcome"),
    ],
)
def test_run_stalls_without_progress_beyond_the_stage_duration(
    progress: int, hours: float, after: float
) -> None:
    """The number of ETA computations meanwhile does not matter."""
    assert still(progress, hours) == pytest.approx(after, abs=0.05)


@pytest.mark.parametrize(
    ("past", "after"),
    [
        pytest.param([even(5)], 1.5 * 2, id="as long as the stage took before"),
        pytest.param([even(3), even(10)], 1.5 * 4, id="the longest"),
        pytest.param([even(0.1)], 1 / 6, id="ten minutes at least"),
    ],
)
def test_run_stalls_beyond_the_longest_stage_of_past_runs(
    past: list[PastRun], after: float
) -> None:
    assert still(50, 4, *past) == pytest.approx(after)


def test_stalled_run_is_reported_until_there_is_progress() -> None:
    status = poll(50, at(hours=4))
    late = at(hours=9.4)
    assert poll(50, late - timedelta(seconds=1), status).progress_stalled_at is None
    status = poll(50, late, status)
    assert status.progress_stalled_at == late
    status = poll(50, at(hours=12), status)
    assert status.progress_stalled_at == late
    # Another run took longer meanwhile: the time of the stall is kept.
    assert poll(50, at(hours=12), status, even(99)).progress_stalled_at == late
    status = poll(51, at(hours=13), status)
    assert status.progress_stalled_at is None
    assert poll(50, at(hours=14), status).progress_stalled_at is None


def test_clock_set_back_stalls_no_run() -> None:
    status = replace(poll(50, at(hours=4)), progress_stalled_at=at(hours=3))
    assert poll(50, at(hours=5), status).progress_stalled_at is None
    ahead = replace(poll(50, at(hours=4)), progress_stalled_at=at(hours=20))
    assert poll(50, at(hours=5), ahead).progress_stalled_at is None


def test_run_without_progress_or_start_time_is_not_stalled() -> None:
    assert poll(None, at(hours=99)).progress_stalled_at is None
    unknown = followed(run=ADOPTED, started_at=None, progress=50, last_progress_at=EIGHT)
    status, _ = running(unknown, a_model(3, progress=50), at(hours=5), 7, ())
    assert status.progress_stalled_at is None
    status, _ = running(unknown, a_model(3, progress=50), at(hours=6), 7, ())
    assert status.progress_stalled_at == at(hours=5.4)


def test_fields_of_polling_are_cleared_without_polls() -> None:
    cleared = without_poll_facts(poll(50, at(hours=20), poll(50, at(hours=4))))
    assert cleared == followed(
        progress=50,
        stage="MainTraining",
        last_progress_at=at(hours=4),
        timeline=(NOT_REACHED,) * 4 + (14400,),
    )


# Messages.

POINTS = [LearningPoint(epoch=n, of=20, word_error_rate=f"{50 - n}.5") for n in (1, 5)]


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        pytest.param({}, "The run is in progress.", id="nothing is known"),
        pytest.param(
            {"progress": 50, "stage": "MainTraining"},
            "The run is in stage MainTraining, at 50%.",
            id="progress",
        ),
        pytest.param(
            {"progress": 99, "stage": "FinalEvaluation"},
            "The run is in stage FinalEvaluation, at 99%.",
            id="nearly done",
        ),
        pytest.param(
            {"progress": 100, "stage": "FinalEvaluation"},
            "The run is in stage FinalEvaluation, at 100%. The operator waits for the API to "
            "report the final status.",
            id="done",
        ),
        pytest.param(
            {"learning_curve": POINTS},
            "The run is in progress. The log's last epoch is 5/20, with WER 45.5%.",
            id="the log's last epoch",
        ),
        pytest.param(
            {"poll_interval_seconds": 300},
            "The run is in progress. The operator polls about every 5m, because resources share "
            "the status-call quota of the API key.",
            id="seldom polled",
        ),
    ],
)
def test_progress_has_a_message(facts: dict[str, Any], text: str) -> None:
    assert training_reason(a_status(**facts)) == ConditionReason(Reason.TRAINING, text)


def test_stalled_run_has_a_message() -> None:
    status = poll(50, at(hours=10), poll(50, at(hours=4)))
    assert training_reason(status) == ConditionReason(
        Reason.PROGRESS_STALLED,
        "The run is in stage MainTraining, at 50%. The run has made no progress since "
        "2025-01-16 12:00Z, for longer than expected in stage MainTraining. The operator "
        "polls the run until spec.timeoutSeconds.",
    )
