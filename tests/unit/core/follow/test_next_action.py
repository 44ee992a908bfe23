"""core/follow/next_action.py: when the log is fetched, and when a run is published."""

from datetime import datetime
from typing import Any

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.api.status import (
    Baseline,
    LogStatus,
    TrainingStatus,
)
from scriptix_operator.core.follow.next_action import conclude, log_stored, publish_failed
from scriptix_operator.core.ledger.ledger import InFlightStart, StartOutcome
from scriptix_operator.core.reconcile.call_results import LogStored
from scriptix_operator.core.reconcile.context import ReconcileContext
from scriptix_operator.core.reconcile.in_process_state import InProcessState, LogFetchState
from scriptix_operator.core.reconcile.vocabulary import (
    Decision,
    FetchLog,
    PublishFailed,
    RequeueAfter,
)
from scriptix_operator.core.status.conditions import derive_status
from scriptix_operator.core.status.failures import failure
from tests.unit.core.builders import (
    EIGHT,
    WHOLE_LOG,
    a_context,
    a_run,
    a_status,
    a_training,
    at,
    followed,
)

RUNNING = followed()
SUCCEEDED = followed(finished_at=at(hours=8))
FAILED = replace(SUCCEEDED, failure=failure(FailureReason.SYSTEM_ERROR, "x"))
TIMED_OUT = replace(SUCCEEDED, failure=failure(FailureReason.TIMED_OUT, "x"))
UNPUBLISHED = replace(SUCCEEDED, failure=failure(FailureReason.RESULT_NOT_PUBLISHED, "403 quota"))
REJECTED = a_status(
    run=a_run(), finished_at=EIGHT, failure=failure(FailureReason.START_REJECTED, "x")
)


def a_step(
    status: TrainingStatus,
    *,
    collect: str = "Always",
    has_new_facts: bool = False,
    state: str | None = None,
    end: datetime | None = EIGHT,
    **spec: Any,  # noqa: ANN401 - values of spec fields
) -> ReconcileContext:
    """The context of a run, with the state of its log, and whether the reconcile has new facts."""
    if state is not None:
        log = LogStatus(state=state, end_seen_at=end)
        status = replace(status, log=log)
    training = a_training(status=status, log={"collect": collect}, **spec)
    return a_context(
        training,
        at(hours=1),
        InProcessState(log_fetches=LogFetchState(is_wanted=has_new_facts, failed=2)),
    )


@pytest.mark.parametrize(
    ("ctx", "fetched"),
    [
        pytest.param(a_step(RUNNING, has_new_facts=True), True, id="running, new facts"),
        pytest.param(a_step(RUNNING), False, id="running, no new facts"),
        pytest.param(
            a_step(RUNNING, has_new_facts=True, collect="OnFailure"), False, id="not failed yet"
        ),
        pytest.param(
            a_step(RUNNING, has_new_facts=True, collect="Never"), False, id="running, Never"
        ),
        pytest.param(a_step(SUCCEEDED), True, id="succeeded"),
        pytest.param(a_step(SUCCEEDED, collect="OnFailure"), False, id="succeeded, OnFailure"),
        pytest.param(a_step(SUCCEEDED, collect="Never"), False, id="succeeded, Never"),
        pytest.param(a_step(FAILED), True, id="failed"),
        pytest.param(a_step(FAILED, collect="OnFailure"), True, id="failed, OnFailure"),
        pytest.param(a_step(FAILED, collect="Never"), False, id="failed, Never"),
        pytest.param(a_step(TIMED_OUT, has_new_facts=True), False, id="timed out"),
        pytest.param(a_step(REJECTED, has_new_facts=True), False, id="never started"),
        pytest.param(a_step(SUCCEEDED, state="Collecting"), True, id="not whole yet"),
        pytest.param(a_step(SUCCEEDED, state="Complete"), False, id="whole"),
        pytest.param(a_step(SUCCEEDED, state="Unavailable"), False, id="there is none"),
        pytest.param(a_step(SUCCEEDED, state="NameTaken"), False, id="no resource of that name"),
        pytest.param(a_step(SUCCEEDED, state="Partial"), False, id="not whole at the API"),
        pytest.param(a_step(SUCCEEDED, state="Refused"), False, id="refused at the end"),
        pytest.param(
            a_step(RUNNING, state="Refused", has_new_facts=True), False, id="running, refused"
        ),
        pytest.param(
            a_step(RUNNING, state="Unavailable", has_new_facts=True), False, id="running, none"
        ),
        pytest.param(a_step(SUCCEEDED, state="Refused", end=None), True, id="refused before it"),
        pytest.param(a_step(SUCCEEDED, state="NameTaken", end=None), True, id="taken before it"),
        pytest.param(a_step(SUCCEEDED, state="Unavailable", end=None), True, id="none before it"),
        pytest.param(a_step(UNPUBLISHED), True, id="unpublished"),
        pytest.param(a_step(UNPUBLISHED, collect="OnFailure"), False, id="it has not failed"),
        pytest.param(a_step(SUCCEEDED, suspend=True), False, id="suspended at its end"),
    ],
)
def test_log_is_fetched_when_wanted_and_available(
    ctx: ReconcileContext,
    fetched: bool,  # noqa: FBT001 - the expected value
) -> None:
    assert isinstance(conclude(ctx).action, FetchLog) == fetched


