"""core/status/waiting.py: why a run waits for its start, and what blocks a resource."""

from dataclasses import replace
from typing import Any

import pytest

from scriptix_operator.api.reasons import FailureReason, Reason
from scriptix_operator.core.status.failure_catalog import FAILURE_CATALOG
from scriptix_operator.core.status.waiting import (
    BLOCKING_REASONS,
    WAITING_REASONS,
    blocking_reason,
    waiting_reason,
)
from tests.unit.core.builders import EIGHT, a_status, a_training


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


BLOCKED = {"phase": "Running", "failure": {"reason": "Unauthorized"}}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        pytest.param({}, None, id="not reconciled yet"),
        pytest.param(BLOCKED, "Unauthorized", id="blocked while running"),
        pytest.param({"failure": {"reason": "OfANewerVersion"}}, None, id="of a newer version"),
        pytest.param({**BLOCKED, "finishedAt": EIGHT}, None, id="failed"),
    ],
)
def test_blocking_reason_is_that_of_the_failure(
    status: dict[str, Any], expected: str | None
) -> None:
    assert blocking_reason(a_training(status=a_status(**status))) == expected


def test_result_that_is_not_published_blocks() -> None:
    assert "ResultNotPublished" in BLOCKING_REASONS
    assert "SystemError" not in BLOCKING_REASONS


def test_suspended_or_deleted_resource_is_not_blocked() -> None:
    status = a_status(**BLOCKED)
    assert blocking_reason(a_training(status=status, suspend=True)) is None
    training = replace(a_training(status=status), is_being_deleted=True)
    assert blocking_reason(training) is None
