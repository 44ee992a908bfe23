"""core/start/staleness.py: a stale read decides nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from scriptix_operator.api.status import Baseline, HistoryEntry, TrainingStatus
from scriptix_operator.core.ledger.ledger import LatestRun
from scriptix_operator.core.reconcile.vocabulary import ModelPolled
from scriptix_operator.core.start.staleness import is_stale
from tests.unit.core.builders import (
    EIGHT,
    KEY,
    Life,
    a_model,
    a_run,
    a_status,
    a_training,
    followed,
)

BEFORE = EIGHT - timedelta(hours=1)
MINE, NOTHING = a_training(), TrainingStatus()


def remembered_by(place: str, run_start_time: datetime) -> tuple[TrainingStatus, ModelPolled]:
    """A status and a poll, of which just one place knows a training."""
    past = a_status(
        history=(HistoryEntry(id="run-0", started_training_at=run_start_time, outcome="Failed"),)
    )
    lost = Baseline(training_status=4, started_training_at=run_start_time)
    record = followed(started_at=run_start_time)
    status = {
        "status": record,
        "history": past,
        "baseline": a_status(run=a_run(attempt=2, baseline=lost)),
    }.get(place, NOTHING)
    competitor = {"a competitor's status": record, "a competitor's history": past}.get(place)
    competitors = () if competitor is None else (a_training(name="radiology", status=competitor),)
    latest_run = LatestRun(at=run_start_time) if place == "the ledger" else None
    return status, ModelPolled(a_model(), KEY, competitors, latest_run=latest_run)


PLACES = (
    "status",
    "history",
    "baseline",
    "a competitor's status",
    "a competitor's history",
    "the ledger",
)


@dataclass(frozen=True)
class Poll:
    """A poll, and whether it is stale after a training at EIGHT."""

    run_start_time: datetime | None
    stale: bool


@pytest.mark.parametrize("state", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize(
    "poll",
    [
        pytest.param(Poll(EIGHT - timedelta(seconds=1), stale=True), id="the second before"),
        pytest.param(Poll(EIGHT, stale=False), id="the same"),
        pytest.param(Poll(EIGHT + timedelta(seconds=1), stale=False), id="newer"),
        pytest.param(Poll(None, stale=False), id="without a run start time"),
    ],
)
@pytest.mark.parametrize("place", PLACES)
def test_training_known_anywhere_makes_older_polls_stale(
    place: str, poll: Poll, state: int
) -> None:
    status, seen = remembered_by(place, EIGHT)
    model = a_model(state, started_at=poll.run_start_time)
    seen = ModelPolled(model, KEY, seen.competitors, latest_run=seen.latest_run)
    assert is_stale(MINE.with_status(status), seen) == poll.stale


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("state", [1, 2, 3, 4, 5])
def test_stale_read_decides_nothing_at_the_first_observation(place: str, state: int) -> None:
    status, seen = remembered_by(place, EIGHT)
    if status.run is not None and status.run.ownership is not None:
        return  # the run is followed: the poll shows the resource's own run
    life = Life(MINE.with_status(status))
    life.wake_ups()
    old = a_model(state, started_at=BEFORE)
    life.learns(ModelPolled(old, KEY, seen.competitors, latest_run=seen.latest_run))
    expected = {"UnexpectedStatus", "ModelInUse"}
    assert life.reason in expected
    assert life.status.run == status.run


def test_start_time_of_a_run_to_adopt_does_not_make_it_stale() -> None:
    """Adoption sets started_at; without an ownership no run has set it."""
    status = a_status(run=a_run(), started_at=EIGHT)
    assert not is_stale(MINE.with_status(status), ModelPolled(a_model(4, started_at=BEFORE), KEY))


@pytest.mark.parametrize(("state", "stale"), [(1, True), (2, True), (3, False), (4, False)])
def test_start_without_a_run_start_time_makes_status_2_stale(
    state: int,
    stale: bool,  # noqa: FBT001 - the expected value
) -> None:
    latest_run = LatestRun(at=BEFORE, superseded=True)
    poll = a_model(state, started_at=BEFORE)
    assert is_stale(MINE, ModelPolled(poll, KEY, latest_run=latest_run)) == stale
    assert not is_stale(MINE, ModelPolled(poll, KEY, latest_run=LatestRun(at=BEFORE)))
