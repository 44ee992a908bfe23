"""core/requests/cancellation.py: a request that is cancelled before its start."""

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.status import Baseline, HistoryEntry, Intent, Run, TrainingStatus
from scriptix_operator.core.model.remote import FailureKind, RemoteModel
from scriptix_operator.core.reconcile.context import Durations
from scriptix_operator.core.reconcile.vocabulary import (
    AcquireStart,
    FetchLog,
    PollDeferred,
    RequeueAfter,
)
from scriptix_operator.core.requests.cancellation import cancel_request, is_cancelled
from scriptix_operator.core.requests.requests import begin_retry, begin_run
from tests.unit.core.builders import (
    EIGHT,
    Life,
    a_model,
    a_run,
    a_status,
    a_training,
    at,
    edited,
    followed,
    truths,
    whole_status,
)

PAST_OF_V1 = HistoryEntry(id="run-0", token="v1", outcome="Succeeded", finished_at=EIGHT)

Request = tuple[str, str]
DONE = a_model(2, started_at=EIGHT)
NOT_READY = a_model(1, started_at=EIGHT)
RUNNING = a_model(3, started_at=EIGHT, progress=20)


def a_life(first: Request = ("v1", "t1")) -> Life:
    """A resource whose first run has succeeded."""
    token, requested_at = first
    life = Life(a_training(run_token=token, requested_at=requested_at)).runs()
    return life.waits(60).succeeds()


def asks(life: Life, request: Request, model: RemoteModel = NOT_READY) -> Life:
    """Request a run; the model is not ready for it, unless the test shows another."""
    token, requested_at = request
    if token != life.training.spec.run_token:
        life.edit(run_token=token)
    life.annotate(requested_at).waits(60).polls(model)
    return life


@pytest.mark.parametrize(
    ("first", "second", "third", "stands"),
    [
        pytest.param(("v1", ""), ("v2", ""), ("v1", ""), True, id="token reverted"),
        pytest.param(("", ""), ("v2", ""), ("", ""), True, id="first token reverted"),
        pytest.param(("v1", ""), ("v2", ""), ("", ""), True, id="token removed"),
        pytest.param(("", "t1"), ("", "t2"), ("", "t1"), True, id="annotation reverted"),
        pytest.param(("", "t1"), ("", "t2"), ("", ""), True, id="annotation removed"),
        pytest.param(("v1", "t1"), ("v2", "t2"), ("v1", "t1"), True, id="both reverted"),
        pytest.param(("v1", "t1"), ("v2", "t1"), ("", "t1"), True, id="one removed, one as it was"),
        pytest.param(("v1", ""), ("v2", ""), ("v2", ""), False, id="unchanged"),
        pytest.param(("v1", ""), ("v2", ""), ("v3", ""), False, id="another token"),
        pytest.param(("v1", "t1"), ("v2", "t2"), ("v1", "t2"), False, id="one of two reverted"),
        pytest.param(("v1", "t1"), ("v2", "t2"), ("v2", ""), False, id="one of two removed"),
    ],
)
def test_request_is_kept_while_the_resource_asks_for_it(
    first: Request,
    second: Request,
    third: Request,
    stands: bool,  # noqa: FBT001 - the expected value
) -> None:
    life = a_life(first)
    finished = life.run.id
    asks(life, second)
    assert (life.status.phase, life.run.id == finished) == ("Pending", False)
    asks(life, third)
    assert (life.status.phase, life.run.id == finished) == (
        ("Succeeded", True) if stands else ("Pending", False)
    )
    if stands:
        assert life.stores_log().action == RequeueAfter(None)
    else:
        assert isinstance(life.waits(60).polls(DONE).action, AcquireStart)


def test_cancellation_restores_the_previous_run_from_history() -> None:
    life = a_life()
    before, events, published = life.status, life.event_reasons, life.published
    asks(life, ("v2", "t1"))
    events = life.event_reasons
    asks(life, ("v1", "t1"))
    status = life.status
    assert truths(status) == {"Succeeded": "True", "Ready": "True"}
    assert (status.started_at, status.finished_at) == (before.started_at, before.finished_at)
    assert status.metrics == before.metrics
    assert status.message == (
        "The model is trained; the operator cancelled the request for another run before its start."
    )
    assert status.log is not None
    assert status.log.config_maps == ("cardiology-log",)
    assert status.log.state is None
    assert status.history == ()
    assert (life.run.ownership, life.run.claimed_at) == ("Owned", before.started_at)
    assert life.run.started_training_at == EIGHT
    assert (life.run.token, life.run.requested_at) == ("v1", "t1")
    # No result is published or reported twice.
    assert (life.published, life.event_reasons) == (published, [*events, "RequestCancelled"])
    # Status has lost whether the log was complete: one more fetch decides, so long after the end.
    life.durations = Durations()
    assert life.stores_log().action == RequeueAfter(None)
    assert life.status.log is not None
    assert life.status.log.state == "Complete"


