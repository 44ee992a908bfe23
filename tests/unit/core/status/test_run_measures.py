"""core/status/run_measures.py: what each change of status adds to the metrics of runs."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import pytest

from scriptix_operator.api.reasons import FailureReason, Outcome, Ownership
from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.status.run_measures import (
    NOTHING_SEEN,
    RunMeasures,
    SeenRun,
    run_measures,
)
from tests.unit.core.builders import EIGHT, a_run, a_status, at, failure, followed

EMPTY = TrainingStatus()
QUEUED = a_status(queue={"position": 1, "of": 2})
NINE = at(hours=1)


def intent_at(time: datetime) -> dict[str, Any]:
    """The facts of a run that is being started."""
    intent = {"attempt": 1, "at": time, "key_fingerprint": "0123456789ab"}
    return {"claimed_at": time, "queued_at": time, "intent": intent}


def starting(**facts: Any) -> TrainingStatus:  # noqa: ANN401 - values of run fields
    """The status of a first run whose start is sent at nine."""
    return a_status(run=a_run(**{**intent_at(NINE), **facts}))


def in_main_training(hours: float, **facts: Any) -> TrainingStatus:  # noqa: ANN401 - values of status fields
    """A followed run that is expected to end within these hours, and one more at p90."""
    given: dict[str, Any] = {
        "stage": "MainTraining",
        "estimated_completion_at": at(hours=hours),
        "estimated_completion_p90_at": at(hours=hours + 1),
    }
    return followed(**{**given, **facts})


def ended(hours: float, **facts: Any) -> TrainingStatus:  # noqa: ANN401 - values of status fields
    """The status of a run that has ended after these hours."""
    return followed(finished_at=at(hours=hours), stage="FinalEvaluation", **facts)


def counted(
    statuses: Iterable[TrainingStatus], now: datetime = EIGHT, seen: SeenRun = NOTHING_SEEN
) -> list[RunMeasures]:
    """What a sequence of statuses counts, except for changes that count nothing."""
    found, old = [], None
    for new in statuses:
        if old is not None:
            seen, measures = run_measures(seen, old, new, now)
            found.append(measures)
        old = new
    return [one for one in found if one != RunMeasures()]


# The wait for the start quota.


@pytest.mark.parametrize(
    ("statuses", "wait"),
    [
        pytest.param([EMPTY, QUEUED, starting(), followed()], 3600, id="queued"),
        pytest.param([EMPTY, starting(), followed()], 0, id="not queued"),
        pytest.param([EMPTY, QUEUED, EMPTY, QUEUED, starting(), followed()], 3600, id="held up"),
        pytest.param(
            [EMPTY, QUEUED, starting(), QUEUED, starting(), followed()], 3600, id="refused once"
        ),
        pytest.param(
            [EMPTY, starting(queued_at=at(minutes=45)), followed()], 900, id="a rerun, by status"
        ),
        pytest.param([QUEUED, starting(), followed()], None, id="queued by another process"),
        pytest.param([starting(), followed()], None, id="started by another process"),
        pytest.param([EMPTY, followed(run=a_run(ownership=Ownership.ADOPTED))], None, id="adopted"),
    ],
)
def test_wait_for_the_start_is_counted_once_known(
    statuses: list[TrainingStatus], wait: float | None
) -> None:
    assert counted(statuses) == [RunMeasures(is_started=True, queue_seconds=wait)]


# The duration of a run.


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        pytest.param(ended(20), RunMeasures(outcome=Outcome.SUCCEEDED, run_seconds=72000)),
        pytest.param(
            ended(2, failure=failure(FailureReason.SYSTEM_ERROR, "no")),
            RunMeasures(outcome=Outcome.FAILED, run_seconds=7200),
            id="failed",
        ),
        pytest.param(
            ended(2, started_at=None), RunMeasures(outcome=Outcome.SUCCEEDED), id="no start time"
        ),
        pytest.param(ended(-1), RunMeasures(outcome=Outcome.SUCCEEDED), id="clocks differ"),
    ],
)
def test_duration_is_counted_when_a_run_ends(end: TrainingStatus, expected: RunMeasures) -> None:
    assert counted([followed(), end, end]) == [expected]


SEEN_AFTER_FIVE_SECONDS = {"training_status": 4, "seen_at": at(hours=1, seconds=5.5)}


@pytest.mark.parametrize(
    ("before", "seconds_after_end", "expected"),
    [
        pytest.param({}, 42, 42, id="seen by a poll"),
        pytest.param({}, 0, None, id="no end reported, or seen at once"),
        pytest.param({}, -60, None, id="ended by a time-out"),
        pytest.param({}, None, None, id="never polled"),
        pytest.param(
            {"run": a_run(ownership="Owned", pending_end=SEEN_AFTER_FIVE_SECONDS)},
            42,
            5,
            id="results were awaited",
        ),
    ],
)
def test_detection_is_counted_from_the_reported_end(
    before: dict[str, Any], seconds_after_end: float | None, expected: float | None
) -> None:
    after = None if seconds_after_end is None else at(hours=1, seconds=seconds_after_end)
    [end] = counted([followed(**before), ended(1, last_observed_at=after)])
    assert end.detection_seconds == expected


# The estimates.

OTHER_RUN = a_run(id="run-2", ownership=Ownership.OWNED)
FIRST, LATER = in_main_training(10), in_main_training(30)


@pytest.mark.parametrize(
    ("statuses", "held"),
    [
        pytest.param([followed(), FIRST, LATER, ended(10)], (True, True), id="by p50"),
        pytest.param([followed(), FIRST, LATER, ended(10.5)], (False, True), id="by p90"),
        pytest.param([followed(), FIRST, LATER, ended(11.5)], (False, False), id="late"),
        pytest.param(
            [followed(), FIRST, followed(), LATER, ended(11.5)], (False, False), id="resumed"
        ),
        pytest.param([FIRST, LATER, ended(11.5)], (None, None), id="seen by another process"),
        pytest.param([followed(), ended(10)], (None, None), id="stage not seen"),
        pytest.param(
            [followed(), FIRST, followed(run=OTHER_RUN), ended(10, run=OTHER_RUN)],
            (None, None),
            id="of another run",
        ),
    ],
)
def test_first_estimate_of_the_main_training_is_judged(
    statuses: list[TrainingStatus], held: tuple[bool | None, bool | None]
) -> None:
    [*_, last] = counted(statuses)
    assert (last.is_p50_held, last.is_p90_held) == held


def test_estimate_of_a_failed_run_is_not_judged() -> None:
    [end] = counted([followed(), FIRST, ended(9, failure=failure(FailureReason.UNKNOWN, "no"))])
    assert (end.outcome, end.is_p50_held) == (Outcome.FAILED, None)


def test_nothing_is_remembered_of_a_run_that_is_over() -> None:
    seen, _ = run_measures(NOTHING_SEEN, followed(), FIRST, EIGHT)
    assert seen != NOTHING_SEEN
    seen, _ = run_measures(seen, FIRST, ended(10), EIGHT)
    assert seen == NOTHING_SEEN
