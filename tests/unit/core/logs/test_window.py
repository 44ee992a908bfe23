"""core/logs/window.py: which entries of the remote log belong to a run."""

from dataclasses import replace
from typing import Any

import pytest

from scriptix_operator.api.status import Baseline, HistoryEntry, TrainingStatus
from scriptix_operator.core.logs.lines import START, UNTIMED, Line
from scriptix_operator.core.logs.segments import EMPTY, LogIndex
from scriptix_operator.core.logs.window import Window, window_of
from tests.unit.core.builders import EIGHT, a_run, at, followed
from tests.unit.core.fake_log_store import EIGHT_SECOND

BEFORE = LogIndex("run-0", (), 1, 1, START, (Line(EIGHT_SECOND - 60, "last"),))
"""The extent of a stored log of the previous run."""
PAST = HistoryEntry(id="run-0", outcome="Failed")
TRAINED = Baseline(training_status=2, started_training_at=at(hours=-9))
GUESS = Window(EIGHT_SECOND - 30)
AFTER = Window(EIGHT_SECOND - 59, stored_until=EIGHT_SECOND - 60)


def a_status(baseline: Baseline | None = TRAINED, **facts: Any) -> TrainingStatus:  # noqa: ANN401
    """A followed run that began at eight."""
    run = a_run(ownership="Owned", claimed_at=EIGHT, baseline=baseline)
    return followed(**{"run": run, "started_at": EIGHT, **facts})


@pytest.mark.parametrize(
    ("status", "log_index", "window"),
    [
        pytest.param(a_status(history=(PAST,)), BEFORE, AFTER, id="the run before"),
        pytest.param(
            a_status(history=(PAST,), started_at=at(hours=2)),
            BEFORE,
            AFTER,
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
            replace(GUESS, stored_until=EIGHT_SECOND - 60),
            id="the run before is not stored, an earlier one is",
        ),
        pytest.param(a_status(finished_at=at(hours=8)), EMPTY, GUESS, id="ended"),
        pytest.param(
            a_status(),
            LogIndex("run-1", (), 1, 1, START, (), EIGHT_SECOND - 7),
            Window(EIGHT_SECOND - 7),
            id="found before",
        ),
        pytest.param(
            a_status(),
            replace(BEFORE, run_id="run-1", active=(Line(EIGHT_SECOND + 9, "own"),)),
            GUESS,
            id="not found before, as an older version has stored the run",
        ),
    ],
)
def test_entries_of_a_run_are_separated_from_earlier_ones(
    status: TrainingStatus, log_index: LogIndex, window: Window
) -> None:
    assert window_of(status, log_index) == window


@pytest.mark.parametrize(
    ("status", "log_index", "window"),
    [
        pytest.param(a_status(), EMPTY, GUESS, id="guess"),
        pytest.param(a_status(history=(PAST,)), BEFORE, AFTER, id="the run before"),
    ],
)
def test_last_fetch_takes_all_where_no_entry_is_new(
    status: TrainingStatus, log_index: LogIndex, window: Window
) -> None:
    assert window_of(status, log_index, is_last=True) == replace(window, is_open=True)
    assert (
        window_of(status, replace(log_index, run_id="run-1", since=UNTIMED), is_last=True)
        == Window()
    )


def test_log_of_no_run_is_a_bug() -> None:
    with pytest.raises(ValueError, match="the status has no run"):
        window_of(TrainingStatus(), EMPTY)
