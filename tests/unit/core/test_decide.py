"""core/decide.py: the order of decisions in a reconcile, and its invariants."""

import math
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scriptix_operator.api.reasons import FailureReason, LogState, Phase
from scriptix_operator.api.status import Baseline, LearningPoint, LogStatus, Queue, TrainingStatus
from scriptix_operator.core.decide import decide
from scriptix_operator.core.eta.timeline import PastRun
from scriptix_operator.core.ledger.ledger import InFlightStart, LatestRun
from scriptix_operator.core.model.remote import (
    CallFailure,
    FailureKind,
    LogReply,
    RemoteMetrics,
    RemoteModel,
)
from scriptix_operator.core.reconcile.call_results import (
    LogExtent,
    LogStored,
    LogUnavailable,
    Posted,
    PostFailed,
)
from scriptix_operator.core.reconcile.in_process_state import InProcessState, PollState
from scriptix_operator.core.reconcile.vocabulary import (
    AcquireStart,
    Blocked,
    CheckQueue,
    FetchLog,
    KeyUse,
    ModelPolled,
    NoStartInFlight,
    Observation,
    Poll,
    PollDeferred,
    PollFailed,
    Post,
    QueueReached,
    RebuildPending,
    RequeueAfter,
    StartAborted,
    StartGranted,
    StartLedgerNotWritable,
    StartQueued,
)
from scriptix_operator.core.scheduling.poll_interval import GrantedInterval
from scriptix_operator.core.status.conditions import awaits_retry, is_end_pending, is_starting
from scriptix_operator.core.status.failures import failure
from tests.unit.core.builders import (
    EIGHT,
    KEY,
    Life,
    a_model,
    a_status,
    a_training,
    at,
    followed,
    metrics,
    truths,
)

BEFORE = EIGHT - timedelta(days=30)
NO_SECRET = failure(FailureReason.SECRET_NOT_FOUND, 'Secret "x" is not there.')


def test_the_documents_run_from_its_start_to_its_end() -> None:
    life = Life().intends(a_model(2)).is_accepted(a_model(3, progress=0, started_at=EIGHT))
    for hours, progress in ((0.25, 5), (0.5, 10), (2, 30), (4, 50), (6, 75), (7.5, 95)):
        life.now = at(hours=hours)
        life.polls(a_model(3, progress=progress, started_at=EIGHT))
        if isinstance(life.action, FetchLog):
            life.stores_log()
        assert life.action == RequeueAfter(60)
        if progress >= 10:
            assert life.status.estimated_completion_at == at(hours=8)
    life.now = at(hours=8)
    life.succeeds(finished_at=at(hours=8))
    assert life.event_reasons == [
        "TrainingStarted",
        "StageChanged",
        "StageChanged",
        "StageChanged",
        "StageChanged",
        "TrainingSucceeded",
    ]
    assert truths(life.status) == {"Succeeded": "True", "Ready": "True"}
    assert (life.status.started_at, life.status.finished_at) == (EIGHT, at(hours=8))
    assert life.published == 1
    assert life.action == RequeueAfter(None)
    written = life.writes
    life.waits(3600).wake_ups()
    assert (life.writes, life.action, life.published) == (written, RequeueAfter(None), 1)


def test_the_log_is_fetched_at_each_stage_and_at_the_end() -> None:
    life, fetched = Life().runs(), []
    for progress in (0, 5, 12, 20, 35, 71, 95, 96):
        life.waits(600).polls(a_model(3, progress=progress, started_at=EIGHT))
        if isinstance(life.action, FetchLog):
            fetched.append(progress)
            life.stores_log()
    assert fetched == [0, 12, 35, 71, 95]
    life.waits(600).polls(a_model(4, started_at=EIGHT))
    assert life.action == FetchLog(None)


def test_log_missing_during_the_run_is_fetched_at_its_end() -> None:
    life = Life().runs()
    life.waits(60).polls(a_model(3, progress=1, started_at=EIGHT))
    life.learns(LogUnavailable(None, LogState.UNAVAILABLE, 60))
    assert life.status.log is not None
    assert life.status.log.state == "Unavailable"
    life.waits(60).polls(a_model(3, progress=95, started_at=EIGHT))
    life.learns(LogUnavailable(None, LogState.UNAVAILABLE, 60))
    life.waits(60).polls(a_model(4, progress=95, started_at=EIGHT))
    life.stores_log()
    assert life.status.log.state == "Complete"


# Blocked: not failed; shows a remedy; clears automatically.


@pytest.mark.parametrize("stage", ["before a start", "while starting", "while running"])
def test_block_is_reported_with_a_remedy_and_clears_itself(stage: str) -> None:
    life = Life()
    phase = {"before a start": "Pending", "while starting": "Starting"}.get(stage, "Running")
    if phase == "Starting":
        life.intends().is_refused(FailureKind.AMBIGUOUS)
    elif phase == "Running":
        life.runs()
    life.wake_ups()
    life.learns(Blocked(NO_SECRET))
    assert (life.status.phase, life.reason) == (phase, "SecretNotFound")
    assert truths(life.status) == {"Succeeded": "Unknown", "Ready": "Unknown", "Stalled": "True"}
    assert "Create the Secret" in (life.status.message or "")
    assert life.action == RequeueAfter(60)
    written = life.writes
    life.waits(60).wake_ups()
    life.learns(Blocked(NO_SECRET))
    assert life.writes == written
    life.waits(60).polls(a_model(3, started_at=EIGHT, progress=1))
    assert (life.status.phase, life.status.failure) == ("Running", None)
    assert truths(life.status)["Reconciling"] == "True"


def test_blocked_resource_is_polled_within_a_minute() -> None:
    for interval, seconds in ((3600, 60), (5, 5)):
        life = Life(a_training(poll_interval_seconds=interval))
        life.wake_ups()
        assert life.learns(Blocked(NO_SECRET)).action == RequeueAfter(seconds)
        assert life.poll_fails(FailureKind.UNAUTHORIZED).action == RequeueAfter(seconds)


