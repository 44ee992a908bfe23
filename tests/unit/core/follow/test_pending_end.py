"""core/follow/pending_end.py, gate_poll.py: an end that the API shows before its results."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.core.decide import decide
from scriptix_operator.core.follow.progressing import ANOTHER_START
from scriptix_operator.core.model.remote import FailureKind, RemoteModel
from scriptix_operator.core.reconcile.context import Durations
from scriptix_operator.core.reconcile.vocabulary import (
    Blocked,
    FetchLog,
    Observation,
    Poll,
    PollDeferred,
    PollFailed,
    RequeueAfter,
    Triggered,
)
from scriptix_operator.core.status.events import deletion_events
from tests.unit.core.builders import (
    EIGHT,
    Life,
    a_model,
    a_training,
    at,
    call_failed,
    failure,
    metrics,
)

BEFORE = EIGHT - timedelta(days=30)
"""The run start time of the previous run."""
NEAR = EIGHT + timedelta(seconds=1)
"""The start time as another server rounds it."""
LATER = EIGHT + ANOTHER_START
GATE = {"max_character_error_rate": "9"}
BROKEN = "Training failed due to system error"

BARE = a_model(4, started_at=EIGHT, metrics=None)
MEASURED = a_model(4, started_at=EIGHT, metrics=metrics())
NO_CER = a_model(4, started_at=EIGHT, metrics=metrics(cer=None))
SILENT = a_model(5, started_at=EIGHT, status_message=None)


def a_life(**spec: Any) -> Life:  # noqa: ANN401 - values of spec fields
    """A resource whose log is not collected, so that each poll is one decision."""
    return Life(a_training(**{"log": {"collect": "Never"}, **spec}))


def a_pending(end: RemoteModel = BARE, **spec: Any) -> Life:  # noqa: ANN401 - values of spec fields
    """A run whose end the API has shown without results."""
    life = a_life(**spec).runs().waits(60)
    life.polls(end)
    assert (life.status.phase, life.run.pending_end is not None) == ("Running", True)
    return life


# Pending ends.


@pytest.mark.parametrize(
    ("gate", "end"),
    [
        pytest.param(None, BARE, id="no metrics"),
        pytest.param(None, replace(BARE, metrics=metrics(wer=None)), id="no word error rate"),
        pytest.param(GATE, NO_CER, id="no metric that the gate bounds"),
        pytest.param(None, SILENT, id="neither error nor status message"),
        pytest.param(None, replace(SILENT, error=" ", status_message="\n"), id="blank ones"),
    ],
)
def test_end_without_results_is_recorded_and_awaited(gate: object, end: RemoteModel) -> None:
    life = a_pending(end, quality_gate=gate)
    assert life.status.model is not None
    assert life.status.model.training_status == end.training_status
    assert life.status.message == (
        f"The API reports that the training has ended (training_status {end.training_status}), but "
        "not the results; the operator waits for the results until 2025-01-16 08:03Z."
    )
    assert (life.reason, life.action, life.published) == ("Training", RequeueAfter(2), 0)
    assert life.status.finished_at is None


@pytest.mark.parametrize(
    ("gate", "end", "phase"),
    [
        pytest.param(None, NO_CER, "Succeeded", id="a word error rate"),
        pytest.param(GATE, MEASURED, "Succeeded", id="what the gate bounds"),
        pytest.param(None, replace(SILENT, status_message="Oops"), "Failed", id="a status message"),
        pytest.param(None, replace(SILENT, error="Oops"), "Failed", id="an error"),
    ],
)
def test_end_with_its_results_is_not_pending(gate: object, end: RemoteModel, phase: str) -> None:
    life = a_life(quality_gate=gate).runs().waits(60)
    life.polls(end)
    assert (life.status.phase, life.run.pending_end) == (phase, None)


# Polls.


UNANSWERED = PollFailed(call_failed(FailureKind.AMBIGUOUS))
LIMITED = PollFailed(call_failed(FailureKind.RATE_LIMITED, retry_after=300), again_in=300)
REJECTED = PollFailed(call_failed(FailureKind.UNAUTHORIZED))
KEYLESS = Blocked(failure(FailureReason.SECRET_NOT_FOUND, "gone"))


def polls(life: Life, seen: RemoteModel | Observation, seconds: int = 119) -> list[int]:
    """The seconds at which the model is polled, if the resource is triggered each second."""
    polled = []
    for second in range(1, seconds + 1):
        if isinstance(life.waits(1).wake_ups().action, Poll):
            polled.append(second)
            if isinstance(seen, RemoteModel):
                life.sees(seen)
            else:
                life.learns(seen)
    return polled


def test_pending_end_is_polled_five_times_then_believed() -> None:
    life = a_pending()
    writes = life.writes
    assert polls(life, BARE) == [2, 7, 17, 47, 110]
    assert (life.status.phase, life.action, life.writes) == ("Running", RequeueAfter(1), writes)
    life.waits(1).wake_ups()
    assert (life.status.phase, life.published, life.action) == ("Succeeded", 1, RequeueAfter(None))
    assert life.status.finished_at == at(minutes=1)
    assert "reports no word error rate" in (life.status.message or "")
    assert life.event_reasons.count("TrainingSucceeded") == 1


def test_results_wait_is_a_setting() -> None:
    life = a_pending()
    decision = decide(life.training, Triggered(), at(minutes=2), durations=Durations(results=60))
    assert decision.status.phase == "Succeeded"


def test_restarted_process_adds_no_poll_of_a_pending_end() -> None:
    life = a_pending()
    assert polls(life, BARE, 10) == [2, 7]
    assert (life.restarts().wake_ups().action, polls(life, BARE, 109)) == (
        RequeueAfter(7),
        [7, 37, 100],
    )
    assert life.waits(1).restarts().wake_ups().status.phase == "Succeeded"


@pytest.mark.parametrize("end", [BARE, SILENT], ids=["success", "failure"])
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(UNANSWERED, id="no answer"),
        pytest.param(LIMITED, id="rate limited"),
        pytest.param(REJECTED, id="key rejected"),
        pytest.param(KEYLESS, id="no key"),
        pytest.param(PollDeferred(300), id="no quota left"),
    ],
)
def test_pending_end_is_believed_after_failing_polls(end: RemoteModel, answer: Observation) -> None:
    life = a_pending(end)
    polled = polls(life, answer)
    if not isinstance(answer, PollDeferred):
        assert polled == [2, 7, 17, 47, 110]
    assert (life.status.phase, life.action) == ("Running", RequeueAfter(1))
    life.waits(1).wake_ups()
    assert life.status.phase == ("Succeeded" if end is BARE else "Failed")
    assert life.status.failure is None or life.status.failure.reason == "Unknown"


def test_deferred_poll_of_a_pending_end_stays_due() -> None:
    life = a_pending().waits(2)
    assert isinstance(life.wake_ups().action, Poll)
    life.learns(PollDeferred(1.5))
    assert life.action == RequeueAfter(1.5)
    assert isinstance(life.waits(1.5).wake_ups().action, Poll)
    assert life.sees(BARE).action == RequeueAfter(3.5)


# Results.


@pytest.mark.parametrize("run_start_time", [EIGHT, None], ids=["a start time", "none"])
def test_run_ends_with_results_that_arrive_later(run_start_time: datetime | None) -> None:
    life = a_pending(quality_gate=GATE).waits(2)
    life.polls(replace(NO_CER, started_at=run_start_time))
    assert life.status.phase == "Running"
    life.waits(5).polls(replace(MEASURED, started_at=run_start_time))
    assert (life.status.phase, life.published, life.run.pending_end) == ("Succeeded", 1, None)
    assert life.status.metrics is not None
    assert (life.status.metrics.word_error_rate, life.status.progress) == ("12.5", 100)
    assert life.status.finished_at == at(minutes=1)


@pytest.mark.parametrize("shown", [EIGHT, NEAR], ids=["earlier", "later"])
def test_results_with_a_start_time_rounded_otherwise_count(shown: datetime) -> None:
    life = a_life().runs().waits(60)
    life.polls(replace(BARE, started_at=EIGHT if shown == NEAR else NEAR))
    assert life.run.pending_end is not None
    life.waits(2).polls(replace(MEASURED, started_at=shown))
    assert (life.status.phase, life.status.metrics is None) == ("Succeeded", False)


def test_results_as_old_as_the_baseline_are_of_another_run() -> None:
    life = a_life(run_token="v1").runs(EIGHT).waits(60).succeeds(EIGHT)
    life.edit(run_token="v2").waits(60).intends(MEASURED).is_accepted()
    life.waits(60).polls(replace(BARE, started_at=NEAR))
    assert life.run.pending_end is not None
    life.waits(2).polls(MEASURED)
    assert (life.status.phase, life.status.metrics) == ("Running", None)


def test_results_seen_in_parts_are_joined() -> None:
    life = a_pending(NO_CER, quality_gate=GATE).waits(2)
    life.polls(replace(BARE, metrics=metrics(wer=None)))
    assert life.status.phase == "Succeeded"
    assert life.status.metrics is not None
    assert (life.status.metrics.word_error_rate, life.status.metrics.rating) == ("12.5", "VeryGood")


def test_results_in_the_poll_at_the_end_of_the_wait_count() -> None:
    life = a_pending().waits(119)
    assert isinstance(life.wake_ups().action, Poll)
    life.waits(2).sees(MEASURED)
    assert life.status.display is not None
    assert (life.status.phase, life.status.display.word_error_rate) == ("Succeeded", "12.5%")


def test_last_poll_without_results_ends_the_wait() -> None:
    life = a_pending().waits(119)
    assert isinstance(life.wake_ups().action, Poll)
    assert life.waits(2).sees(BARE).status.phase == "Succeeded"


def test_gate_edited_while_results_are_awaited_ends_the_wait() -> None:
    life = a_pending(NO_CER, quality_gate=GATE)
    life.edit(quality_gate=None).wake_ups()
    assert (life.status.phase, life.published) == ("Succeeded", 1)


def test_error_that_arrives_later_is_retried() -> None:
    life = a_pending(SILENT, backoff_limit=1).waits(2)
    life.polls(replace(SILENT, error=BROKEN))
    assert life.status.failure is not None
    assert (life.status.failure.reason, life.reason) == ("SystemError", "WaitingForRetry")
    assert life.run.retry_at == at(minutes=2, seconds=2)
    assert life.event_reasons.count("RetryScheduled") == 1


def test_failure_without_an_error_is_believed_and_not_retried() -> None:
    life = a_pending(SILENT, backoff_limit=1).waits(120)
    life.wake_ups()
    assert (life.status.phase, life.reason) == ("Failed", "Unknown")
    assert "The API reports no error." in (life.status.message or "")


def test_failure_believed_by_time_names_unreadable_fields() -> None:
    odd = replace(NO_CER, unreadable=("training_metrics.character_error_rate",))
    life = a_pending(odd, quality_gate=GATE)
    polls(life, odd)
    life.waits(1).wake_ups()
    assert life.status.failure is not None
    assert life.status.failure.reason == "QualityGateFailed"
    named = (
        "The operator cannot read fields of the API's reply: training_metrics.character_error_rate."
    )
    assert life.status.failure.message.endswith(named)


def test_results_outlast_a_cluster_that_does_not_publish_them() -> None:
    life = a_pending().waits(110)
    life.refusal = ("away", False)
    life.polls(MEASURED)
    assert (life.status.phase, life.published) == ("Running", 0)
    life.refusal = None
    life.restarts().waits(60).wake_ups()
    assert life.status.metrics is not None
    assert (life.status.metrics.word_error_rate, life.published) == ("12.5", 1)


# Other changes meanwhile.


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(a_model(3, progress=99, started_at=EIGHT), id="still running"),
        pytest.param(a_model(3, progress=99), id="running, no start time"),
        pytest.param(a_model(3, progress=99, started_at=NEAR), id="running, rounded"),
        pytest.param(a_model(2), id="2, no start time"),
        pytest.param(a_model(2, started_at=BEFORE), id="before the start"),
        pytest.param(replace(MEASURED, started_at=BEFORE), id="the run before"),
        pytest.param(a_model(6, started_at=EIGHT), id="undocumented"),
    ],
)
def test_stale_poll_does_not_undo_a_pending_end(seen: RemoteModel) -> None:
    life = a_pending()
    before, writes = life.status, life.writes
    assert polls(life, seen) == [2, 7, 17, 47, 110]
    assert (life.status, life.writes) == (before, writes)
    life.waits(1).wake_ups()
    assert (life.status.phase, life.status.metrics) == ("Succeeded", None)


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(a_model(1, started_at=EIGHT), id="1"),
        pytest.param(a_model(2, started_at=EIGHT), id="2"),
        pytest.param(a_model(2, started_at=NEAR), id="2, rounded"),
        pytest.param(a_model(2, started_at=LATER), id="2, another run"),
        pytest.param(a_model(3, started_at=LATER), id="another run"),
        pytest.param(replace(MEASURED, started_at=LATER), id="another run, at its end"),
    ],
)
@pytest.mark.parametrize("end", [NO_CER, SILENT], ids=["success", "failure"])
def test_pending_end_is_kept_when_the_model_changes(end: RemoteModel, seen: RemoteModel) -> None:
    life = a_pending(end, quality_gate={**GATE, "max_word_error_rate": "10"}).waits(2)
    life.polls(seen)
    reason = "QualityGateFailed" if end is NO_CER else "Unknown"
    assert (life.status.phase, life.reason) == ("Failed", reason)
    assert life.status.model is not None
    assert life.status.model.training_status == end.training_status
    life.edit(run_token="v2").waits(60).wake_ups()
    assert life.status.history[0].outcome == "Failed"


def test_end_without_a_start_time_is_kept_when_the_model_is_at_2() -> None:
    life = a_pending(replace(BARE, started_at=None)).waits(2)
    life.polls(a_model(2))
    assert (life.status.phase, life.status.finished_at) == ("Succeeded", at(minutes=1))


@pytest.mark.parametrize("end", [BARE, SILENT], ids=["success", "failure"])
def test_pending_end_is_not_timed_out(end: RemoteModel) -> None:
    life = a_pending(end, timeout_seconds=90)
    polls(life, UNANSWERED, 29)
    assert life.action == RequeueAfter(1)
    life.waits(1).wake_ups()
    reason = "TrainingSucceeded" if end is BARE else "Unknown"
    assert (life.reason, life.status.finished_at) == (reason, at(minutes=1))


@pytest.mark.parametrize("seen", [BARE, MEASURED], ids=["without results", "with them"])
def test_poll_past_the_time_out_ends_a_pending_end(seen: RemoteModel) -> None:
    life = a_pending(timeout_seconds=78).waits(17)
    assert isinstance(life.wake_ups().action, Poll)
    life.waits(2).sees(seen)
    assert (life.reason, life.status.metrics is None) == ("TrainingSucceeded", seen is BARE)


@pytest.mark.parametrize("end", [BARE, SILENT], ids=["success", "failure"])
@pytest.mark.parametrize("seconds", [5, 119], ids=["soon", "late"])
def test_pending_end_is_believed_on_resume(end: RemoteModel, seconds: float) -> None:
    life = a_pending(end).edit(suspend=True)
    life.wake_ups()
    assert life.status.phase == "Suspended"
    assert "goes on" not in (life.status.message or "")
    life.waits(seconds).edit(suspend=False).wake_ups()
    assert life.status.phase == ("Succeeded" if end is BARE else "Failed")


def test_pending_end_is_believed_while_suspended() -> None:
    life = a_pending().edit(suspend=True)
    assert life.wake_ups().action == RequeueAfter(2)
    assert not isinstance(life.waits(2).wake_ups().action, Poll)
    assert life.action == RequeueAfter(118)
    assert life.waits(118).wake_ups().status.phase == "Succeeded"


@pytest.mark.parametrize("end", [BARE, SILENT], ids=["success", "failure"])
def test_end_at_adoption_is_polled_and_believed(end: RemoteModel) -> None:
    life = a_life()
    life.polls(end)
    assert (life.run.ownership, life.status.phase) == ("Adopted", "Running")
    assert polls(life, end) == [2, 7, 17, 47, 110]
    life.waits(1).wake_ups()
    assert (life.status.phase, life.action) == (
        "Succeeded" if end is BARE else "Failed",
        RequeueAfter(None),
    )


def test_rerun_begins_once_the_pending_end_is_believed() -> None:
    life = a_pending()
    first = life.run.id
    life.edit(run_token="v2").wake_ups()
    assert life.run.id == first
    assert life.waits(120).wake_ups().action == RequeueAfter(0)
    life.wake_ups()
    assert (life.run.token, life.run.pending_end) == ("v2", None)


def test_log_of_a_pending_end_is_fetched_once_it_is_believed() -> None:
    life = Life().runs().waits(60)
    life.polls(a_model(3, progress=95, started_at=EIGHT))
    life.stores_log()
    assert life.waits(60).polls(BARE).action == RequeueAfter(2)
    assert life.waits(2).polls(MEASURED).action == FetchLog(None)
    assert life.stores_log().action == RequeueAfter(None)


def test_deletion_at_a_pending_end_releases_no_running_training() -> None:
    assert deletion_events(a_life().runs().status) != ()
    life = a_pending()
    assert deletion_events(life.status) == ()
    life.training = replace(life.training, is_being_deleted=True)
    life.wake_ups()
    assert (
        life.status.message
        == "The resource is being deleted; the operator does not reconcile the resource any more."
    )


# An edited gate that was missed for a missing metric.


def a_missed(**spec: Any) -> Life:  # noqa: ANN401 - values of spec fields
    """A run that has missed its gate because a metric is missing."""
    life = a_pending(NO_CER, **{"quality_gate": GATE, **spec}).waits(120)
    life.wake_ups()
    assert (life.status.phase, life.reason) == ("Failed", "QualityGateFailed")
    return life


WIDER = {"max_character_error_rate": "10"}


@pytest.mark.parametrize("shown", [EIGHT, NEAR], ids=["same start time", "rounded"])
def test_edited_gate_is_judged_by_a_metric_that_has_arrived(shown: datetime) -> None:
    life = a_missed().edit(quality_gate=WIDER)
    assert isinstance(life.waits(600).wake_ups().action, Poll)
    life.sees(replace(MEASURED, started_at=shown, metrics=metrics(wer=None)))
    assert (life.status.phase, life.published, life.action) == ("Succeeded", 1, RequeueAfter(None))
    assert life.status.metrics is not None
    assert (life.status.metrics.word_error_rate, life.status.metrics.character_error_rate) == (
        "12.5",
        "8.3",
    )


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(NO_CER, id="still missing"),
        pytest.param(replace(MEASURED, started_at=LATER), id="another run"),
        pytest.param(replace(MEASURED, started_at=BEFORE), id="the run before"),
        pytest.param(replace(MEASURED, started_at=None), id="no start time"),
        pytest.param(a_model(2, started_at=EIGHT), id="2"),
        pytest.param(a_model(3, started_at=LATER), id="3"),
        pytest.param(a_model(3, started_at=EIGHT, metrics=metrics()), id="3, stale"),
    ],
)
def test_edited_gate_is_judged_as_before_by_other_polls(seen: RemoteModel) -> None:
    life = a_missed().edit(quality_gate=WIDER)
    model = life.status.model
    assert isinstance(life.waits(600).wake_ups().action, Poll)
    life.sees(seen)
    assert (life.reason, life.action, life.published) == (
        "QualityGateFailed",
        RequeueAfter(None),
        0,
    )
    assert "at most 10% wanted" in (life.status.message or "")
    assert (life.status.model, life.run.id) == (model, life.run.id)
    assert life.wake_ups().action == RequeueAfter(None)


def test_edited_gate_needs_a_polled_start_time_to_poll() -> None:
    """The start time in the start reply does not identify the run whose end a poll shows."""
    life = a_missed()
    run = replace(life.run, started_training_at=None)
    life.training = life.training.with_status(replace(life.status, run=run))
    assert life.status.started_at == EIGHT
    assert life.edit(quality_gate=WIDER).waits(600).wake_ups().action == RequeueAfter(None)


def test_edited_gate_is_judged_after_the_poll_that_is_deferred() -> None:
    life = a_missed().edit(quality_gate=WIDER).waits(600)
    assert isinstance(life.wake_ups().action, Poll)
    life.learns(PollDeferred(3))
    assert (life.action, life.status.observed_generation) == (RequeueAfter(3), 1)
    life.restarts().waits(3).polls(MEASURED)
    assert life.status.phase == "Succeeded"


def test_edited_gate_names_a_metric_that_is_not_readable() -> None:
    life = a_missed().edit(quality_gate=WIDER).waits(600)
    life.polls(replace(NO_CER, unreadable=("training_metrics.character_error_rate",)))
    assert "The operator cannot read fields of the API's reply: " in (life.status.message or "")


@pytest.mark.parametrize("answer", [UNANSWERED, REJECTED], ids=["no answer", "refused"])
def test_edited_gate_is_judged_once_polls_have_failed(answer: Observation) -> None:
    life = a_missed().edit(quality_gate=WIDER).waits(600)
    waits = []
    while isinstance(life.wake_ups().action, Poll):
        life.learns(answer)
        assert isinstance(life.action, RequeueAfter)
        waits.append(life.action.seconds)
        life.waits(life.action.seconds or 0)
    assert waits == [2, 4, 8, 16, None]
    assert "at most 10% wanted" in (life.status.message or "")


def test_failed_polls_of_a_pending_end_are_not_those_of_the_gate() -> None:
    life = a_pending(NO_CER, quality_gate=GATE)
    polls(life, UNANSWERED)
    life.waits(1).wake_ups()
    assert life.reason == "QualityGateFailed"
    assert isinstance(life.edit(quality_gate=WIDER).wake_ups().action, Poll)
    assert life.learns(UNANSWERED).action == RequeueAfter(2)


def test_edited_gate_is_judged_without_a_key() -> None:
    life = a_missed().edit(quality_gate=WIDER).waits(600)
    assert isinstance(life.wake_ups().action, Poll)
    life.learns(KEYLESS)
    assert (life.reason, life.action) == ("QualityGateFailed", RequeueAfter(None))


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"quality_gate": {"max_word_error_rate": "10"}}, id="nothing is missing"),
        pytest.param({"quality_gate": WIDER, "suspend": True}, id="suspended"),
    ],
)
def test_edited_gate_is_judged_without_a_poll(spec: dict[str, Any]) -> None:
    life = a_missed().edit(**spec)
    assert life.waits(600).wake_ups().action == RequeueAfter(None)
    assert life.reason == "QualityGateFailed"