def test_cancellation_restores_a_failure_with_its_reason() -> None:
    life = Life(a_training(run_token="v1")).runs()
    life.waits(60).polls(a_model(5, started_at=EIGHT, error="Insufficient training data"))
    life.stores_log()
    message = life.status.message
    asks(life, ("v2", ""))
    events = life.event_reasons
    asks(life, ("v1", ""))
    assert (life.status.phase, life.reason) == ("Failed", "InsufficientData")
    assert life.status.message == message
    assert life.event_reasons == [*events, "RequestCancelled"]


def pending(life: Life) -> str | None:
    """The request that awaits the end of the run in status."""
    return life.status.pending_request


def cancelled(life: Life) -> list[str]:
    """The messages of the events about requests that were cancelled; none is a warning."""
    items = [item for item in life.events if item.reason == "RequestCancelled"]
    assert not any(item.is_warning for item in items)
    return [item.message for item in items]


def text_of(request: str) -> str:
    """The message of the event."""
    return (
        f"The operator cancelled the request ({request}) before its start, because the resource no "
        "longer has that value. If Argo CD or Flux applies the resource, set the value in Git."
    )


TOKEN = 'spec.runToken "v2"'
ANNOTATION = 'annotation scriptix.io/requested-at "t2"'


@pytest.mark.parametrize(
    ("second", "request_text"),
    [
        pytest.param(("v2", "t1"), TOKEN, id="token"),
        pytest.param(("v1", "t2"), ANNOTATION, id="annotation"),
        pytest.param(("v2", "t2"), f"{TOKEN} and {ANNOTATION}", id="both"),
    ],
)
@pytest.mark.parametrize("running", [False, True], ids=["its run waits", "another run continues"])
def test_a_cancelled_request_is_one_event_that_names_its_values(
    second: Request,
    request_text: str,
    running: bool,  # noqa: FBT001 - a case
) -> None:
    life, model = Life(a_training(run_token="v1", requested_at="t1")).runs(), RUNNING
    if not running:
        life, model = a_life(), NOT_READY
    asks(life, second, model)
    assert pending(life) == (request_text if running else None)
    asks(life.restarts(), ("v1", "t1"), model)
    assert cancelled(life) == [text_of(request_text)]
    assert pending(life) is None
    life.restarts().edit(priority=1).waits(60).polls(model)
    assert len(cancelled(life)) == 1


def test_a_request_that_a_newer_one_replaces_is_not_cancelled() -> None:
    life = Life(a_training(run_token="v1")).runs()
    for token in ("v2", "v3"):
        life.edit(run_token=token).waits(60).polls(RUNNING)
    assert pending(life) == 'spec.runToken "v3"'
    life.waits(60).succeeds()
    life.waits(60).polls(NOT_READY)
    assert (life.run.token, pending(life)) == ("v3", None)
    assert cancelled(life) == []


def test_a_request_between_two_polls_is_cancelled() -> None:
    """The annotation changes no generation, and the quota defers the poll."""
    life = Life(a_training(requested_at="t1")).runs()
    for requested_at in ("t2", "t1"):
        life.annotate(requested_at).wake_ups()
        assert isinstance(life.learns(PollDeferred(30.0)).action, RequeueAfter)
    assert cancelled(life) == [text_of(ANNOTATION)]


def test_a_request_that_replaces_a_refused_one_is_not_cancelled() -> None:
    """The newer request appears while the older start is in flight, and takes over its run."""
    life = a_life().edit(run_token="v2").waits(60).intends(DONE)
    life.edit(run_token="v3").is_refused(FailureKind.RATE_LIMITED)
    assert pending(life) == 'spec.runToken "v3"'
    life.waits(60).polls(NOT_READY)
    assert (life.run.token, pending(life)) == ("v3", None)
    assert cancelled(life) == []


def test_gate_reverted_with_the_request_judges_the_restored_run() -> None:
    life = Life(a_training(run_token="v1", quality_gate={"max_word_error_rate": "10"})).runs()
    life.waits(60).succeeds()
    assert life.reason == "QualityGateFailed"
    asks(life, ("v2", ""))
    life.edit(run_token="v1", quality_gate=None).wake_ups()
    assert (life.status.phase, life.published) == ("Succeeded", 1)