def test_blocked_resource_is_not_in_the_queue() -> None:
    for observation in (Blocked(NO_SECRET), PollFailed(CallFailure(FailureKind.NOT_FOUND, "404"))):
        life = Life()
        life.polls(a_model(2))
        life.is_queued()
        for _ in range(2):
            life.waits(60).wake_ups()
            life.learns(observation)
        assert (life.status.phase, life.status.queue) == ("Pending", None)


# Failed polls, before a start and during a run.


@pytest.mark.parametrize("running", [False, True], ids=["before a start", "running"])
@pytest.mark.parametrize(
    ("kind", "reason", "rests", "stalled"),
    [
        (FailureKind.NOT_SENT, "ApiUnavailable", 30, False),
        (FailureKind.AMBIGUOUS, "ApiUnavailable", 30, False),
        (FailureKind.REJECTED, "ApiUnavailable", 30, False),
        (FailureKind.CONFLICT, "ApiUnavailable", 30, False),
        (FailureKind.RATE_LIMITED, "RateLimited", 60, False),
        (FailureKind.UNAUTHORIZED, "Unauthorized", 60, True),
        (FailureKind.NOT_FOUND, "ModelNotFound", 60, True),
    ],
)
def test_failed_poll_ends_nothing(
    kind: FailureKind,
    reason: str,
    rests: float,
    stalled: bool,  # noqa: FBT001 - a column
    running: bool,  # noqa: FBT001 - a case
) -> None:
    life = Life()
    if running:
        life.runs()
    if running and stalled:
        # The refusal contradicts an earlier poll, so a second poll has to confirm it.
        life.poll_fails(kind, message="HTTP 5xx: oops", status=403)
        assert (life.reason, life.action) == ("ApiUnavailable", RequeueAfter(5))
        life.waits(5)
    life.poll_fails(kind, message="HTTP 5xx: oops")
    assert (life.status.phase, life.reason) == ("Running" if running else "Pending", reason)
    assert (life.action, "Stalled" in truths(life.status)) == (RequeueAfter(rests), stalled)
    events = "status was last updated at 2025-01-16 08:00Z" in (life.status.message or "")
    assert events == (running and reason == "ApiUnavailable")
    life.waits(60).polls(a_model(3, started_at=EIGHT, progress=10))
    assert (life.status.phase, life.reason) == ("Running", "Training")
    assert life.state.polls.failed == 0


def test_block_that_is_not_repeated_is_cleared() -> None:
    life = Life()
    life.poll_fails(FailureKind.UNAUTHORIZED)
    life.waits(60).poll_fails(FailureKind.AMBIGUOUS)
    assert (life.reason, life.status.failure) == ("ApiUnavailable", None)
    assert "Reconciling" in truths(life.status)


def test_polls_of_an_unreachable_api_back_off() -> None:
    for interval, waits in (
        (60, [30, 30, 60, 60, 120, 120, 240, 240, 240]),
        (1, [1, 1, 2, 2, 4, 4, 4]),
        (3600, [30, 30, 60, 60]),
    ):
        life = Life(a_training(poll_interval_seconds=interval))
        seen = [life.poll_fails(FailureKind.AMBIGUOUS).action for _ in waits]
        assert seen == [RequeueAfter(seconds) for seconds in waits]


def test_rate_limited_poll_waits_for_retry_after() -> None:
    life = Life()
    assert life.poll_fails(FailureKind.RATE_LIMITED, retry_after=90.5).action == RequeueAfter(90.5)
    assert life.status.message == (
        "The API refused a call because of its rate limit; the operator polls again at "
        "2025-01-16 08:01Z."
    )
    assert life.waits(60).poll_fails(FailureKind.RATE_LIMITED).action == RequeueAfter(60)
    assert life.event_reasons == ["RateLimited"]


def test_poll_without_quota_changes_nothing() -> None:
    life = Life().runs()
    life.wake_ups()
    before = life.status
    assert life.learns(PollDeferred(17)).action == RequeueAfter(17)
    assert life.status == before


def test_resource_waits_for_a_permit_until_its_time_out() -> None:
    life = Life(a_training(timeout_seconds=3600, log={"collect": "Never"})).runs().waits(600)
    assert life.polls(a_model(3, progress=40, started_at=EIGHT)).poll_by == 3000
    assert life.waits(60).learns(PollDeferred(17)).poll_by == 2940
    # The key was replaced: the permit of another key is to be acquired at once.
    assert life.learns(PollDeferred(0.0)).poll_by is None
    assert Life().polls(a_model(1)).poll_by == math.inf


@pytest.mark.parametrize("due_for", ["a fix", "its results"])
def test_resource_that_is_due_for_more_waits_for_no_permit(due_for: str) -> None:
    life = Life().runs().waits(600)
    if due_for == "a fix":
        decision = life.learns(Blocked(NO_SECRET))
    else:
        decision = life.polls(a_model(4, started_at=EIGHT, metrics=None))
    assert isinstance(decision.action, RequeueAfter)
    assert decision.poll_by is None


def test_edit_is_observed_without_quota() -> None:
    life = Life().runs().edit(priority=5)
    life.wake_ups()
    life.learns(PollDeferred(17))
    assert life.status.observed_generation == 2


# Suspended.


