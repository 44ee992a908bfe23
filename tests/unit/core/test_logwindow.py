"""core/logwindow.py: which entries of the remote log are of a run."""

from datetime import datetime
from typing import Any

import pytest

from scriptix_operator.api.status import Baseline, HistoryEntry, LogStatus, TrainingStatus
from scriptix_operator.core.logbook import EMPTY, Book
from scriptix_operator.core.loglines import START, UNTIMED, Line
from scriptix_operator.core.logwindow import Window, next_run_at, window_of
from tests.unit.core.builders import EIGHT, a_run, a_training, at, followed
from tests.unit.core.logshelf import EIGHT_SECOND

BEFORE = Book("run-0", (), 1, 1, START, (Line(EIGHT_SECOND - 60, "last"),))
"""The run before is stored."""
PAST = HistoryEntry(id="run-0", outcome="Failed")
TRAINED = Baseline(training_status=2, started_training_at=at(hours=-9))
GUESS = Window(EIGHT_SECOND - 30)


def a_status(baseline: Baseline | None = TRAINED, **facts: Any) -> TrainingStatus:  # noqa: ANN401
    """A followed run that began at eight."""
    run = a_run(ownership="Owned", claimed_at=EIGHT, baseline=baseline)
    return followed(**{"run": run, "started_at": EIGHT, **facts})


@pytest.mark.parametrize(
    ("status", "book", "window"),
    [
        pytest.param(
            a_status(history=(PAST,)), BEFORE, Window(EIGHT_SECOND - 59), id="the run before"
        ),
        pytest.param(
            a_status(history=(PAST,), started_at=at(hours=2)),
            BEFORE,
            Window(EIGHT_SECOND - 59),
            id="the run before, whatever the model's clock says",
        ),
        pytest.param(
            a_status(Baseline(training_status=2)), EMPTY, Window(), id="never trained before"
        ),
        pytest.param(
            a_status(Baseline(training_status=4)), EMPTY, GUESS, id="trained, start not known"
        ),
        pytest.param(a_status(), EMPTY, GUESS, id="nothing stored"),
        pytest.param(a_status(None), EMPTY, GUESS, id="adopted"),
        pytest.param(
            a_status(started_at=at(hours=2)), EMPTY, GUESS, id="model's times are ahead of UTC"
        ),
        pytest.param(
            a_status(started_at=at(hours=-2)),
            EMPTY,
            Window(EIGHT_SECOND - 7230),
            id="model's times are behind UTC",
        ),
        pytest.param(a_status(started_at=None), EMPTY, Window(), id="no start time"),
        pytest.param(
            a_status(history=(HistoryEntry(id="run-0b", outcome="Succeeded"), PAST)),
            BEFORE,
            GUESS,
            id="the run before is not stored, an earlier one is",
        ),
        pytest.param(
            a_status(finished_at=at(hours=8)),
            EMPTY,
            Window(EIGHT_SECOND - 30, is_open=True),
            id="ended",
        ),
        pytest.param(
            a_status(finished_at=at(hours=8), history=(PAST,)),
            BEFORE,
            Window(EIGHT_SECOND - 59),
            id="ended, and the run before is stored",
        ),
        pytest.param(
            a_status(),
            Book("run-1", (), 1, 1, START, (), EIGHT_SECOND - 7),
            Window(EIGHT_SECOND - 7),
            id="found before",
        ),
    ],
)
def test_entries_of_a_run_are_told_from_earlier_ones(
    status: TrainingStatus, book: Book, window: Window
) -> None:
    assert window_of(status, book) == window


def test_entries_end_where_the_next_run_of_the_model_begins() -> None:
    window = window_of(a_status(), EMPTY, at(hours=9))
    assert (window.since, window.until) == (EIGHT_SECOND - 30, EIGHT_SECOND + 9 * 3600)
    assert Window().since == UNTIMED


@pytest.mark.parametrize(
    ("end_seen_at", "claimed", "next_run"),
    [
        pytest.param(at(hours=8), [at(hours=9), at(hours=10)], at(hours=9), id="after the end"),
        pytest.param(at(hours=8), [at(hours=8)], at(hours=8), id="in the same second"),
        pytest.param(at(hours=8), [at(hours=7), None], None, id="before the end"),
        pytest.param(None, [at(hours=9)], None, id="not ended"),
        pytest.param(at(hours=8), [], None, id="no other resource"),
    ],
)
def test_next_run_is_one_of_another_resource_after_the_end(
    end_seen_at: datetime | None, claimed: list[datetime | None], next_run: datetime | None
) -> None:
    training = a_training(status=followed(log=LogStatus(end_seen_at=end_seen_at)))
    others = [
        a_training(name="other", status=followed(run=a_run(claimed_at=each))) for each in claimed
    ]
    assert next_run_at(training, others) == next_run


def test_log_of_no_run_is_a_bug() -> None:
    with pytest.raises(ValueError, match="no run whose log"):
        window_of(TrainingStatus(), EMPTY)