def test_running_run_is_polled_after_the_poll_interval() -> None:
    assert conclude(a_step(RUNNING, poll_interval_seconds=90)).action == RequeueAfter(90)
    has_new_facts = a_step(RUNNING, has_new_facts=True, poll_interval_seconds=90)
    assert conclude(has_new_facts).action == FetchLog(90)


def test_finished_run_is_not_requeued() -> None:
    assert conclude(a_step(SUCCEEDED, state="Complete")).action == RequeueAfter(None)
    assert conclude(a_step(SUCCEEDED)).action == FetchLog(None)


@pytest.mark.parametrize(
    ("status", "published"),
    [(RUNNING, False), (SUCCEEDED, True), (FAILED, False), (TIMED_OUT, False), (REJECTED, False)],
    ids=["running", "succeeded", "failed", "timed out", "rejected"],
)
@pytest.mark.parametrize("collect", ["Always", "Never"])
def test_only_a_success_is_published(
    status: TrainingStatus,
    published: bool,  # noqa: FBT001 - the expected value
    collect: str,
) -> None:
    assert conclude(a_step(status, collect=collect)).publish is published


def publishing(
    state: InProcessState | None = None,
    *,
    refused: bool = True,
    **spec: Any,  # noqa: ANN401 - spec fields
) -> tuple[ReconcileContext, PublishFailed]:
    """A success whose result could not be published."""
    training = a_training(**{"log": {"collect": "Never"}, **spec})
    recorded = derive_status(training, RUNNING, EIGHT)
    success = derive_status(training, SUCCEEDED, at(hours=8))
    ctx = a_context(training.with_status(recorded), at(hours=8), state or InProcessState())
    decided = Decision(success, RequeueAfter(None), publish=True)
    return ctx, PublishFailed(decided, "create ConfigMap: 403 exceeded quota", refused=refused)


def test_refused_result_is_reported_with_the_runs_metrics() -> None:
    decision = publish_failed(*publishing())
    status = decision.status
    assert status.failure is not None
    assert (status.failure.reason, status.phase) == ("ResultNotPublished", "Running")
    assert status.finished_at == at(hours=8)
    assert (status.message or "").startswith(
        "The training has succeeded, but its result is not published: create ConfigMap: 403 "
        "exceeded quota. Fix the reported problem."
    )
    assert (decision.action, decision.publish) == (RequeueAfter(5), False)


def test_unrecorded_success_leaves_conditions_unchanged() -> None:
    """Otherwise each attempt would write another transition time."""
    decision = publish_failed(*publishing())
    assert {c.last_transition_time for c in decision.status.conditions if c.type != "Stalled"} == {
        EIGHT
    }


@pytest.mark.parametrize(
    ("before", "seconds"), [(0, 5), (1, 10), (2, 20), (3, 40), (4, 60), (5, 60), (10**6, 60)]
)
def test_refused_result_is_retried_with_backoff(before: int, seconds: float) -> None:
    decision = publish_failed(*publishing(InProcessState(failed_publishes=before)))
    assert decision.action == RequeueAfter(seconds)
    assert decision.state.failed_publishes == before + 1


@pytest.mark.parametrize(("before", "events"), [(0, False), (3, False), (4, True), (5, True)])
def test_short_cluster_failure_is_not_reported(
    before: int,
    events: bool,  # noqa: FBT001 - the expected value
) -> None:
    ctx, failed = publishing(InProcessState(failed_publishes=before), refused=False)
    decision = publish_failed(ctx, failed)
    assert (decision.status == ctx.status) is not events
    assert (decision.status.failure is not None) is events
    assert decision.state.failed_publishes == before + 1


@pytest.mark.parametrize("refused", [True, False], ids=["events", "not reported yet"])
def test_start_is_resolved_once_its_outcome_is_recorded(
    refused: bool,  # noqa: FBT001 - a row of the table
) -> None:
    """The in-flight start is resolved after the outcome is recorded, and not otherwise."""
    entry = InFlightStart(
        serial=1,
        model_id=7,
        uid="uid",
        namespace="team-a",
        name="cardiology",
        run="run-1",
        attempt=1,
        baseline=Baseline(training_status=2),
    )
    ctx, failed = publishing(refused=refused)
    settled = StartOutcome(entry, acted=True)
    decision = publish_failed(
        ctx, replace(failed, success=replace(failed.success, start_outcome=settled))
    )
    assert decision.start_outcome == (settled if refused else None)


def test_log_of_an_unpublished_run_is_fetched_meanwhile() -> None:
    ctx, failed = publishing(log={"collect": "Always"})
    decision = publish_failed(ctx, failed)
    assert decision.action == FetchLog(5)
    ctx = replace(ctx.with_status(decision.status), state=decision.state)
    decision = log_stored(ctx, LogStored(LogStatus(entries=5), (), 5, WHOLE_LOG))
    assert decision.action == RequeueAfter(5)
    assert decision.status.log is not None
    assert decision.status.log.next_fetch_at == at(hours=8, seconds=10)
    log = replace(decision.status.log, next_fetch_at=at(hours=8, seconds=3))
    status = replace(failed.success.status, log=log)
    failed = replace(failed, success=replace(failed.success, status=status))
    assert publish_failed(ctx, failed).action == RequeueAfter(3)


def test_unpublished_run_does_not_time_out() -> None:
    ctx = a_step(UNPUBLISHED, timeout_seconds=60)
    assert ctx.deadline is None