@pytest.mark.parametrize(
    "phase", ["new", "Queued", "Pending", "Blocked", "Starting", "Running", "Succeeded", "Failed"]
)
def test_suspended_resource_makes_no_calls_and_resumes(phase: str) -> None:
    life = Life(a_training(existing_training="Wait"))
    if phase == "Queued":
        life.polls(a_model(2))
        life.is_queued()
    elif phase == "Pending":
        life.polls(a_model(1))
    elif phase == "Blocked":
        life.poll_fails(FailureKind.UNAUTHORIZED)
    elif phase == "Starting":
        life.intends().is_refused(FailureKind.AMBIGUOUS)
    elif phase in {"Running", "Succeeded", "Failed"}:
        life.runs().waits(3600).polls(a_model(3, started_at=EIGHT, progress=30))
        assert life.status.estimated_completion_at is not None
    if phase in {"Succeeded", "Failed"}:  # with a log fetch still due
        life.waits(60).polls(a_model(4 if phase == "Succeeded" else 5, started_at=EIGHT))
    terminal = phase in {"Succeeded", "Failed"}
    events = life.event_reasons
    life.edit(suspend=True).waits(60)
    decision = life.wake_ups()
    assert isinstance(decision.action, RequeueAfter)
    assert life.status.phase == (phase if terminal else "Suspended")
    assert life.status.observed_generation == 2
    assert (life.status.queue, life.status.estimated_completion_at) == (None, None)
    assert terminal or life.status.failure is None
    assert life.event_reasons == events
    written = life.writes
    life.waits(60).wake_ups()
    assert life.writes == written
    life.edit(suspend=False).wake_ups()
    assert isinstance(life.action, FetchLog if terminal else Poll)
    assert life.status.phase != "Suspended"


def test_suspended_never_starts_a_requested_run() -> None:
    life = Life().runs().waits(60).succeeds().edit(run_token="v2", suspend=True)
    assert life.wake_ups().action == RequeueAfter(None)
    assert life.status.phase == "Suspended"
    assert life.run.token == "v2"
    life.edit(suspend=False)
    assert isinstance(life.polls(a_model(2, started_at=EIGHT)).action, AcquireStart)


@pytest.mark.parametrize("reply", [a_model(3, started_at=EIGHT), None])
def test_a_post_in_flight_is_finished_when_suspended(reply: RemoteModel | None) -> None:
    life = Life().intends().edit(suspend=True)
    life.is_refused(FailureKind.AMBIGUOUS)
    assert life.status.phase == "Suspended"
    assert "a run may be in progress" in (life.status.message or "")
    life = Life().intends().edit(suspend=True)
    life.is_accepted(reply)
    assert (life.status.phase, life.run.ownership) == ("Suspended", "Owned")
    assert "the remote run continues" in (life.status.message or "")


# Timeouts.


def test_timed_out_run_makes_no_further_calls() -> None:
    life = Life(a_training(timeout_seconds=7200)).runs()
    life.waits(7199.5).polls(a_model(3, progress=30, started_at=EIGHT))
    life.stores_log()
    assert life.action == RequeueAfter(0.5)
    life.waits(0.5)
    assert life.wake_ups().action == RequeueAfter(None)
    assert (life.status.phase, life.reason) == ("Failed", "TimedOut")
    assert life.status.finished_at == at(hours=2)
    assert life.status.failure is not None
    assert not life.status.failure.retryable
    assert "did not cancel" in (life.status.message or "")
    assert "within 2h (spec.timeoutSeconds)" in (life.status.message or "")
    assert life.event_reasons[-1] == "TrainingTimedOut"
    assert life.status.estimated_completion_at is None
    life.edit(timeout_seconds=86400).waits(60)
    assert life.wake_ups().action == RequeueAfter(None)
    assert life.reason == "TimedOut"


def test_a_run_times_out_while_suspended() -> None:
    life = Life(a_training(timeout_seconds=7200)).runs().edit(suspend=True)
    assert life.waits(60).wake_ups().action == RequeueAfter(7140)
    life.waits(7140).wake_ups()
    assert (life.status.phase, life.reason) == ("Failed", "TimedOut")


def test_run_times_out_while_blocked_or_unknown() -> None:
    for life in (
        Life(a_training(timeout_seconds=60)).runs(),
        Life(a_training(timeout_seconds=60)).intends().is_refused(FailureKind.AMBIGUOUS),
    ):
        life.waits(25).poll_fails(FailureKind.UNAUTHORIZED, status=403)
        assert life.action == RequeueAfter(5)
        life.waits(5).poll_fails(FailureKind.UNAUTHORIZED, status=403)
        assert (life.reason, life.action) == ("Unauthorized", RequeueAfter(30))
        life.waits(30).wake_ups()
        assert (life.status.phase, life.reason) == ("Failed", "TimedOut")


def test_an_adopted_run_times_out_from_its_adoption() -> None:
    life = Life(a_training(timeout_seconds=7200))
    life.polls(a_model(3, started_at=BEFORE, progress=1))
    assert life.status.phase == "Running"
    assert life.waits(7200).wake_ups().status.phase == "Failed"


@pytest.mark.parametrize("state", [1, 2], ids=["waiting", "queued"])
def test_resource_without_a_start_never_times_out(state: int) -> None:
    life = Life(a_training(timeout_seconds=60))
    for _ in range(5):
        life.waits(3600).polls(a_model(state))
        if state == 2:
            life.is_queued()
    assert life.status.phase == {1: "Pending", 2: "Queued"}[state]


def test_a_longer_time_out_counts_at_once() -> None:
    life = Life(a_training(timeout_seconds=60)).runs().edit(timeout_seconds=7200)
    life.waits(61).polls(a_model(3, started_at=EIGHT))
    assert life.status.phase == "Running"


# Requests.


def test_another_run_follows_the_first() -> None:
    life = Life(a_training(run_token="v1")).runs().waits(60).succeeds()
    first = life.run.id
    life.edit(run_token="v2").waits(60).intends(a_model(2, started_at=EIGHT))
    assert life.run.id != first
    assert (life.run.token, life.status.history[0].token) == ("v2", "v1")
    life.is_accepted(a_model(3, started_at=at(hours=9), progress=0))
    life.waits(60).succeeds(at(hours=9))
    assert (life.status.phase, life.published) == ("Succeeded", 2)
    life.edit(run_token="v1").waits(60)
    assert life.wake_ups().action == RequeueAfter(None)
    life.edit(run_token="").waits(60)
    assert life.wake_ups().action == RequeueAfter(None)
    assert len(life.status.history) == 1


