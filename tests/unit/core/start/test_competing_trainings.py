"""core/start/competing_trainings.py: several resources with one model (docs/start-protocol.md)."""

from datetime import datetime
from typing import Any

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.api.status import Baseline, HistoryEntry, Intent, TrainingStatus
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.start.competing_trainings import model_in_use
from scriptix_operator.core.status.failures import failure
from tests.unit.core.builders import EIGHT, a_model, a_run, a_status, a_training, at, followed

POLLED = a_status(last_observed_at=EIGHT)
"""The context of a resource whose poll succeeded."""
ENDED = followed(finished_at=at(hours=8), started_at=EIGHT)
STARTING = a_status(run=a_run(intent=Intent(attempt=1, at=EIGHT, key_fingerprint="k")))
RERUN = a_status(
    run=a_run(id="run-2", token="v2"),
    history=(HistoryEntry(id="run-1", started_training_at=EIGHT, outcome="Succeeded"),),
    last_observed_at=EIGHT,
)
BLOCKED = replace(POLLED, failure=failure(FailureReason.UNAUTHORIZED, "HTTP 401"))


def mine(status: TrainingStatus = POLLED, **facts: Any) -> Training:  # noqa: ANN401 - a_training's
    """The reconciled resource: created at nine."""
    return a_training(name="mine", created_at=at(hours=1), status=status, **facts)


def older(status: TrainingStatus = POLLED, **facts: Any) -> Training:  # noqa: ANN401 - a_training's
    """An older resource: created at eight."""
    return a_training(name="older", created_at=EIGHT, status=status, **facts)


def younger(status: TrainingStatus = POLLED, **facts: Any) -> Training:  # noqa: ANN401 - a_training's
    """A younger resource: created at ten."""
    return a_training(name="younger", created_at=at(hours=2), status=status, **facts)


READY = a_model(2)


def test_resource_without_competitors_is_not_blocked() -> None:
    assert model_in_use(mine(), [], READY) is None


@pytest.mark.parametrize(
    ("other", "waits"),
    [
        pytest.param(older(), True, id="an older one that wants to start"),
        pytest.param(younger(), False, id="a younger one"),
        pytest.param(older(TrainingStatus()), False, id="an older one that saw nothing yet"),
        pytest.param(older(suspend=True), False, id="an older one, suspended"),
        pytest.param(older(BLOCKED), False, id="an older one, blocked"),
        pytest.param(older(ENDED), False, id="an older one that has ended"),
        pytest.param(younger(followed()), True, id="a younger one's run"),
        pytest.param(younger(followed(), suspend=True), True, id="a suspended one's run"),
        pytest.param(younger(STARTING), False, id="a younger one's intent that was never sent"),
        pytest.param(younger(ENDED), False, id="a younger one's run that has ended"),
    ],
)
def test_a_ready_model_goes_to_the_run_under_way_and_then_by_age(
    other: Training,
    waits: bool,  # noqa: FBT001 - the expected value
) -> None:
    assert (model_in_use(mine(), [other], READY) is not None) == waits


def test_of_two_made_in_one_second_the_uid_decides() -> None:
    one, two = mine(uid="a"), replace(younger(uid="b"), created_at=at(hours=1))
    assert model_in_use(one, [two], READY) is None
    assert model_in_use(two, [one], READY) is not None


@pytest.mark.parametrize("state", [3, 4, 5])
@pytest.mark.parametrize("record", [ENDED, RERUN], ids=["in its status", "in its history"])
def test_run_recorded_by_another_status_is_not_adopted(state: int, record: TrainingStatus) -> None:
    there = a_model(state, started_at=EIGHT)
    assert "belongs to resource younger" in (model_in_use(mine(), [younger(record)], there) or "")


@pytest.mark.parametrize(
    ("baseline", "ownership", "belongs"),
    [
        (at(seconds=-1), "Owned", True),
        (None, "Owned", True),
        (at(seconds=-1), "Unconfirmed", True),
        (EIGHT, "Owned", False),
        (at(seconds=-1), None, False),
    ],
)
def test_run_that_no_poll_has_shown_is_not_adopted_by_another(
    baseline: datetime | None, ownership: str | None, *, belongs: bool
) -> None:
    """The start time in the reply is not compared; a run after the baseline is the started one."""
    was = Baseline(training_status=2, started_training_at=baseline)
    run = a_run(ownership=ownership, baseline=was)
    timed_out = followed(run=run, started_at=at(seconds=1), finished_at=at(hours=1))
    found = model_in_use(mine(), [younger(timed_out)], a_model(3, started_at=EIGHT))
    assert (found is not None) == belongs


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(a_model(4, started_at=at(hours=9)), id="another run"),
        pytest.param(a_model(4), id="a run without a run start time"),
        pytest.param(a_model(1, started_at=EIGHT), id="not ready"),
        pytest.param(a_model(2, started_at=EIGHT), id="new data for it"),
    ],
)
def test_past_run_of_another_resource_does_not_block(
    model: Any,  # noqa: ANN401 - pytest's parameters are untyped
) -> None:
    assert model_in_use(mine(), [younger(ENDED)], model) is None


def test_rerun_may_start_after_the_run_of_another_resource() -> None:
    assert model_in_use(mine(RERUN), [older(ENDED)], a_model(4, started_at=EIGHT)) is None


def test_run_of_another_is_not_taken_for_an_unknown_start() -> None:
    baseline = Baseline(training_status=2, started_training_at=at(hours=-9))
    lost = a_status(run=a_run(attempt=2, baseline=baseline))
    there = a_model(4, started_at=EIGHT)
    assert model_in_use(mine(lost), [younger(ENDED)], there) is not None
    before = a_model(4, started_at=at(hours=-9))
    record = replace(ENDED, started_at=at(hours=-9))
    assert model_in_use(mine(lost), [younger(record)], before) is None


def test_resource_waiting_for_data_does_not_block_a_rerun() -> None:
    """The older resource's message says to change runToken; then the younger one must start."""
    there = a_model(4, started_at=EIGHT)
    rerun = mine(RERUN)
    assert "change spec.runToken of that resource" in (model_in_use(older(), [rerun], there) or "")
    assert model_in_use(rerun, [older()], there) is None
    # With new data both can start, and the older resource comes first again.
    ready = a_model(2, started_at=EIGHT)
    assert model_in_use(older(), [rerun], ready) is None
    assert model_in_use(rerun, [older()], ready) is not None


@pytest.mark.parametrize(
    ("other", "model"),
    [(older(), READY), (older(followed()), READY), (older(ENDED), a_model(4, started_at=EIGHT))],
    ids=["wants to start", "is training", "has trained"],
)
def test_competitor_is_named_only_within_the_namespace(other: Training, model: Any) -> None:  # noqa: ANN401 - pytest's parameters are untyped
    foreign = replace(other, key=TrainingKey("team-b", "secret-project"))
    assert "older" in (model_in_use(mine(), [other], model) or "")
    events = model_in_use(mine(), [foreign], model) or ""
    assert "resource in another namespace" in events
    assert "team-b" not in events
    assert "secret-project" not in events


def test_each_of_many_waits_for_the_oldest_only() -> None:
    claims = [a_training(name=f"t{i}", created_at=at(minutes=i), status=POLLED) for i in range(5)]
    free = [
        claim.key.name
        for claim in claims
        if model_in_use(claim, [c for c in claims if c is not claim], READY) is None
    ]
    assert free == ["t0"]