def test_cancelled_request_can_be_made_again() -> None:
    life = asks(asks(a_life(), ("v2", "t1")), ("v1", "t1"))
    assert isinstance(life.edit(run_token="v2").polls(DONE).action, AcquireStart)
    assert life.run.token == "v2"


def test_refused_request_can_be_cancelled() -> None:
    life = a_life().edit(run_token="v2").waits(60).intends(DONE)
    life.is_refused(FailureKind.RATE_LIMITED)
    life.edit(run_token="v1").wake_ups()
    assert (life.status.phase, life.run.token) == ("Succeeded", "v1")


def test_refused_request_is_cancelled_with_its_value() -> None:
    """A value that stays set was used before, and keeps no request."""
    life = a_life().edit(run_token="v2").waits(60).intends(DONE)
    life.is_refused(FailureKind.RATE_LIMITED).edit(run_token="").wake_ups()
    assert (life.status.phase, life.run.requested_at) == ("Succeeded", "t1")


def test_refused_request_is_kept_while_its_value_is_set() -> None:
    life = a_life().edit(run_token="v2").waits(60).intends(DONE)
    life.is_refused(FailureKind.RATE_LIMITED).waits(60).restarts()
    assert isinstance(life.edit(priority=1).polls(DONE).action, AcquireStart)
    assert life.run.token == "v2"


def test_queued_request_can_be_cancelled() -> None:
    life = a_life().edit(run_token="v2").waits(60)
    life.polls(DONE)
    life.is_queued()
    assert life.edit(run_token="v1").wake_ups().action == FetchLog(None)
    assert (life.status.phase, life.status.queue) == ("Succeeded", None)


def test_suspended_request_can_be_cancelled() -> None:
    life = a_life().edit(run_token="v2", suspend=True)
    life.wake_ups()
    assert life.status.phase == "Suspended"
    life.edit(run_token="v1").wake_ups()
    assert life.status.phase == "Succeeded"


@pytest.mark.parametrize("phase", ["Starting", "Running", "an attempt was lost"])
def test_sent_request_is_not_cancelled(phase: str) -> None:
    life = a_life().edit(run_token="v2").waits(60).intends(DONE)
    if phase == "Running":
        life.is_accepted()
    else:
        life.is_refused(FailureKind.AMBIGUOUS)
    if phase == "an attempt was lost":
        for _ in range(3):
            life.waits(60).polls(DONE)
        assert life.run.attempt == 2
    run = life.run.id
    life.edit(run_token="v1").waits(1).polls(DONE)
    assert (life.run.id, life.run.token) == (run, "v2")


def test_revert_to_an_older_request_cancels_the_newest() -> None:
    life = a_life(("v1", ""))
    asks(life, ("v2", ""))
    life.waits(60).intends(DONE).is_accepted(a_model(3, started_at=at(hours=1), progress=0))
    second = life.run.id
    life.waits(60).succeeds(at(hours=1))
    asks(life, ("v3", ""))
    assert life.status.phase == "Pending"
    asks(life, ("v1", ""))
    assert (life.status.phase, life.run.id) == ("Succeeded", second)


def test_request_that_ended_without_a_run_is_not_cancelled() -> None:
    """The request has an outcome, which is kept until another request."""
    life = a_life(("v1", "")).edit(run_token="v2", when_not_ready="Fail")
    life.polls(a_model(1, started_at=EIGHT))
    assert (life.status.phase, life.reason) == ("Failed", "StartRejected")
    life.edit(run_token="v1").wake_ups()
    assert (life.status.phase, life.reason) == ("Failed", "StartRejected")


def test_unchanged_request_is_never_cancelled() -> None:
    """History may hold anything, also as edited by hand."""
    training = a_training(status=a_status(run=a_run(), history=(PAST_OF_V1,)))
    assert not is_cancelled(training)


def test_the_first_run_is_asked_for_by_the_resource_itself() -> None:
    """The first run needs no token, so removing a token does not cancel it."""
    life = Life(a_training(run_token="v1"))
    life.polls(a_model(1))
    life.edit(run_token="").waits(60).intends()
    assert life.run.token == ""


def test_a_retry_of_the_first_run_outlives_its_token() -> None:
    training = a_training(run_token="v1", backoff_limit=1, log={"collect": "Never"})
    life = Life(training).runs()
    life.waits(60).polls(a_model(5, started_at=EIGHT, error="System error"))
    life.edit(run_token="").wake_ups()
    assert life.reason == "WaitingForRetry"
    life.waits(60).polls(a_model(1, started_at=EIGHT))
    assert (life.status.phase, life.run.retries, life.run.token) == ("Pending", 1, "v1")