def test_new_request_clears_in_process_state_of_the_last_run() -> None:
    life = Life().runs().waits(60).succeeds()
    life.state = replace(
        life.state,
        start=replace(life.state.start, refusals=4),
        log_fetches=replace(
            life.state.log_fetches, failed=3, is_wanted=True, refusals=1, gateway_refusals=5
        ),
    )
    life.edit(run_token="v2").wake_ups()
    assert life.state == InProcessState(polls=PollState(answered_at=life.state.polls.answered_at))


@pytest.mark.parametrize("gap", ["suspended", "blocked", "timed out", "a new run"])
def test_refusals_before_a_gap_confirm_nothing_after_it(gap: str) -> None:
    life = Life(a_training(timeout_seconds=7200, run_token="v1")).runs()
    doubted = replace(
        life.state,
        polls=replace(life.state.polls, refused_since=EIGHT, gateway_refused_since=EIGHT),
    )
    match gap:
        case "suspended":
            life.edit(suspend=True).state = doubted
            life.wake_ups()
        case "blocked":
            life.state = doubted
            life.learns(Blocked(NO_SECRET))
        case "timed out":
            life.waits(7200).state = doubted
            life.wake_ups()
        case _:
            life.waits(60).succeeds().edit(run_token="v2").state = doubted
            life.wake_ups()
    assert (life.state.polls.refused_since, life.state.polls.gateway_refused_since) == (None, None)


def test_a_run_is_asked_for_by_the_annotation_which_is_no_edit() -> None:
    life = Life().runs().waits(60).succeeds().annotate("2025-01-16T20:00:00Z")
    assert isinstance(life.polls(a_model(2, started_at=EIGHT)).action, AcquireStart)
    assert life.run.requested_at == "2025-01-16T20:00:00Z"


@pytest.mark.parametrize("phase", ["Running", "Starting"])
def test_requests_during_a_run_collapse_to_the_newest(phase: str) -> None:
    life = Life(a_training(run_token="v1"))
    if phase == "Running":
        life.runs()
    else:
        life.intends().is_refused(FailureKind.AMBIGUOUS)
    first = life.run.id
    for token in ("v2", "v3"):
        life.edit(run_token=token).waits(60).wake_ups()
        assert (life.run.id, life.run.token) == (first, "v1")
    life.annotate("t1").polls(a_model(3, started_at=EIGHT))
    life.waits(60).succeeds()
    assert life.action == RequeueAfter(
        0
    )  # no other trigger follows: the edit was observed long ago
    life.wake_ups()
    assert (life.run.token, life.run.requested_at) == ("v3", "t1")
    assert [entry.token for entry in life.status.history] == ["v1"]


@pytest.mark.parametrize("collect", ["Always", "OnFailure", "Never"])
@pytest.mark.parametrize("end", ["succeeded", "failed", "timed out", "the log is not there"])
def test_request_during_a_run_follows_its_end_without_a_trigger(end: str, collect: str) -> None:
    life = Life(a_training(log={"collect": collect}, timeout_seconds=3600)).runs()
    life.edit(run_token="v2").waits(60).polls(a_model(3, started_at=EIGHT))
    if isinstance(life.action, FetchLog):
        life.stores_log()
    if end == "timed out":
        life.waits(3600).wake_ups()
    else:
        life.waits(60).polls(a_model(5 if end == "failed" else 4, started_at=EIGHT))
    if isinstance(life.action, FetchLog) and end == "the log is not there":
        life.learns(LogUnavailable(900, LogState.COLLECTING, None))
    elif isinstance(life.action, FetchLog):
        life.stores_log()
    assert life.action == RequeueAfter(0)
    assert life.wake_ups().action == Poll()
    assert life.run.token == "v2"


def test_request_waiting_for_the_model_is_replaced_by_a_newer() -> None:
    """Two edits before the start request one training, not two."""
    life = Life(a_training(run_token="v1")).runs().waits(60).succeeds()
    life.edit(run_token="v2").waits(60).polls(a_model(1, started_at=EIGHT))
    life.edit(run_token="v3").waits(60).polls(a_model(1, started_at=EIGHT))
    assert (life.run.token, life.status.phase) == ("v3", "Pending")
    life.waits(60).intends(a_model(2, started_at=EIGHT))
    life.is_accepted(a_model(3, started_at=at(hours=9), progress=0))
    life.waits(60).succeeds(at(hours=9))
    assert life.waits(60).wake_ups().action == RequeueAfter(None)
    assert [entry.token for entry in life.status.history] == ["v1"]


def test_the_first_run_answers_the_newest_request() -> None:
    life = Life(a_training(run_token="v1"))
    life.polls(a_model(1))
    life.edit(run_token="v2").waits(60).intends()
    assert life.run.token == "v2"


# The quality gate.


GATE = {"max_word_error_rate": "10"}


def test_run_that_misses_its_gate_is_published_once_relaxed() -> None:
    life = Life(a_training(quality_gate=GATE)).runs().waits(60).succeeds()
    assert (life.status.phase, life.reason, life.published) == ("Failed", "QualityGateFailed", 0)
    finished = life.status.finished_at
    assert life.waits(60).wake_ups().action == RequeueAfter(None)
    life.edit(quality_gate={"max_word_error_rate": "12"}).waits(60).wake_ups()
    assert life.reason == "QualityGateFailed"
    assert "at most 12% wanted" in (life.status.message or "")
    life.edit(quality_gate={"max_word_error_rate": "12.5"}).waits(60).wake_ups()
    assert (life.status.phase, life.published, life.action) == ("Succeeded", 1, RequeueAfter(None))
    assert life.status.finished_at == finished
    assert life.event_reasons[-2:] == ["QualityGateFailed", "TrainingSucceeded"]
    life.edit(quality_gate={"max_word_error_rate": "1"}).waits(60).wake_ups()
    assert (life.status.phase, life.published) == ("Succeeded", 1)


