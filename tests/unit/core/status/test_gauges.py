"""core/status/gauges.py: the series of a resource, by its status alone."""

from dataclasses import replace
from typing import Any

import pytest

from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.core.status.gauges import NO_GAUGES, Gauges, gauges_of
from tests.unit.core.builders import (
    EIGHT,
    a_run,
    a_status,
    a_training,
    at,
    failure,
    followed,
)

BEFORE = at(hours=-20)
PAST = {
    "id": "run-0",
    "outcome": "Succeeded",
    "word_error_rate": "9.5",
    "finished_at": BEFORE,
}
NOT_PUBLISHED = failure(FailureReason.RESULT_NOT_PUBLISHED, "no quota")
FAILED = {"id": "run-1", "outcome": "Failed"}
ENDED = {"run": a_run(), "finished_at": EIGHT, "progress": 100}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param({}, NO_GAUGES, id="not polled yet"),
        pytest.param({"progress": 0}, Gauges(0, None), id="at the beginning"),
        pytest.param(
            {**ENDED, "metrics": {"word_error_rate": "12.5"}}, Gauges(1, 12.5, EIGHT), id="finished"
        ),
        pytest.param(
            {**ENDED, "metrics": {"word_error_rate": "0"}},
            Gauges(1, 0, EIGHT),
            id="without an error",
        ),
        pytest.param({**ENDED, "metrics": {}}, Gauges(1, None, EIGHT), id="without a rate"),
        pytest.param(
            {"progress": 3, "history": [FAILED, PAST]},
            Gauges(0.03, 9.5, BEFORE),
            id="a rerun continues",
        ),
        pytest.param({"history": [PAST]}, Gauges(None, 9.5, BEFORE), id="a rerun waits"),
        pytest.param(
            {"metrics": {"word_error_rate": "8"}, "history": [PAST]},
            Gauges(None, 8, BEFORE),
            id="the newest",
        ),
        pytest.param(
            {**ENDED, "failure": NOT_PUBLISHED, "history": [PAST]},
            Gauges(1, 9.5, BEFORE),
            id="not published yet",
        ),
        pytest.param(
            {
                "run": a_run(ownership="Owned"),
                "progress": 45,
                "estimated_completion_at": EIGHT,
            },
            Gauges(0.45, completes_at=EIGHT),
            id="expected to end",
        ),
        pytest.param(
            {**ENDED, "estimated_completion_at": BEFORE},
            Gauges(1, published_at=EIGHT),
            id="ended, an estimate is left",
        ),
        pytest.param(
            {"queue": {"position": 2, "of": 3, "estimated_start_at": EIGHT}},
            Gauges(queue_position=2, starts_at=EIGHT),
            id="queued",
        ),
        *[
            pytest.param({"metrics": {"word_error_rate": text}}, NO_GAUGES, id=f"by hand: {text}")
            for text in ("low", "NaN", "Infinity")
        ],
    ],
)
def test_gauges_follow_from_status(facts: dict[str, Any], expected: Gauges) -> None:
    assert gauges_of(a_training(status=a_status(**facts))) == expected


def test_a_resource_being_deleted_has_no_gauges() -> None:
    training = a_training(status=followed(progress=45))
    assert gauges_of(training) == Gauges(0.45)
    assert gauges_of(replace(training, is_being_deleted=True)) == NO_GAUGES