@pytest.mark.parametrize("begun", [False, True], ids=["its retry waits", "its retry has begun"])
def test_retry_is_cancelled_with_its_request(begun: bool) -> None:  # noqa: FBT001 - a case
    life = Life(a_training(run_token="v1", backoff_limit=3, log={"collect": "Never"})).runs()
    life.waits(60).succeeds()
    life.edit(run_token="v2").waits(60).intends(DONE)
    life.is_accepted(a_model(3, started_at=at(hours=1), progress=0))
    failed = life.run.id
    life.waits(60).polls(a_model(5, started_at=at(hours=1), error="System error"))
    assert life.reason == "WaitingForRetry"
    if begun:
        life.waits(60).polls(a_model(1, started_at=at(hours=1)))
        assert life.run.retries == 1
    life.edit(run_token="v1").wake_ups()
    assert (life.status.phase, life.reason, life.run.id) == ("Failed", "SystemError", failed)
    # The run's end caused an event if no retry had begun; a retry that had begun is cancelled.
    text = (
        "The operator cancelled retry 1 before its start, because the resource no longer has the "
        'value that asked for the run (spec.runToken "v2"). To train again, set a value that was '
        "never used."
    )
    assert cancelled(life) == [text] * begun
    assert ("TrainingFailed" in life.event_reasons) == (not begun)
    # The request was handled: repeating it changes nothing.
    life.edit(run_token="v2").wake_ups()
    assert life.status.phase == "Failed"


@pytest.mark.parametrize("token", ["", "v2"], ids=["first run", "rerun"])
def test_lowered_limit_is_the_cause_of_a_cancelled_retry(token: str) -> None:
    life = Life(a_training(backoff_limit=3, log={"collect": "Never"})).runs()
    if token:
        life.waits(60).succeeds()
        life.edit(run_token=token).waits(60).intends(DONE)
        life.is_accepted(a_model(3, started_at=at(hours=1), progress=0))
    began = at(hours=1) if token else EIGHT
    life.waits(60).polls(a_model(5, started_at=began, error="System error"))
    life.waits(60).polls(a_model(1, started_at=began))
    life.edit(backoff_limit=0).wake_ups()
    [text] = cancelled(life)
    assert text == (
        "The operator cancelled retry 1 before its start, because spec.backoffLimit was lowered. "
        "To train again, change spec.runToken."
    )


def test_a_request_reverted_during_its_run_is_not_retried() -> None:
    life = Life(a_training(run_token="v1", backoff_limit=3, log={"collect": "Never"})).runs()
    life.waits(60).succeeds()
    life.edit(run_token="v2").waits(60).intends(DONE)
    life.is_accepted(a_model(3, started_at=at(hours=1), progress=0))
    life.edit(run_token="v1").waits(60)
    life.polls(a_model(5, started_at=at(hours=1), error="System error"))
    assert (life.status.phase, life.action) == ("Failed", RequeueAfter(None))


def test_late_retry_is_cancelled_with_its_request() -> None:
    """History may have only its earlier runs."""
    training = a_training(run_token="v2", status=followed(run=a_run(token="v1"), finished_at=EIGHT))
    status = begin_run(training)
    for _ in range(12):
        failed = training.with_status(replace(status, finished_at=EIGHT))
        status = begin_retry(failed)
    assert status.run is not None
    run = replace(status.run, retries=10)
    waiting = edited(training, backoff_limit=10)
    waiting = waiting.with_status(replace(status, run=run))
    assert {entry.token for entry in status.history} == {"v2"}
    assert not is_cancelled(waiting)
    assert is_cancelled(edited(waiting, run_token="v1"))


def test_status_of_an_older_version_names_its_request() -> None:
    """The status has no askedBy; a value set beside the new token keeps no request."""
    past = replace(PAST_OF_V1, requested_at="t1")
    run = a_run(token="v2", requested_at="t1")
    training = a_training(
        run_token="v2", requested_at="t1", status=a_status(run=run, history=(past,))
    )
    assert not is_cancelled(training)
    assert is_cancelled(edited(training, run_token=""))


NOT_RESTORED = {
    "estimated_completion_at",
    "estimated_completion_p90_at",
    "last_progress_at",
    "progress_stalled_at",
    "forecast",
    "poll_interval_seconds",
    "queue",
}
"""Facts of a run that is polled."""