def test_a_gate_without_its_metric_is_missed() -> None:
    life = Life(a_training(quality_gate=GATE, log={"collect": "Never"})).runs().waits(60)
    life.succeeds(metrics=None).waits(120).wake_ups()
    assert (life.status.phase, life.reason) == ("Failed", "QualityGateFailed")
    assert "word error rate is not given" in (life.status.message or "")
    life.edit(quality_gate=None).waits(60).polls(a_model(4, started_at=EIGHT, metrics=None))
    assert life.status.phase == "Succeeded"


def test_narrowed_and_widened_gate_publishes_passing_results() -> None:
    """No call is made: the metrics in status decide."""
    life = Life(a_training(quality_gate=GATE)).runs().waits(60).succeeds()
    for bound, phase, published in (
        ("12.4999", "Failed", 0),
        ("12.5", "Succeeded", 1),
        ("12.4", "Succeeded", 1),
        ("99", "Succeeded", 1),
    ):
        life.edit(quality_gate={"max_word_error_rate": bound}).waits(60)
        assert isinstance(life.wake_ups().action, RequeueAfter)
        assert (life.status.phase, life.published) == (phase, published)


def test_tightened_gate_of_a_published_result_is_reported() -> None:
    life = Life(a_training(quality_gate={"max_word_error_rate": "15"})).runs()
    trained = life.waits(60).succeeds().status.message
    events = life.event_reasons
    life.edit(quality_gate={"max_word_error_rate": "10"}).wake_ups()
    assert life.status.message == (
        f"{trained} spec.qualityGate changed after the operator published the result. The result "
        "stays published, and the changed gate applies from the next run on. The result misses the "
        "changed gate: word error rate is 12.5% (at most 10% wanted)."
    )
    assert (life.status.phase, life.reason, life.action) == (
        "Succeeded",
        "TrainingSucceeded",
        RequeueAfter(None),
    )
    # Reported once for each edit, and not after the gate is relaxed.
    said, writes = life.status.message, life.writes
    assert life.waits(600).wake_ups().status.message == said
    assert life.writes == writes
    assert life.edit(priority=1).wake_ups().status.message == said
    assert (
        life.edit(quality_gate={"max_word_error_rate": "13"}).wake_ups().status.message == trained
    )
    assert (life.event_reasons, life.published) == (events, 1)
    # The next run is judged by the gate at that time.
    life.edit(quality_gate={"max_word_error_rate": "10"}, run_token="v2").waits(60)
    life.intends(a_model(2, started_at=EIGHT)).is_accepted()
    life.waits(60).succeeds(at(hours=1))
    assert (life.reason, life.published) == ("QualityGateFailed", 1)


def test_tightened_gate_is_reported_for_a_restored_run() -> None:
    life = Life(a_training(run_token="v1")).runs().waits(60).succeeds()
    life.edit(run_token="v2", quality_gate={"max_character_error_rate": "8"}).waits(60)
    life.polls(a_model(1, started_at=EIGHT))
    life.edit(run_token="v1").wake_ups()
    assert life.status.phase == "Succeeded"
    message = life.status.message or ""
    assert "before its start. spec.qualityGate changed" in message
    assert "character error rate is 8.3% (at most 8% wanted)" in message


def test_run_that_misses_its_gate_keeps_the_previous_result() -> None:
    life = Life(a_training(quality_gate={"max_word_error_rate": "13"})).runs().waits(60).succeeds()
    assert life.published == 1
    life.edit(run_token="v2").waits(60).intends(a_model(4, started_at=EIGHT))
    life.is_accepted(a_model(3, progress=0, started_at=at(hours=9)))
    life.waits(60).succeeds(at(hours=9), metrics=metrics("13.0001"))
    assert (life.status.phase, life.reason, life.published) == ("Failed", "QualityGateFailed", 1)


# Results that the cluster refuses.


REFUSED = ('create ConfigMap team-a/cardiology-result: 403 exceeded quota: "few"', True)
HICCUP = ("create ConfigMap team-a/cardiology-result: 500 failed calling webhook", False)


def test_refused_result_is_reported_once_and_published_later() -> None:
    life = Life(a_training(log={"collect": "Never"})).runs().waits(60)
    life.refusal = REFUSED
    life.succeeds()
    assert (life.status.phase, life.reason, life.published) == ("Running", "ResultNotPublished", 0)
    assert truths(life.status) == {"Succeeded": "Unknown", "Ready": "Unknown", "Stalled": "True"}
    written = life.writes
    for wait in (5, 10, 20, 40, 60, 60):
        assert life.action == RequeueAfter(wait)
        assert isinstance(life.waits(wait).wake_ups().action, RequeueAfter)
    assert life.writes == written
    life.refusal = None
    life.waits(60).wake_ups()
    assert (life.status.phase, life.published, life.action) == ("Succeeded", 1, RequeueAfter(None))
    assert life.status.failure is None
    assert life.event_reasons[-2:] == ["ResultNotPublished", "TrainingSucceeded"]


def test_request_during_a_run_waits_for_its_published_result() -> None:
    life = Life(a_training(log={"collect": "Never"})).runs().edit(run_token="v2").waits(60)
    life.refusal = REFUSED
    life.succeeds()
    assert (life.action, life.run.token) == (RequeueAfter(5), "")  # and not at once in a loop
    life.refusal = None
    life.waits(5).wake_ups()
    assert (life.status.phase, life.published, life.action) == ("Succeeded", 1, RequeueAfter(0))
    assert life.wake_ups().action == Poll()
    assert life.run.token == "v2"


