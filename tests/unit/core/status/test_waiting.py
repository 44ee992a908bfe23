"""core/status/waiting.py: why a run waits for its start."""

from dataclasses import replace
from typing import Any

import pytest

from scriptix_operator.api.reasons import FailureReason, Reason
from scriptix_operator.core.status.failure_catalog import FAILURE_CATALOG
from scriptix_operator.core.status.waiting import WAITING_REASONS, waiting_reason
from tests.unit.core.builders import a_status, a_training


def facts(phase: str | None, reason: str) -> dict[str, Any]:
    """A status with a phase and a reason."""
    return {"phase": phase, "conditions": [{"type": "Succeeded", "reason": reason}]}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({}, "Observed", id="not reconciled yet"),
        pytest.param(facts("Queued", "WaitingForStartQuota"), "WaitingForStartQuota", id="queued"),
        pytest.param(facts("Pending", "SecretNotFound"), "SecretNotFound", id="blocked"),
        pytest.param(facts("Pending", "OfANewerVersion"), "Observed", id="of a newer version"),
        pytest.param(facts("Running", "RateLimited"), None, id="running"),
        pytest.param(facts("Suspended", "Suspended"), None, id="suspended"),
    ],
)
def test_reason_is_that_of_the_conditions(status: dict[str, Any], expected: str | None) -> None:
    assert waiting_reason(a_training(status=a_status(**status))) == expected


NOT_WAITING = {
    Reason.STARTING,
    Reason.START_OUTCOME_UNKNOWN,
    Reason.TRAINING,
    Reason.PROGRESS_STALLED,
    Reason.TRAINING_SUCCEEDED,
    Reason.SUSPENDED,
    Reason.BEING_DELETED,
}
"""Reasons without a failure that the metric counts as Observed in the phases Pending and Queued.

Most come only with other phases; Starting and StartOutcomeUnknown are in phase Pending before the
next attempt at a start.
"""


def test_each_reason_is_waiting_or_not_on_purpose() -> None:
    """The metric counts a reason that is in no list as Observed."""
    blocking = {reason for reason, remedy in FAILURE_CATALOG.items() if remedy.blocks}
    waiting = {*Reason} - NOT_WAITING | blocking - {FailureReason.RESULT_NOT_PUBLISHED}
    assert {*WAITING_REASONS} == waiting


def test_resource_being_deleted_does_not_wait() -> None:
    training = a_training(status=a_status(**facts("Pending", "WaitingForModel")))
    assert waiting_reason(replace(training, is_being_deleted=True)) is None