def test_cancelling_restores_each_status_field() -> None:
    """All fields except the curve of a still earlier run and the derived ones."""
    past = replace(PAST, id="run-1")
    ended = replace(whole_status(), failure=None, history=(past,))
    rerun = begin_run(a_training(run_token="v2", status=ended))
    restored = cancel_request(replace(rerun, last_observed_at=ended.last_observed_at))
    fields = TrainingStatus.model_fields
    changed = {name for name in fields if getattr(restored, name) != getattr(ended, name)}
    assert changed == NOT_RESTORED | {
        *("log", "phase", "message", "repeated_request", "pending_request", "display"),
        *("conditions", "used_requests"),
    }


NOT_IN_HISTORY = {
    "baseline",
    "claimed_at",
    "gate_at_risk_at",
    "intent",
    "next_attempt_at",
    "pending_end",
    "queued_at",
    "refused",
    "retries",
    "retry_at",
    "word_error_rate_rising_at",
}
"""Facts of a run that is not over; claimedAt is restored from the start."""


def test_each_run_field_is_in_history_or_not_on_purpose() -> None:
    assert Run.model_fields.keys() - HistoryEntry.model_fields.keys() == NOT_IN_HISTORY


@pytest.mark.parametrize(("outcome", "progress"), [("Succeeded", 100), ("Failed", None)])
def test_history_of_an_older_version_restores_the_end(outcome: str, progress: int | None) -> None:
    last = HistoryEntry(id="run-0", outcome=outcome, finished_at=EIGHT, word_error_rate="9.9")
    status = cancel_request(TrainingStatus(run=a_run(token="v2"), history=(last,)))
    assert status.progress == progress
    assert status.stage == (None if progress is None else "FinalEvaluation")
    assert status.metrics is not None
    assert (status.metrics.word_error_rate, status.metrics.rating) == ("9.9", "Excellent")


PAST = HistoryEntry(id="run-0", outcome="Succeeded", finished_at=EIGHT)


@pytest.mark.parametrize(
    ("run", "history", "cancelled"),
    [
        pytest.param(a_run(token="v2"), (PAST,), True, id="an unsent rerun"),
        pytest.param(
            a_run(token="v2"),
            (replace(PAST, finished_at=None),),
            False,
            id="nothing that could stand again",
        ),
        pytest.param(a_run(token="v2"), (), False, id="nothing before it"),
        pytest.param(a_run(token="v2", retries=1), (), False, id="a retry of nothing"),
        pytest.param(
            a_run(token="v2", baseline=Baseline(training_status=2)), (PAST,), False, id="tried"
        ),
        pytest.param(
            a_run(token="v2", intent=Intent(attempt=1, at=EIGHT, key_fingerprint="k")),
            (PAST,),
            False,
            id="being sent",
        ),
        pytest.param(a_run(token="v2", ownership="Owned"), (PAST,), False, id="running"),
    ],
)
def test_only_reversible_requests_are_cancelled(
    run: Run,
    history: tuple[HistoryEntry, ...],
    cancelled: bool,  # noqa: FBT001 - the expected value
) -> None:
    training = a_training(status=a_status(run=run, history=history))
    assert is_cancelled(training) == cancelled
    assert not is_cancelled(edited(training, run_token="v2", backoff_limit=1))


@pytest.mark.parametrize(
    ("reason", "outcome", "wer", "expected"),
    [
        pytest.param(None, "Succeeded", "8", (None, "8", "Excellent"), id="succeeded"),
        pytest.param(None, "Succeeded", None, (None, None, None), id="without a rate"),
        pytest.param(None, "Succeeded", "low", (None, "low", None), id="edited by hand"),
        pytest.param("TimedOut", "Failed", None, ("TimedOut", None, None), id="timed out"),
        pytest.param("GpuOnFire", "Failed", None, ("Unknown", None, None), id="a newer reason"),
        pytest.param(None, "Unknown", None, ("Unknown", None, None), id="an older entry"),
    ],
)
def test_history_restores_the_same_run(
    reason: str | None, outcome: str, wer: str | None, expected: tuple[str | None, ...]
) -> None:
    entry = replace(PAST, reason=reason, outcome=outcome, word_error_rate=wer, message=None)
    status = cancel_request(a_status(run=a_run(), history=(entry,)))
    rate, rating = (
        (status.metrics.word_error_rate, status.metrics.rating) if status.metrics else (None, None)
    )
    assert (status.failure.reason if status.failure else None, rate, rating) == expected
    assert status.failure is None or status.failure.message
    assert status.finished_at == EIGHT
