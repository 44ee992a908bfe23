"""core/status/retry.py: further runs after a retryable failure (spec.backoffLimit)."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from scriptix_operator.api.reasons import FailureReason, LogState
from scriptix_operator.api.spec import TrainingSpec
from scriptix_operator.api.status import Baseline
from scriptix_operator.core.model.remote import FailureKind, RemoteModel
from scriptix_operator.core.reconcile.call_results import LogUnavailable
from scriptix_operator.core.reconcile.in_process_state import InProcessState, PollState
from scriptix_operator.core.reconcile.vocabulary import AcquireStart, FetchLog, Poll, RequeueAfter
from scriptix_operator.core.status.events import deletion_events
from scriptix_operator.core.status.failures import failure
from scriptix_operator.core.status.retry import retry_delay, with_retry
from tests.unit.core.builders import (
    EIGHT,
    KEY,
    Life,
    a_model,
    a_run,
    a_training,
    at,
    followed,
    truths,
)

BROKEN = "Training failed due to system error"
BEFORE = EIGHT - timedelta(days=30)


def broken(run_start_time: datetime = EIGHT) -> RemoteModel:
    """The model after a run that failed remotely."""
    return a_model(5, started_at=run_start_time, progress=45, error=BROKEN)


def a_failed_life(limit: int = 3, *, collect: str = "Never") -> Life:
    """An owned run that failed at nine with a retryable failure."""
    training = a_training(
        backoff_limit=limit, log={"collect": collect}, run_token="v1", requested_at="t1"
    )
    life = Life(training).runs()
    life.now = at(hours=1, seconds=0.5)
    life.polls(broken())
    return life


def fails_again(life: Life, run_start_time: datetime) -> None:
    """Wait for the retry, start it, and poll its failure."""
    assert life.run.retry_at is not None
    life.now = life.run.retry_at
    life.intends(broken(life.status.started_at or EIGHT))
    life.is_accepted(a_model(3, started_at=run_start_time, progress=0))
    life.polls(broken(run_start_time))


def test_the_delay_is_a_minute_and_doubles_up_to_an_hour() -> None:
    assert [retry_delay(n) for n in range(10)] == [
        60, 120, 240, 480, 960, 1920, 3600, 3600, 3600, 3600,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "ownership", "retries", "limit", "retried"),
    [
        pytest.param("SystemError", "Owned", 0, 1, True, id="ours"),
        pytest.param("SystemError", "Unconfirmed", 0, 1, True, id="ours, its reply was lost"),
        pytest.param("SystemError", "Adopted", 0, 10, False, id="adopted"),
        pytest.param("SystemError", None, 0, 10, False, id="never started"),
        pytest.param("SystemError", "Owned", 0, 0, False, id="no limit set"),
        pytest.param("SystemError", "Owned", 2, 3, True, id="the last retry"),
        pytest.param("SystemError", "Owned", 3, 3, False, id="the limit is reached"),
        pytest.param("SystemError", "Owned", 4, 3, False, id="the limit was lowered"),
        *(
            pytest.param(reason, "Owned", 0, 10, False, id=reason)
            for reason in (
                "TimedOut",
                "InsufficientData",
                "PoorTranscripts",
                "AudioTranscriptMismatch",
                "QualityGateFailed",
                "StartRejected",
                "Unknown",
            )
        ),
    ],
)
def test_retryable_failures_are_retried(
    reason: str,
    ownership: str | None,
    retries: int,
    limit: int,
    retried: bool,  # noqa: FBT001 - the expected value
) -> None:
    spec = TrainingSpec(model_id=7, backoff_limit=limit)
    failed = followed(
        run=a_run(ownership=ownership, retries=retries),
        finished_at=EIGHT,
        failure=failure(FailureReason(reason), "x"),
    )
    status = with_retry(spec, failed, at(seconds=0.75))
    assert status.run is not None
    due = at(seconds=retry_delay(retries)) if retried else None
    assert status.run.retry_at == due
    assert (status == failed) != retried


def test_waiting_retry_has_no_terminal_condition() -> None:
    life = a_failed_life()
    assert life.status.phase == "Pending"
    assert truths(life.status) == {
        "Succeeded": "Unknown",
        "Ready": "Unknown",
        "Reconciling": "True",
    }
    assert life.reason == "WaitingForRetry"
    assert life.status.message == (
        f"Run {life.run.id} failed: Training failed due to system error. Retry 1 of 3 follows at "
        "2025-01-16 09:01Z."
    )
    assert life.status.failure is not None
    assert life.status.failure.reason == "SystemError"
    assert life.event_reasons == ["TrainingStarted", "RetryScheduled"]
    assert life.events[-1].message == life.status.message
    assert life.events[-1].is_warning
    assert life.published == 0


def test_long_failure_text_keeps_the_retry_message() -> None:
    life = Life(a_training(backoff_limit=1, log={"collect": "Never"})).runs()
    life.polls(a_model(5, started_at=EIGHT, error="System error " + "x" * 5000))
    assert life.events[-1].message.endswith("Retry 1 of 1 follows at 2025-01-16 08:01Z.")


def test_the_wait_is_printed_and_written_once() -> None:
    life = a_failed_life()
    written, events, message = life.writes, life.event_reasons, life.status.message
    for left in (59.5, 39.5, 19.5):
        assert life.wake_ups().action == RequeueAfter(left)
        life.waits(20)
    assert (life.writes, life.event_reasons, life.status.message) == (written, events, message)


@pytest.mark.parametrize("restarted", [False, True], ids=["same process", "after a restart"])
def test_the_retry_begins_at_its_time_and_not_before(restarted: bool) -> None:  # noqa: FBT001 - a case
    life = a_failed_life()
    first = life.run
    life.waits(59.25)
    if restarted:
        life.restarts()
    assert life.wake_ups().action == RequeueAfter(0.25)
    assert life.waits(0.25).wake_ups().action == Poll()
    assert life.run.id != first.id
    assert (life.run.token, life.run.requested_at) == ("v1", "t1") == (first.token, "t1")
    assert (life.run.retries, life.run.retry_at, life.run.attempt) == (1, None, 1)
    (entry,) = life.status.history
    assert (entry.id, entry.outcome, entry.reason, entry.message) == (
        first.id,
        "Failed",
        "SystemError",
        BROKEN,
    )
    assert (entry.started_at, entry.finished_at) == (EIGHT, at(hours=1))
    assert (life.status.failure, life.status.progress, life.status.finished_at) == (
        None,
        None,
        None,
    )
    assert life.status.message == "Retry 1 of 3 begins."


def test_retries_back_off_up_to_the_limit() -> None:
    life, delays, ids = a_failed_life(limit=2), [], []
    for day in (1, 2):
        ids.append(life.run.id)
        assert life.run.retry_at is not None
        delays.append((life.run.retry_at - life.now.replace(microsecond=0)).total_seconds())
        fails_again(life, at(hours=24 * day))
    ids.append(life.run.id)
    assert delays == [60, 120]
    assert (life.status.phase, life.reason, life.action) == (
        "Failed",
        "SystemError",
        RequeueAfter(None),
    )
    assert truths(life.status)["Stalled"] == "True"
    assert life.run.retries == 2
    assert len(set(ids)) == 3
    assert [entry.id for entry in life.status.history] == ids[-2::-1]
    assert life.event_reasons == [
        "TrainingStarted",
        "RetryScheduled",
        "TrainingStarted",
        "RetryScheduled",
        "TrainingStarted",
        "TrainingFailed",
    ]


def test_a_retry_that_succeeds_is_a_success() -> None:
    life = a_failed_life().waits(60)
    life.intends(a_model(2, started_at=EIGHT))
    life.is_accepted(a_model(3, started_at=at(hours=2), progress=0)).succeeds(at(hours=2))
    assert (life.status.phase, life.published, life.status.failure) == ("Succeeded", 1, None)
    assert [entry.outcome for entry in life.status.history] == ["Failed"]


def test_failed_run_whose_start_reply_was_lost_is_retried() -> None:
    life = Life(a_training(backoff_limit=1, log={"collect": "Never"})).intends()
    life.is_refused(FailureKind.AMBIGUOUS).waits(60).polls(broken())
    assert (life.run.ownership, life.reason) == ("Unconfirmed", "WaitingForRetry")


def test_an_adopted_failure_is_never_retried() -> None:
    life = Life(a_training(backoff_limit=10, log={"collect": "Never"}))
    life.polls(broken())
    assert (life.run.ownership, life.status.phase) == ("Adopted", "Failed")
    assert life.waits(86400).wake_ups().action == RequeueAfter(None)


def test_a_timed_out_run_is_never_retried() -> None:
    life = Life(a_training(backoff_limit=10, timeout_seconds=60, log={"collect": "Never"})).runs()
    life.waits(60).wake_ups()
    assert (life.status.phase, life.reason) == ("Failed", "TimedOut")
    assert life.waits(86400).wake_ups().action == RequeueAfter(None)


# A retry never adopts.


@pytest.mark.parametrize(
    ("model", "starts"),
    [
        pytest.param(a_model(1, started_at=EIGHT), False, id="1, not ready"),
        pytest.param(a_model(2, started_at=EIGHT), True, id="2, ready"),
        pytest.param(a_model(3, started_at=at(hours=1)), False, id="3, running"),
        pytest.param(a_model(4, started_at=EIGHT), True, id="4, succeeded"),
        pytest.param(broken(), True, id="5, failed"),
        pytest.param(a_model(5, error=BROKEN), False, id="5, without a run start time"),
        pytest.param(a_model(3, started_at=BEFORE), False, id="3, stale"),
        pytest.param(a_model(6, started_at=EIGHT), False, id="6, unknown"),
    ],
)
@pytest.mark.parametrize("existing", ["Adopt", "Wait", "Fail"])
def test_a_retry_never_adopts(model: RemoteModel, starts: bool, existing: str) -> None:  # noqa: FBT001 - the expected value
    life = a_failed_life().edit(existing_training=existing).waits(60)
    life.polls(model)
    assert isinstance(life.action, AcquireStart) == starts
    assert (life.run.ownership, life.status.phase) == (None, "Pending")


def test_refused_retry_waits_without_using_quota() -> None:
    life = a_failed_life().waits(60).intends(broken())
    life.is_refused(FailureKind.CONFLICT, code="MODEL_NOT_READY", message="HTTP 409: not ready.")
    assert life.run.refused == Baseline(training_status=5, started_training_at=EIGHT)
    assert (life.status.message or "").startswith(
        "The API refused the start: HTTP 409: not ready. Upload training data"
    )
    for _ in range(3):
        assert life.restarts().waits(3600).polls(broken()).action == RequeueAfter(60)
        assert life.reason == "WaitingForModel"
        assert "Upload new data" in (life.status.message or "")
    life.waits(60).intends(a_model(2, started_at=EIGHT))
    assert life.run.retries == 1


def test_a_retry_waits_in_the_queue_like_any_other() -> None:
    life = a_failed_life().waits(60)
    life.polls(a_model(2, started_at=EIGHT))
    life.is_queued()
    assert (life.status.phase, life.run.retries) == ("Queued", 1)


# The log of the failed run.


@pytest.mark.parametrize(
    ("collect", "fetched"), [("Always", True), ("OnFailure", True), ("Never", False)]
)
def test_log_of_the_failed_run_is_fetched_before_its_retry(
    collect: str,
    fetched: bool,  # noqa: FBT001 - the expected value
) -> None:
    life = a_failed_life(collect=collect)
    assert isinstance(life.action, FetchLog) == fetched
    if fetched:
        assert life.stores_log().action == RequeueAfter(59.5)
        assert life.status.log is not None
        assert life.status.log.state == "Complete"
    assert life.reason == "WaitingForRetry"
    assert life.waits(60).wake_ups().action == Poll()
    assert life.run.retries == 1


def test_log_missing_during_the_run_is_fetched_after_its_failure() -> None:
    life = Life(a_training(backoff_limit=1)).runs()
    life.waits(60).polls(a_model(3, started_at=EIGHT, progress=20))
    life.learns(LogUnavailable(None, LogState.UNAVAILABLE, 60))
    life.waits(60).polls(broken())
    assert isinstance(life.action, FetchLog)


def test_retry_waits_an_hour_for_an_unavailable_log() -> None:
    life = a_failed_life(collect="OnFailure")
    life.learns(LogUnavailable(1800, LogState.COLLECTING, None))
    assert life.action == RequeueAfter(59.5)
    assert life.waits(59.5).wake_ups().action == RequeueAfter(1740.5)  # until the next log fetch
    life.waits(1740.5).wake_ups()
    assert isinstance(life.action, FetchLog)
    life.learns(LogUnavailable(3600, LogState.COLLECTING, None))
    assert life.action == RequeueAfter(1859.5)  # an hour after the retry's time
    assert life.run.retries == 0
    assert life.waits(1859.5).wake_ups().action == Poll()
    assert life.run.retries == 1
    assert life.state == InProcessState(polls=PollState(answered_at=life.state.polls.answered_at))


def test_a_log_that_comes_late_lets_the_retry_begin_at_once() -> None:
    life = a_failed_life(collect="OnFailure")
    life.learns(LogUnavailable(300, LogState.COLLECTING, None))
    life.waits(300).wake_ups()
    assert life.stores_log().action == RequeueAfter(0)
    assert life.wake_ups().action == Poll()


@pytest.mark.parametrize("state", [LogState.UNAVAILABLE, LogState.NAME_TAKEN])
def test_permanently_unavailable_log_holds_no_retry(state: LogState) -> None:
    life = a_failed_life(collect="Always")
    life.learns(LogUnavailable(None, state, None))
    assert life.action == RequeueAfter(59.5)
    assert life.waits(59.5).wake_ups().action == Poll()


# Changes during the wait.


def test_a_new_request_takes_over_at_once_with_a_fresh_count() -> None:
    life = a_failed_life()
    fails_again(life, at(hours=24))
    assert life.run.retries == 1
    life.edit(run_token="v2")
    assert isinstance(life.polls(a_model(2, started_at=at(hours=24))).action, AcquireStart)
    assert (life.run.token, life.run.retries, life.run.retry_at) == ("v2", 0, None)
    assert len(life.status.history) == 2
    assert life.reason != "WaitingForRetry"


def test_new_request_replaces_a_retry_waiting_for_the_model() -> None:
    life = a_failed_life().waits(60)
    life.polls(a_model(1, started_at=EIGHT))
    assert (life.run.retries, life.run.token) == (1, "v1")
    life.annotate("t2").polls(a_model(1, started_at=EIGHT))
    assert (life.run.retries, life.run.requested_at) == (0, "t2")


def test_suspend_holds_a_retry_however_long() -> None:
    life = a_failed_life(collect="OnFailure")
    life.stores_log()
    life.edit(suspend=True)
    assert life.wake_ups().action == RequeueAfter(None)
    assert (life.status.phase, life.reason) == ("Suspended", "Suspended")
    assert life.waits(86400).wake_ups().action == RequeueAfter(None)
    assert life.run.retries == 0
    life.edit(suspend=False)
    assert life.wake_ups().action == Poll()
    assert life.run.retries == 1


def test_remaining_retry_delay_is_waited_after_a_suspension() -> None:
    life = a_failed_life().edit(suspend=True)
    life.wake_ups()
    life.edit(suspend=False).waits(20)
    assert life.wake_ups().action == RequeueAfter(39.5)
    assert life.reason == "WaitingForRetry"


def test_log_held_by_a_suspension_is_tried_before_the_retry() -> None:
    life = a_failed_life(collect="OnFailure").edit(suspend=True)
    life.learns(LogUnavailable(15, LogState.COLLECTING, None))
    life.restarts().waits(86400).wake_ups()
    life.edit(suspend=False).wake_ups()
    assert isinstance(life.action, FetchLog)
    assert life.learns(LogUnavailable(15, LogState.COLLECTING, None)).action == RequeueAfter(0)
    assert life.wake_ups().action == Poll()


def test_retry_delay_is_not_part_of_the_timeout() -> None:
    life = a_failed_life().edit(timeout_seconds=60)
    assert life.waits(59.25).wake_ups().action == RequeueAfter(0.25)
    assert life.reason == "WaitingForRetry"
    life.waits(60).intends(a_model(2, started_at=EIGHT))
    life.is_accepted(a_model(3, started_at=at(hours=2), progress=0))
    assert life.waits(59).wake_ups().action == Poll()
    assert life.status.phase == "Running"
    life.waits(1).wake_ups()
    assert (life.status.phase, life.reason) == ("Failed", "TimedOut")


def test_limit_of_zero_ends_the_wait_with_the_failure() -> None:
    life = a_failed_life().edit(backoff_limit=0)
    assert life.wake_ups().action == RequeueAfter(None)
    assert (life.status.phase, life.reason) == ("Failed", "SystemError")
    assert life.status.finished_at == at(hours=1)
    assert life.run.retry_at is None
    assert life.event_reasons[-1] == "TrainingFailed"


def test_lower_limit_that_allows_the_retry_is_shown() -> None:
    life = a_failed_life().edit(backoff_limit=1)
    assert life.wake_ups().action == RequeueAfter(59.5)
    assert "Retry 1 of 1 follows at" in (life.status.message or "")


def test_limit_of_zero_cancels_a_retry_waiting_for_the_model() -> None:
    life = a_failed_life().waits(60)
    failed = life.run.id
    life.polls(a_model(1, started_at=EIGHT))
    events = life.event_reasons
    life.edit(backoff_limit=0)
    assert life.wake_ups().action == RequeueAfter(None)
    assert (life.status.phase, life.reason, life.run.id) == ("Failed", "SystemError", failed)
    assert BROKEN in (life.status.message or "")
    assert (life.status.history, life.event_reasons) == ((), [*events, "RequestCancelled"])


def test_a_higher_limit_after_the_final_failure_starts_nothing() -> None:
    life = a_failed_life(limit=0).edit(backoff_limit=10)
    assert life.wake_ups().action == RequeueAfter(None)
    assert life.waits(86400).wake_ups().action == RequeueAfter(None)
    assert (life.status.phase, life.reason) == ("Failed", "SystemError")


Change = Callable[[Life], Life]


@pytest.mark.parametrize(
    ("change", "token"),
    [
        pytest.param(lambda life: life.edit(run_token="v2"), "v2", id="another is asked for"),
        pytest.param(lambda life: life.edit(backoff_limit=0), "v1", id="the limit was lowered"),
    ],
)
def test_run_fails_finally_if_its_retry_is_not_wanted(change: Change, token: str) -> None:
    life = change(
        Life(a_training(run_token="v1", backoff_limit=3, log={"collect": "Never"})).runs()
    )
    life.waits(60).polls(broken())
    assert (life.status.phase, life.event_reasons[-1]) == ("Failed", "TrainingFailed")
    assert life.action == RequeueAfter(0 if token == "v2" else None)
    life.waits(60).wake_ups()
    assert life.run.token == token


def test_deletion_of_a_waiting_retry_releases_no_run() -> None:
    assert deletion_events(a_failed_life().status) == ()


def test_the_key_of_a_run_that_failed_does_not_bind_its_retry() -> None:
    life = a_failed_life().waits(60).intends(broken())
    assert life.run.key_source == KEY.source
