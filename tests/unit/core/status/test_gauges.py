"""core/status/gauges.py: the series of a resource, by its status alone."""

from dataclasses import replace
from typing import Any

import pytest

from scriptix_operator.core.status.gauges import NO_GAUGES, Gauges, gauges_of
from tests.unit.core.builders import EIGHT, a_run, a_status, a_training, followed

PAST = {"id": "run-0", "outcome": "Succeeded", "word_error_rate": "9.5"}
FAILED = {"id": "run-1", "outcome": "Failed"}
ENDED = {"run": a_run(), "finished_at": EIGHT, "progress": 100}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param({}, NO_GAUGES, id="not polled yet"),
        pytest.param({"progress": 0}, Gauges(0, None), id="at the beginning"),
        pytest.param(
            {**ENDED, "metrics": {"word_error_rate": "12.5"}}, Gauges(100, 12.5), id="finished"
        ),
        pytest.param(
            {**ENDED, "metrics": {"word_error_rate": "0"}}, Gauges(100, 0), id="without an error"
        ),
        pytest.param({**ENDED, "metrics": {}}, Gauges(100, None), id="without a rate"),
        pytest.param(
            {"progress": 3, "history": [FAILED, PAST]}, Gauges(3, 9.5), id="a rerun continues"
        ),
        pytest.param({"history": [PAST]}, Gauges(None, 9.5), id="a rerun waits"),
        pytest.param(
            {"metrics": {"word_error_rate": "8"}, "history": [PAST]},
            Gauges(None, 8),
            id="the newest",
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
    assert gauges_of(training) == Gauges(45, None)
    assert gauges_of(replace(training, is_being_deleted=True)) == NO_GAUGES
