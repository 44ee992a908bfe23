"""core/follow/run_trace.py: the spans of a run, from status alone."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from scriptix_operator.api.reasons import FailureReason, Ownership
from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.follow.run_trace import RunTrace, completed_trace, run_trace
from scriptix_operator.core.model.training import Training
from tests.unit.core.builders import EIGHT, a_run, a_status, a_training, at, failure, followed

PAST = {"id": "run-0", "outcome": "Succeeded"}
OWNED = {
    "ownership": Ownership.OWNED,
    "queued_at": at(hours=1),
    "claimed_at": at(hours=1),
    "started_training_at": at(hours=1, seconds=2),
}
FACTS: dict[str, Any] = {
    "run": a_run(**OWNED),
    "started_at": at(hours=1, seconds=2),
    # 10 %, 20, 30, 40, 50, 60, 70, 80, 90, 95
    "timeline": (600, 1200, 1800, 2400, 3000, 3600, 4200, 4800, 5400, 5700),
    "finished_at": at(hours=3),
    "progress": 100,
    "metrics": {"word_error_rate": "12.5"},
    "log": {
        "state": "Complete",
        "entries": 7,
        "bytes": 700,
        "end_seen_at": at(hours=3, seconds=20),
        "last_fetched_at": at(hours=3, minutes=3),
    },
    "published": {"run_id": "run-1", "published_at": at(hours=3, seconds=21)},
}


def ended(**facts: Any) -> TrainingStatus:  # noqa: ANN401 - values of status fields
    """The status of a run that is over, with its log and its result."""
    return a_status(**{**FACTS, **facts})


def trace_of(status: TrainingStatus) -> RunTrace:
    return run_trace(a_training(status=status))


def shown(trace: RunTrace) -> dict[str, tuple[float, float]]:
    """When each span begins and ends, in hours after eight."""

    def hours(time: datetime) -> float:
        return round((time - EIGHT).total_seconds() / 3600, 3)

    spans = (trace.run, *trace.parts)
    return {span.name: (hours(span.begins_at), hours(span.ends_at)) for span in spans}


WHOLE = {
    "run": (0.0, 3.05),
    "queue": (0.0, 1.0),
    "start": (1.0, 1.001),
    "stage DataPreprocessing": (1.001, 1.167),
    "stage InitialEpochs": (1.167, 1.5),
    "stage MainTraining": (1.5, 2.167),
    "stage FineTuning": (2.167, 2.5),
    "stage FinalEvaluation": (2.5, 3.0),
    "log": (3.006, 3.05),
    "publish": (3.0, 3.006),
}


def test_trace_has_each_part_of_a_run() -> None:
    assert a_training().created_at == EIGHT
    trace = trace_of(ended())
    assert shown(trace) == WHOLE
    assert trace.failure is None
    assert trace.run.attributes["scriptix.run.outcome"] == "Succeeded"
    assert trace.run.attributes["scriptix.run.word_error_rate"] == "12.5"


ADOPTED = a_run(ownership=Ownership.ADOPTED, claimed_at=at(hours=2))
STAGES = {name for name in WHOLE if name.startswith("stage")}


@pytest.mark.parametrize(
    ("facts", "changed", "missing"),
    [
        pytest.param(
            {"history": [PAST], "run": a_run(**{**OWNED, "queued_at": at(minutes=30)})},
            {"queue": (0.5, 1.0), "run": (0.5, 3.05)},
            set(),
            id="a rerun waits from its own time on",
        ),
        pytest.param(
            {"run": ADOPTED, "started_at": EIGHT, "timeline": (600,)},
            {
                "stage DataPreprocessing": (0.0, 0.167),
                "stage InitialEpochs": (0.167, 3.0),
            },
            {"queue", "start", *STAGES} - {"stage DataPreprocessing", "stage InitialEpochs"},
            id="adopted",
        ),
        pytest.param(
            {"timeline": (600, 1200, -1, -1, -1, -1, 4200)},
            {"stage InitialEpochs": (1.167, 2.167), "stage FineTuning": (2.167, 3.0)},
            {"stage MainTraining", "stage FinalEvaluation"},
            id="no poll has shown the beginning of a stage",
        ),
        pytest.param(
            {"log": None, "published": {"run_id": "run-0", "published_at": at(hours=-1)}},
            {"run": (0.0, 3.0)},
            {"log", "publish"},
            id="no log, and the result of an earlier run",
        ),
        pytest.param(
            {"started_at": at(minutes=59)},
            {"start": (1.0, 1.0), "stage DataPreprocessing": (1.0, 1.167)},
            set(),
            id="the clock of the API is behind",
        ),
    ],
)
def test_trace_has_only_what_status_records(
    facts: dict[str, Any], changed: dict[str, tuple[float, float]], missing: set[str]
) -> None:
    expected = {name: times for name, times in WHOLE.items() if name not in missing} | changed
    assert shown(trace_of(ended(**facts))) == expected


def test_trace_of_a_refused_start_has_no_parts() -> None:
    refused = a_status(
        run=a_run(), finished_at=at(hours=1), failure=failure(FailureReason.START_REJECTED, "no")
    )
    trace = trace_of(refused)
    assert shown(trace) == {"run": (1.0, 1.0)}
    assert trace.failure == "StartRejected: no"


def test_ids_follow_from_the_resource_and_the_run() -> None:
    training = a_training(status=ended())
    trace = run_trace(training)
    assert run_trace(replace(training, resource_version="999")) == trace
    assert 0 < trace.id < 2**128
    ids = {span.id for span in (trace.run, *trace.parts)}
    assert len(ids) == len(WHOLE)
    assert all(0 < one < 2**64 for one in ids)
    others = (
        replace(training, uid="another"),
        training.with_status(ended(run=a_run(**OWNED, id="run-2"))),
    )
    for other in others:
        again = run_trace(other)
        assert again.id != trace.id
        assert not ids & {span.id for span in (again.run, *again.parts)}


FETCHING = ended(log={**FACTS["log"], "next_fetch_at": at(hours=3, minutes=3)})
RERUN = a_status(run=a_run(id="run-2"), history=[{"id": "run-1"}])


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(followed(), FETCHING, None, id="the log is still fetched"),
        pytest.param(FETCHING, ended(), "after", id="the log is complete"),
        pytest.param(followed(), ended(log=None), "after", id="no log is fetched"),
        pytest.param(ended(), ended(message="edited"), None, id="written before"),
        pytest.param(FETCHING, RERUN, "before", id="a rerun ends the fetches"),
        pytest.param(ended(), RERUN, None, id="a rerun later"),
        pytest.param(TrainingStatus(), followed(), None, id="a run begins"),
    ],
)
def test_trace_is_written_once_complete(
    before: TrainingStatus, after: TrainingStatus, expected: str | None
) -> None:
    trainings: dict[str | None, Training] = {
        "before": a_training(status=before),
        "after": a_training(status=after),
    }
    trace = completed_trace(trainings["before"], trainings["after"])
    assert trace == (None if expected is None else run_trace(trainings[expected]))
