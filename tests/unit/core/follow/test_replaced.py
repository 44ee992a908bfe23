"""core/follow/replaced.py: a run that was replaced before a poll showed its outcome."""

from datetime import datetime

import pytest

from scriptix_operator.api.status import Baseline, Intent
from scriptix_operator.core.decide import decide
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.reconcile.vocabulary import ModelPolled
from tests.unit.core.builders import EIGHT, KEY, a_model, a_run, a_status, a_training, at

INTENT = Intent(attempt=1, at=at(hours=2), key_fingerprint=KEY.fingerprint)


def a_competitor(start: datetime | None, **run: object) -> Training:
    """Another resource whose baseline has this run start time."""
    baseline = Baseline(training_status=2, started_training_at=start)
    status = a_status(run=a_run(id="run-2", baseline=baseline, **run))
    return a_training(name="competitor", status=status)


@pytest.mark.parametrize("before", [None, at(hours=-9)], ids=["first run", "rerun"])
@pytest.mark.parametrize(
    ("competitor", "is_replaced"),
    [
        pytest.param(a_competitor(at(hours=1), ownership="Owned"), True, id="competitor started"),
        pytest.param(
            a_competitor(at(hours=1), intent=INTENT), True, id="competitor about to start"
        ),
        pytest.param(a_competitor(at(hours=1)), False, id="competitor waits"),
        pytest.param(
            a_competitor(at(hours=-9), ownership="Owned"), None, id="competitor of the previous run"
        ),
        pytest.param(
            a_competitor(None, ownership="Owned"), False, id="competitor of the first run"
        ),
    ],
)
def test_later_baseline_of_a_competitor_ends_an_unseen_run(
    before: datetime | None, competitor: Training, *, is_replaced: bool | None
) -> None:
    run = a_run(
        ownership="Owned",
        claimed_at=EIGHT,
        baseline=Baseline(training_status=2, started_training_at=before),
    )
    training = a_training(status=a_status(run=run, started_at=EIGHT))
    model = a_model(3, started_at=at(hours=2))
    status = decide(
        training, ModelPolled(model, KEY, competitors=(competitor,)), at(hours=3)
    ).status
    expected = before is None if is_replaced is None else is_replaced
    assert (status.failure is not None and status.failure.reason == "Unknown") == expected
    assert status.run is not None
    assert status.run.ownership == "Owned"
    if expected:
        start = competitor.status.run and competitor.status.run.baseline
        assert status.run.started_training_at == (start and start.started_training_at)


def test_run_that_a_poll_has_shown_is_not_replaced_by_a_baseline() -> None:
    run = a_run(
        ownership="Owned",
        claimed_at=EIGHT,
        started_training_at=at(hours=1),
        baseline=Baseline(training_status=2),
    )
    training = a_training(status=a_status(run=run, started_at=at(hours=1)))
    competitor = a_competitor(at(hours=1), ownership="Owned")
    seen = ModelPolled(a_model(4, started_at=at(hours=1)), KEY, competitors=(competitor,))
    assert decide(training, seen, at(hours=3)).status.failure is None