def test_metrics_outlive_a_restart_and_a_changed_model() -> None:
    life = Life(a_training(log={"collect": "Never"})).runs().waits(60)
    life.refusal = REFUSED
    life.succeeds(finished_at=at(hours=8))
    life.refusal = None
    # The model has new data by now, but no poll is sent.
    life.restarts().waits(60)
    assert life.wake_ups().action == RequeueAfter(None)
    assert (life.status.phase, life.status.finished_at) == ("Succeeded", at(hours=8))
    assert life.status.metrics is not None
    assert life.status.metrics.word_error_rate == "12.5"


def test_short_publishing_failure_is_not_reported() -> None:
    life = Life(a_training(log={"collect": "Never"})).runs().waits(60)
    life.refusal = HICCUP
    written = life.writes
    life.succeeds()
    assert (life.reason, life.action, life.writes) == ("Training", RequeueAfter(5), written)
    life.refusal = None
    life.waits(5).succeeds()
    assert (life.status.phase, life.published) == ("Succeeded", 1)
    assert "ResultNotPublished" not in life.event_reasons


def test_lasting_publishing_failure_is_reported() -> None:
    life = Life(a_training(log={"collect": "Never"})).runs().waits(60)
    life.refusal = HICCUP
    for wait in (5, 10, 20, 40, 60):
        assert life.reason == "Training"
        life.succeeds()
        assert life.action == RequeueAfter(wait)
        life.waits(wait)
    assert (life.status.phase, life.reason) == ("Running", "ResultNotPublished")


def test_a_relaxed_gate_whose_result_is_held_up_is_judged_again() -> None:
    """The edit must not count as observed before its judgement is complete."""
    life = Life(a_training(quality_gate=GATE, log={"collect": "Never"})).runs().waits(60).succeeds()
    life.refusal = HICCUP
    life.edit(quality_gate=None).waits(60).wake_ups()
    assert (life.status.phase, life.published) == ("Failed", 0)
    life.refusal = None
    life.waits(5).wake_ups()
    assert (life.status.phase, life.published) == ("Succeeded", 1)


def test_an_unpublished_run_is_judged_by_the_gate_as_it_is_now() -> None:
    life = Life(a_training(log={"collect": "Never"})).runs().waits(60)
    life.refusal = REFUSED
    life.succeeds()
    life.edit(quality_gate=GATE).waits(60).wake_ups()
    assert (life.status.phase, life.reason, life.published) == ("Failed", "QualityGateFailed", 0)


def test_requested_run_waits_for_the_previous_result() -> None:
    life = Life(a_training(log={"collect": "Never"})).runs().waits(60)
    life.refusal = REFUSED
    life.succeeds()
    first = life.run.id
    life.edit(run_token="v2").waits(60).wake_ups()
    assert (life.run.id, life.reason) == (first, "ResultNotPublished")
    life.refusal = None
    life.waits(60).wake_ups()
    assert (life.run.id, life.published) == (first, 1)
    life.waits(60).polls(a_model(2))
    assert life.run.id != first


def test_result_is_published_while_suspended() -> None:
    life = Life(a_training(log={"collect": "Never"})).runs().waits(60)
    life.refusal = REFUSED
    life.succeeds()
    life.edit(suspend=True).waits(60).wake_ups()
    assert life.status.phase == "Suspended"
    life.refusal = None
    life.waits(60).wake_ups()
    assert (life.status.phase, life.published) == ("Succeeded", 1)


def test_an_edit_judges_no_other_failure_again() -> None:
    life = Life().runs()
    life.waits(60).polls(a_model(5, started_at=EIGHT, error="System error"))
    life.stores_log()
    life.edit(priority=1).waits(60).wake_ups()
    assert (life.status.phase, life.reason, life.published) == ("Failed", "SystemError", 0)


# Writes only for changes.


def test_poll_without_changes_is_written_every_ten_minutes() -> None:
    life = Life().runs().waits(4 * 3600)
    life.polls(a_model(3, progress=50, started_at=EIGHT))
    life.stores_log()
    written = life.writes
    for _ in range(9):
        life.waits(60).polls(a_model(3, progress=50, started_at=EIGHT))
    assert life.writes == written
    life.waits(60).polls(a_model(3, progress=50, started_at=EIGHT))
    assert (life.writes, life.status.last_observed_at) == (written + 1, at(hours=4, minutes=10))


def test_waiting_is_reported_and_written_once() -> None:
    life = Life(a_training(existing_training="Wait"))
    for _ in range(5):
        life.waits(60).polls(a_model(4, started_at=BEFORE))
    assert (life.writes, life.event_reasons) == (1, ["WaitingForModel"])


def test_without_an_answer_nothing_is_decided() -> None:
    training = a_training(status=followed())
    with pytest.raises(TypeError, match="no decision for str"):
        decide(training, cast("Observation", "nonsense"), EIGHT)


def test_missing_ledger_prevents_starts_and_is_reported() -> None:
    life = Life()
    life.poll_fails(FailureKind.UNAUTHORIZED)  # the ledger is read before the key
    life.wake_ups()
    life.learns(StartLedgerNotWritable())
    assert (life.status.phase, life.reason, life.action) == (
        "Pending",
        "StartLedgerNotWritable",
        RequeueAfter(60),
    )
    assert life.polls(a_model(2)).action == AcquireStart(a_model(2), KEY, 0)


def test_start_waits_until_a_lost_ledger_can_be_rebuilt() -> None:
    life = Life()
    life.wake_ups()
    life.learns(RebuildPending("namespace team-b not listed"))
    assert (life.status.phase, life.reason, life.action) == (
        "Pending",
        "WaitingForNamespaces",
        RequeueAfter(60),
    )
    assert "namespace team-b not listed" in (life.status.message or "")
    assert life.polls(a_model(2)).action == AcquireStart(a_model(2), KEY, 0)


