"""Every field of status is declared here: how a rerun and the end of a run change it.

A new field fails `test_every_field_is_declared` until it has a line in both tables. The other tests
show that the code does what the tables say.
"""

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.status import (
    Condition,
    Display,
    Failure,
    LearningPoint,
    LogStatus,
    Metrics,
    ModelStatus,
    Queue,
    Run,
    ServedBy,
    TrainingStatus,
)
from scriptix_operator.core.follow.progressing import without_poll_facts
from scriptix_operator.core.requests.requests import begin_run
from scriptix_operator.core.status.conditions import derive_status
from tests.unit.core.builders import EIGHT, a_training

DERIVED = {
    "observed_generation",
    "phase",
    "message",
    "repeated_request",
    "pending_request",
    "used_requests",
    "display",
    "conditions",
}
"""`settle` computes these fields from the others before each write."""
KEPT_ON_RERUN = {"model", "served_by"}
"""A rerun keeps the value of the run before."""
CHANGED_ON_RERUN = {"run", "log", "history"}
"""A rerun keeps a part of the value, or adds to it."""
CLEARED_ON_RERUN = {
    "progress",
    "stage",
    "started_at",
    "finished_at",
    "estimated_completion_at",
    "estimated_completion_p90_at",
    "last_progress_at",
    "progress_stalled_at",
    "timeline",
    "last_observed_at",
    "poll_interval_seconds",
    "queue",
    "metrics",
    "learning_curve",
    "failure",
}
"""A rerun begins without a value."""
CLEARED_AT_END = {
    "estimated_completion_at",
    "estimated_completion_p90_at",
    "progress_stalled_at",
    "poll_interval_seconds",
}
"""These fields hold only while the run is polled."""
KEPT_AT_END = (CLEARED_ON_RERUN | KEPT_ON_RERUN | CHANGED_ON_RERUN) - CLEARED_AT_END
FIELDS = set(TrainingStatus.model_fields)

FULL = TrainingStatus(
    observed_generation=1,
    phase="Succeeded",
    message="The model is trained.",
    progress=100,
    stage="Done",
    model=ModelStatus(key="model-7", training_status=4),
    started_at=EIGHT,
    finished_at=EIGHT,
    estimated_completion_at=EIGHT,
    estimated_completion_p90_at=EIGHT,
    last_progress_at=EIGHT,
    progress_stalled_at=EIGHT,
    timeline=(1, 2),
    last_observed_at=EIGHT,
    poll_interval_seconds=60,
    queue=Queue(position=1, of=2),
    metrics=Metrics(word_error_rate="12.5"),
    learning_curve=(LearningPoint(epoch=1, of=2, word_error_rate="20"),),
    failure=Failure(reason="Unknown", message="It failed.", solution="Read the log."),
    run=Run(id="first", token="v1"),
    log=LogStatus(entries=3, state="Complete"),
    history=(),
    used_requests=("0123456789abcdef",),
    repeated_request="The request was answered before.",
    pending_request="runToken v2",
    served_by=ServedBy(namespace="scriptix-system", renewed_at=EIGHT),
    display=Display(progress="100%"),
    conditions=(
        Condition(
            type="Succeeded",
            status="True",
            reason="TrainingSucceeded",
            message="Trained.",
            observed_generation=1,
            last_transition_time=EIGHT,
        ),
    ),
)
"""A status with a value in each field that a rerun clears, or the end of a run."""


def test_every_field_is_declared() -> None:
    groups = [DERIVED, KEPT_ON_RERUN, CHANGED_ON_RERUN, CLEARED_ON_RERUN]
    assert set().union(*groups) == FIELDS, "declare the field in this module; docs/dev says how"
    assert sum(map(len, groups)) == len(FIELDS), "a field is declared once"
    assert CLEARED_AT_END <= CLEARED_ON_RERUN


@pytest.mark.parametrize("field", sorted(KEPT_ON_RERUN | CHANGED_ON_RERUN | CLEARED_ON_RERUN))
def test_a_rerun_treats_the_field_as_declared(field: str) -> None:
    rerun = begin_run(a_training(run_token="v2", status=FULL))
    empty = TrainingStatus.model_fields[field].get_default(call_default_factory=True)
    before, after = getattr(FULL, field), getattr(rerun, field)
    match field:
        case _ if field in KEPT_ON_RERUN:
            assert before == after != empty
        case _ if field in CLEARED_ON_RERUN:
            assert before != after == empty
        case _:
            assert after not in (before, empty)


@pytest.mark.parametrize("field", sorted(KEPT_AT_END | CLEARED_AT_END))
def test_the_end_of_polling_treats_the_field_as_declared(field: str) -> None:
    before, after = getattr(FULL, field), getattr(without_poll_facts(FULL), field)
    if field in CLEARED_AT_END:
        assert before is not None
        assert after is None
    else:
        assert after == before


@pytest.mark.parametrize("field", sorted(DERIVED))
def test_a_derived_field_follows_from_the_others(field: str) -> None:
    training = a_training(status=FULL)
    forged = replace(
        FULL,
        observed_generation=9,
        phase="Forged",
        message="Forged.",
        repeated_request="Forged.",
        pending_request="Forged.",
        used_requests=(),
        display=Display(progress="forged"),
        conditions=(),
    )
    assert getattr(derive_status(training, forged, EIGHT), field) != getattr(forged, field)
