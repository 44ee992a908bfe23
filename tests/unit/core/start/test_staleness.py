"""core/start/staleness.py: a look that shows less than what is known decides nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from scriptix_operator.api.status import Baseline, HistoryEntry, TrainingStatus
from scriptix_operator.core.ledger.ledger import LatestRun
from scriptix_operator.core.reconcile.protocol import ModelPolled
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


def remembered_by(place: str, marker: datetime) -> tuple[TrainingStatus, ModelPolled]:
    """A status, and a look beside it, of which just one place knows a training."""
    past = a_status(
        history=(HistoryEntry(id="run-0", started_training_at=marker, outcome="Failed"),)
    )
    lost = Baseline(training_status=4, started_training_at=marker)
    record = followed(started_at=marker)
    status = {
        "status": record,
        "history": past,
        "baseline": a_status(run=a_run(attempt=2, baseline=lost)),
    }.get(place, NOTHING)
    competitor = {"a rival's status": record, "a rival's history": past}.get(place)
    competitors = () if competitor is None else (a_training(name="radiology", status=competitor),)
    mark = LatestRun(at=marker) if place == "the ledger" else None
    return status, ModelPolled(a_model(), KEY, competitors, latest_run=mark)


PLACES = (
    "status",
    "history",
    "baseline",
    "a rival's status",
    "a rival's history",
    "the ledger",
)


@dataclass(frozen=True)
class Poll:
    """What a look shows, and whether it is behind a training at EIGHT."""

    marker: datetime | None
    stale: bool


@pytest.mark.parametrize("state", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize(
    "poll",
    [
        pytest.param(Poll(EIGHT - timedelta(seconds=1), stale=True), id="the second before"),
        pytest.param(Poll(EIGHT, stale=False), id="the same"),
        pytest.param(Poll(EIGHT + timedelta(seconds=1), stale=False), id="newer"),
        pytest.param(Poll(None, stale=False), id="without a marker"),
    ],
)
@pytest.mark.parametrize("place", PLACES)
def test_training_known_anywhere_makes_older_polls_stale(
    place: str, poll: Poll, state: int
) -> None:
    status, seen = remembered_by(place, EIGHT)
    model = a_model(state, started_at=poll.marker)
    seen = ModelPolled(model, KEY, seen.competitors, latest_run=seen.latest_run)
    assert is_stale(MINE.with_status(status), seen) == poll.stale


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("state", [1, 2, 3, 4, 5])
def test_stale_read_decides_nothing_at_the_first_observation(place: str, state: int) -> None:
    status, seen = remembered_by(place, EIGHT)
    if status.run is not None and status.run.ownership is not None:
        return  # it is followed: what it looks at is its own
    life = Life(MINE.with_status(status))
    life.wake_ups()
    old = a_model(state, started_at=BEFORE)
    life.learns(ModelPolled(old, KEY, seen.competitors, latest_run=seen.latest_run))
    expected = {"UnexpectedStatus", "ModelInUse"}
    assert life.reason in expected
    assert life.status.run == status.run


def test_start_time_of_a_run_to_adopt_does_not_make_it_stale() -> None:
    """Adopting sets started_at; without an ownership it is left from nothing at all."""
    status = a_status(run=a_run(), started_at=EIGHT)
    assert not is_stale(MINE.with_status(status), ModelPolled(a_model(4, started_at=BEFORE), KEY))


@pytest.mark.parametrize(("state", "stale"), [(1, True), (2, True), (3, False), (4, False)])
def test_start_without_a_run_start_time_makes_status_2_stale(
    state: int,
    stale: bool,  # noqa: FBT001 - the expected value
) -> None:
    mark = LatestRun(at=BEFORE, superseded=True)
    poll = a_model(state, started_at=BEFORE)
    assert is_stale(MINE, ModelPolled(poll, KEY, latest_run=mark)) == stale
    assert not is_stale(MINE, ModelPolled(poll, KEY, latest_run=LatestRun(at=BEFORE)))