# Invariants of every reconcile: random lives.


HOSTILE = st.builds(
    lambda text, times: text * times,
    st.text(st.characters(), max_size=8),
    st.sampled_from([1, 1, 40, 3000]),
)
MARKERS = st.sampled_from(
    [None, BEFORE - timedelta(days=1), BEFORE, EIGHT, at(hours=1), at(hours=30)]
)
PERCENT = st.none() | st.integers(-5, 120) | st.just(2**53 - 1)
STATES = st.sampled_from([1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 5, 0, 6, 2**53 - 1])
NUMBERS = st.none() | st.decimals(
    "-999999999", "999999999", allow_nan=False, allow_infinity=False
).map(lambda n: Decimal(f"{n:.9f}"))
MODELS = st.builds(
    RemoteModel,
    id=st.just(7),
    training_status=STATES,
    key=st.none() | HOSTILE,
    name=st.none() | HOSTILE,
    status_message=st.none() | HOSTILE,
    progress=PERCENT,
    started_at=MARKERS,
    finished_at=MARKERS,
    metrics=st.none() | st.builds(RemoteMetrics, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    error=st.none() | HOSTILE | st.just("System error"),
    error_code=st.none() | HOSTILE,
)
KEYS = st.sampled_from([KEY, KeyUse("Secret/team-a/other/api-key", "ffffffffffff")])
FAILURES = st.builds(
    CallFailure,
    kind=st.sampled_from(FailureKind),
    message=HOSTILE.map(lambda text: f"HTTP 500: {text}"[:256]),
    code=st.sampled_from([None, "MODEL_NOT_READY", "TRAINING_IN_PROGRESS", "x" * 64]),
    retry_after=st.sampled_from([None, 0.0, 7.0, 86400.0]),
    reset_seen=st.booleans(),
)
BLOCKS = st.builds(Blocked, st.builds(failure, st.sampled_from(list(FailureReason)[-4:]), HOSTILE))
QUEUES = st.builds(
    Queue,
    position=st.integers(1, 9),
    of=st.integers(9, 10**6),
    estimated_start_at=MARKERS,
)
CURVES = st.lists(
    st.builds(LearningPoint, epoch=st.integers(1), of=st.integers(1), word_error_rate=st.just("9")),
    max_size=40,
).map(tuple)
DUE = st.none() | st.floats(0, 3600)


COMPETITORS = st.sampled_from(
    [
        (),
        (),
        (a_training(name="radiology", status=followed()),),
        (a_training(name="oldest", created_at=BEFORE, status=a_status(last_observed_at=EIGHT)),),
    ]
)
PAST = st.sampled_from(
    [
        (),
        (PastRun.of(7, 8 * 3600.0, (1800, 4500, 7200, 10800, 14400, 17280, 20160, -1, -1, 27000)),),
        (PastRun.of(8, 60.0, ()), PastRun.of(7, 1e9, (1,) * 10)),
    ]
)
OUTAGES = st.builds(PollFailed, FAILURES, since=st.sampled_from([EIGHT, at(hours=1)]))
MILESTONES = st.none() | st.builds(LatestRun, at=MARKERS, superseded=st.booleans())
ORPHAN = InFlightStart(
    serial=99,
    model_id=7,
    uid="of no resource",
    namespace="team-a",
    name="cardiology",
    run="0",
    attempt=1,
    baseline=Baseline(training_status=2, started_training_at=BEFORE),
)
"""The run of a deleted resource of the same name."""


def replies(life: Life) -> st.SearchStrategy[Observation]:
    """The observations that may follow the decided action."""
    match life.action:
        case Poll():
            entries = st.sampled_from([life.entry, life.entry, life.entry, None, ORPHAN])
            seen = st.builds(
                ModelPolled,
                MODELS,
                KEYS,
                COMPETITORS,
                entries,
                MILESTONES,
                past=PAST,
                granted_interval=st.sampled_from(
                    [GrantedInterval(), GrantedInterval(), GrantedInterval(250.0, 0.5)]
                ),
                jitter=st.floats(0, 1),
            )
            later = st.builds(PollDeferred, st.floats(0, 60))
            failed: st.SearchStrategy[Observation] = st.builds(PollFailed, FAILURES) | OUTAGES
            failed |= st.just(StartLedgerNotWritable())
            if life.training.is_being_deleted:
                failed |= st.just(NoStartInFlight())
            return seen | seen | seen | failed | BLOCKS | later
        case CheckQueue():
            queued = st.builds(StartQueued, QUEUES, st.floats(0, 3600))
            return st.just(QueueReached()) | queued | BLOCKS | st.just(StartLedgerNotWritable())
        case AcquireStart(model, key, _):
            granted = st.just(StartGranted(model, key))
            queued = st.builds(StartQueued, QUEUES, st.floats(0, 3600))
            return granted | granted | queued | BLOCKS | st.just(PollDeferred(0.0))
        case Post():
            answers = st.builds(Posted, st.none() | MODELS) | st.builds(PostFailed, FAILURES)
            return answers | st.just(StartAborted())
        case FetchLog(due_in):
            stored = st.builds(LogStored, st.builds(LogStatus), CURVES, st.just(due_in), EXTENTS)
            states = st.sampled_from(LogState)
            return stored | st.builds(LogUnavailable, DUE, states, st.just(due_in))
        case _:
            raise AssertionError(f"nothing is learned from {life.action}")


EXTENTS = st.builds(
    LogExtent,
    st.builds(LogReply, st.integers(0, 3), st.none() | st.integers(0, 3)),
    st.integers(0, 3),
    st.integers(0, 3),
)


EDITS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "suspend": st.booleans(),
        "run_token": st.sampled_from(["", "v1", "v2"]),
        "when_not_ready": st.sampled_from(["Wait", "Fail"]),
        "existing_training": st.sampled_from(["Adopt", "Wait", "Fail"]),
        "poll_interval_seconds": st.sampled_from([1, 60, 3600]),
        "timeout_seconds": st.sampled_from([60, 86400, 604800]),
        "backoff_limit": st.sampled_from([0, 1, 10]),
        "quality_gate": st.sampled_from([None, {"max_word_error_rate": "10"}]),
        "log": st.sampled_from([{"collect": c} for c in ("Always", "OnFailure", "Never")]),
    },
)


