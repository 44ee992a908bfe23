"""Every field of status is declared here: what a rerun makes of it, and what the end of a run does.

A new field fails `test_each_status_field_has_one_fate_on_a_rerun` until a table has it. The tests
show that the code does what the tables say.
"""

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.status import Display, TrainingStatus
from scriptix_operator.core.follow.progressing import without_poll_facts
from scriptix_operator.core.requests.requests import begin_run
from scriptix_operator.core.status.conditions import derive_status
from tests.unit.core.builders import EIGHT, a_training, whole_status

KEPT_ON_RERUN = {
    *("observed_generation", "model", "published", "served_by", "conditions"),
    "pending_notifications",  # still to be sent, whatever follows
}
"""Fields of the resource or its model; `derive_status` changes the conditions, not their times."""
REPLACED_ON_RERUN = {"run", "log", "history", "used_requests"}
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
    "forecast",
    "failure",
}
"""Fields of the ended run."""
DERIVED = {"phase", "message", "pending_request", "repeated_request", "display"}
"""Fields that `derive_status` derives."""
COMPUTED = DERIVED | {"observed_generation", "used_requests", "conditions"}
"""Fields that `derive_status` computes from the others before each write."""
CLEARED_AT_END = {
    "estimated_completion_at",
    "estimated_completion_p90_at",
    "progress_stalled_at",
    "forecast",
    "poll_interval_seconds",
}
"""These fields hold only while the run is polled."""


def test_each_status_field_has_one_fate_on_a_rerun() -> None:
    before = whole_status()
    after = begin_run(a_training(run_token="v2", status=before))
    fields = TrainingStatus.model_fields
    kept = {name for name in fields if getattr(after, name) == getattr(before, name)}
    cleared = {name for name in fields if getattr(after, name) == fields[name].default}
    assert (kept, cleared) == (KEPT_ON_RERUN, CLEARED_ON_RERUN | DERIVED)
    assert fields.keys() - kept - cleared == REPLACED_ON_RERUN


def test_end_of_polling_clears_what_holds_only_while_polled() -> None:
    before = whole_status()
    after = without_poll_facts(before)
    fields = TrainingStatus.model_fields
    changed = {name for name in fields if getattr(after, name) != getattr(before, name)}
    assert changed == CLEARED_AT_END
    assert {getattr(after, name) for name in CLEARED_AT_END} == {None}


@pytest.mark.parametrize("field", sorted(COMPUTED))
def test_a_derived_field_follows_from_the_others(field: str) -> None:
    training = a_training(status=whole_status())
    forged = replace(
        whole_status(),
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