def lives_on(life: Life, data: st.DataObject, steps: int) -> None:
    """Draw observations and edits; `Life` checks each status."""
    for _ in range(steps):
        if isinstance(life.action, RequeueAfter | None):
            life.waits(data.draw(st.sampled_from([0, 0.5, 2.5, 60, 3600, 10**5]), "waits"))
            if data.draw(st.booleans(), "edited"):
                life.edit(**data.draw(EDITS, "edit"))
            refusals = st.sampled_from([None, None, ("403 quota", True), ("500 webhook", False)])
            life.refusal = data.draw(refusals, "the cluster says to a result")
            if data.draw(st.integers(0, 9), "annotated") == 0:
                life.annotate(data.draw(st.sampled_from(["", "t1", "t2"]), "annotation"))
            if data.draw(st.integers(0, 9), "restarted") == 0:
                life.restarts()
            life.wake_ups()
        else:
            if isinstance(life.action, Post) and life.entry is None:
                life.opens()
            life.waits(0.25).learns(data.draw(replies(life), "learns"))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_random_life_produces_an_invalid_status(data: st.DataObject) -> None:
    lives_on(Life(a_training(**data.draw(EDITS, "spec"))), data, 25)


def begun(state: str) -> Life:
    """A life in a state that random draws seldom reach."""
    life = Life(a_training(run_token="v0", backoff_limit=1))
    match state:
        case "WaitingForStartQuota":
            life.polls(a_model(2))
            life.is_queued()
        case "StartOutcomeUnknown":
            life.intends().is_refused(FailureKind.AMBIGUOUS)
        case "Training":
            life.runs()
        case "WaitingForRetry":
            life.runs().waits(60).polls(a_model(5, started_at=EIGHT, error="System error"))
            life.stores_log()
        case "Observed":  # a retry that has begun
            life = begun("WaitingForRetry").waits(60)
            life.wake_ups()
            life.learns(PollDeferred(0.0))
        case "WaitingForModel":  # a rerun
            life.runs().waits(60).succeeds().edit(run_token="v1").polls(a_model(1))
    assert life.reason == state
    return life


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(
        [
            "WaitingForStartQuota",
            "StartOutcomeUnknown",
            "Training",
            "WaitingForRetry",
            "Observed",
            "WaitingForModel",
        ]
    ),
    st.data(),
)
def test_no_random_life_continues_from_an_invalid_status(state: str, data: st.DataObject) -> None:
    lives_on(begun(state), data, 12)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["Training", "StartOutcomeUnknown", "WaitingForRetry"]), st.data())
def test_no_life_does_more_than_resolve_after_deletion(state: str, data: st.DataObject) -> None:
    life = begun(state)
    lives_on(life, data, data.draw(st.integers(0, 12), "steps"))
    life.is_deleted()
    published = life.published
    for _ in range(8):
        lives_on(life, data, 1)
        polls = is_starting(life.status) and not life.training.spec.suspend
        assert isinstance(life.action, RequeueAfter | Poll if polls else RequeueAfter)
    assert life.published == published
    assert life.event_reasons.count("ReleasedRunningTraining") <= 1


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_deciding_twice_without_changes_is_idempotent(data: st.DataObject) -> None:
    life = Life(a_training(**data.draw(EDITS, "spec")))
    lives_on(life, data, data.draw(st.integers(0, 20), "steps"))
    model = data.draw(MODELS, "model")
    while not isinstance(life.action, RequeueAfter | None):
        life.learns(data.draw(replies(life), "learns"))
    life.polls(model)
    if not isinstance(life.action, RequeueAfter):
        return  # a start or a log fetch changes the facts
    status, events, written = life.status, list(life.events), life.writes
    life.polls(model)
    assert life.status == status
    assert (life.events, life.writes) == (events, written)
    # Nor a minute later, except for an unknown start that time resolves and an overdue ETA.
    # Also except for a due retry and a pending end, whose polls have their own times,
    # so `model` may not have been seen yet.
    overdue = status.estimated_completion_at is not None
    awaits = awaits_retry(status) or is_end_pending(status)
    if status.phase == Phase.STARTING or overdue or awaits:
        return
    if isinstance(life.waits(1).polls(model).action, RequeueAfter) and life.status != status:
        assert (life.status.phase, life.reason) == ("Failed", "TimedOut")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_same_facts_bring_the_same_decision(data: st.DataObject) -> None:
    life = Life(a_training(**data.draw(EDITS, "spec")))
    lives_on(life, data, 10)
    if isinstance(life.action, RequeueAfter | None):
        life.wake_ups()
    if not isinstance(life.action, RequeueAfter):
        observation = data.draw(replies(life), "learns")
        once = decide(life.training, observation, life.now, life.state)
        assert decide(life.training, observation, life.now, life.state) == once


def test_finished_status_without_a_run_is_unchanged() -> None:
    """A status that may have been edited by hand."""
    status = TrainingStatus(finished_at=EIGHT)
    life = Life(a_training(status=status))
    assert life.wake_ups().action == RequeueAfter(None)
    assert life.published == 0


def test_success_is_published_before_it_is_reported() -> None:
    life = Life().runs().waits(60)
    decision = life.polls(a_model(4, started_at=EIGHT, metrics=metrics()))
    assert (decision.publish, decision.action) == (True, FetchLog(None))
    assert life.stores_log().publish is False
