"""core/status/unreadable.py: a resource with a field that cannot be read."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from scriptix_operator.api.spec import UNREADABLE_GATE
from scriptix_operator.api.status import MAX_CONDITIONS, MAX_HISTORY, MAX_USED_REQUESTS
from scriptix_operator.core.decide import decide
from scriptix_operator.core.model.remote import FailureKind
from scriptix_operator.core.model.training import TrainingKey, UnreadableField
from scriptix_operator.core.reconcile.vocabulary import (
    AcquireStart,
    FetchLog,
    ModelPolled,
    Poll,
    PollDeferred,
    RequeueAfter,
    Triggered,
)
from scriptix_operator.core.start.competing_trainings import model_in_use
from scriptix_operator.core.status.unreadable import (
    describe_left_alone,
    describe_unreadable,
    is_reported,
    left_alone_patch,
)
from scriptix_operator.core.status.used_requests import used_requests
from tests.unit.core.builders import (
    EIGHT,
    KEY,
    Life,
    a_model,
    a_run,
    a_status,
    a_training,
    at,
    followed,
    metrics,
    truths,
)

PRIORITY, GATE = "spec.priority", "spec.qualityGate"
STALLED = {"Succeeded": "Unknown", "Ready": "Unknown", "Stalled": "True"}
DONE = a_model(4, started_at=EIGHT, metrics=metrics())
NO_LOG: dict[str, Any] = {"log": {"collect": "Never"}}


def stalled(life: Life) -> str:
    """The message of the condition Stalled."""
    [message] = [c.message for c in life.status.conditions if c.type == "Stalled"]
    return message


def a_running(**spec: Any) -> Life:  # noqa: ANN401 - values of spec fields
    return Life(a_training(**{**NO_LOG, **spec})).runs().waits(60)


# Messages.


def test_message_names_field_and_remedy_once_for_each_problem() -> None:
    life = Life().edit_unreadably("spec.log.collect")
    life.wake_ups()
    life.restarts().wake_ups()
    assert truths(life.status) == STALLED
    assert life.reason == "Unreadable"
    assert stalled(life) == (
        "This version of the operator cannot read spec.log.collect (input should be simple). "
        "The operator starts nothing for the resource, and follows a run that has begun. Correct "
        "the field, "
        "or run a version of the operator that knows its value."
    )
    assert life.status.message == f"The operator starts no training. {stalled(life)}"
    assert (life.event_reasons, life.writes) == (["Unreadable"], 1)
    life.edit_unreadably("spec.log.collect").wake_ups()
    assert (life.event_reasons, life.writes) == (["Unreadable"], 2)
    life.edit_unreadably(PRIORITY, "status.history[1].id").wake_ups()
    assert life.event_reasons == ["Unreadable", "Unreadable"]
    assert "status: kubectl edit --subresource=status" in stalled(life)


def test_message_is_bounded_and_keeps_its_remedy() -> None:
    fields = [UnreadableField("spec.log", "spec.log." + "x" * 999, "y" * 999) for _ in range(5)]
    text = describe_left_alone(fields)
    assert len(text) < 1024
    assert "and 2 more" in text
    assert text.endswith("knows its value.")


def test_resource_is_as_before_once_it_can_be_read() -> None:
    life = a_running().edit_unreadably(PRIORITY)
    life.wake_ups()
    life.edit_unreadably().polls(a_model(3, started_at=EIGHT, progress=45))
    assert truths(life.status) == {
        "Succeeded": "Unknown",
        "Ready": "Unknown",
        "Reconciling": "True",
    }
    assert life.status.message == "The run is in stage MainTraining, at 45%."


def test_message_of_an_unreadable_resource_is_not_kept() -> None:
    life = Life().edit_unreadably(PRIORITY)
    life.wake_ups()
    life.edit_unreadably().wake_ups()
    life.learns(PollDeferred(5.0))
    assert (life.reason, life.status.message) == (
        "Observed",
        "The resource waits for its first status poll.",
    )


def test_message_names_the_field_once() -> None:
    life = a_running().edit_unreadably(PRIORITY)
    life.polls(a_model(3, started_at=EIGHT, progress=45))
    life.edit_unreadably(PRIORITY).wake_ups()
    life.learns(PollDeferred(5.0))
    assert life.status.message == f"The run is in stage MainTraining, at 45%. {stalled(life)}"


def test_status_field_that_becomes_unreadable_is_reported() -> None:
    life = Life(a_training(**NO_LOG)).runs().succeeds()
    field = UnreadableField("status.progress", "status.progress", "input should be an integer")
    life.training = replace(life.training, unreadable=(field,))
    life.wake_ups()
    assert truths(life.status) == {"Succeeded": "True", "Ready": "True", "Stalled": "True"}


def test_result_is_reported_again_once_the_resource_is_readable() -> None:
    life = Life(a_training(**NO_LOG)).runs().succeeds()
    events = life.status.message
    life.edit_unreadably(PRIORITY).wake_ups()
    assert truths(life.status) == {"Succeeded": "True", "Ready": "True", "Stalled": "True"}
    # By another version of the operator: the generation stays.
    life.training = replace(life.training, unreadable=())
    life.restarts().wake_ups()
    assert (life.status.message, "Stalled" in truths(life.status)) == (events, False)


def test_deleted_resource_need_not_be_readable() -> None:
    life = a_running().edit_unreadably(PRIORITY).is_deleted()
    life.wake_ups()
    assert describe_unreadable(life.training) is None
    assert life.reason == "BeingDeleted"


# Actions that are not taken.


@pytest.mark.parametrize("state", [2, 3, 4, 5])
def test_nothing_is_started_or_adopted(state: int) -> None:
    life = Life().edit_unreadably(PRIORITY)
    assert life.wake_ups().action == RequeueAfter(None)
    assert life.sees(a_model(state, started_at=EIGHT)).action == RequeueAfter(None)
    assert life.status.run is None


def test_queued_resource_leaves_the_queue() -> None:
    life = Life()
    life.polls(a_model(2))
    life.is_queued()
    assert life.edit_unreadably(PRIORITY).wake_ups().action == RequeueAfter(None)
    assert (life.status.queue, life.status.phase) == (None, "Pending")


def test_no_run_is_asked_for_and_no_request_cancelled() -> None:
    life = Life(a_training(**NO_LOG)).runs().succeeds()
    run = life.run
    life.edit_unreadably("spec.runToken", run_token="v2").annotate("now")
    assert life.wake_ups().action == RequeueAfter(None)
    assert life.run == run
    life.edit_unreadably(run_token="v2").polls(a_model(1))
    waiting = life.run
    assert waiting.token == "v2"
    life.edit_unreadably("spec.runToken", run_token="").annotate("later").wake_ups()
    assert life.run == waiting


def test_retry_waits_and_is_not_cancelled() -> None:
    life = a_running(backoff_limit=1)
    life.polls(a_model(5, started_at=EIGHT, error="Training failed due to system error"))
    run = life.run
    assert run.retry_at is not None
    life.waits(3600).edit_unreadably("spec.backoffLimit", backoff_limit=0)
    assert life.wake_ups().action == RequeueAfter(None)
    assert life.run == run
    life.edit_unreadably(backoff_limit=1)
    assert isinstance(life.wake_ups().action, Poll)
    assert life.run.retries == 1


def test_failed_run_is_not_retried_by_an_unreadable_limit() -> None:
    life = a_running(backoff_limit=1).edit_unreadably("spec.backoffLimit", backoff_limit=0)
    life.polls(a_model(5, started_at=EIGHT, error="Training failed due to system error"))
    assert (life.status.phase, life.run.retry_at) == ("Failed", None)


def test_resource_that_starts_nothing_holds_no_model() -> None:
    older = a_training(name="older", status=a_status(last_observed_at=EIGHT))
    younger = a_training(name="younger", created_at=at(hours=1))
    assert model_in_use(younger, [older], a_model(2)) is not None
    field = UnreadableField(PRIORITY, PRIORITY, "")
    assert model_in_use(younger, [replace(older, unreadable=(field,))], a_model(2)) is None


def test_run_of_an_unreadable_resource_holds_its_model() -> None:
    for namespace, name in (
        ("team-a", "Resource odd"),
        ("team-b", "A resource in another namespace"),
    ):
        competitor = TrainingKey(namespace, "odd")
        seen = ModelPolled(a_model(2), KEY, unreadable_competitor=competitor)
        decision = decide(a_training(), seen, EIGHT)
        assert isinstance(decision.action, RequeueAfter)
        assert decision.status.conditions[0].reason == "ModelInUse"
        assert (decision.status.message or "").startswith(f"{name} may be training this model")


def test_rerun_waits_for_an_unreadable_history_of_another() -> None:
    field = UnreadableField("status.history", "status.history[0].id", "")
    competitor = replace(a_training(name="competitor"), unreadable=(field,))
    life = Life(a_training(**NO_LOG)).runs().succeeds().edit(run_token="v2")
    unknown = a_model(4, started_at=EIGHT + timedelta(hours=9))
    life.polls(unknown, competitors=(competitor,))
    assert life.reason == "ModelInUse"
    assert isinstance(life.polls(unknown).action, AcquireStart)


# Actions that are taken.


def test_run_is_followed_to_its_end_and_published() -> None:
    life = a_running().edit_unreadably(PRIORITY)
    life.polls(a_model(3, started_at=EIGHT, progress=45))
    assert (life.status.progress, life.status.stage) == (45, "MainTraining")
    assert truths(life.status) == STALLED
    assert (life.status.message or "").startswith(
        "The run is in stage MainTraining, at 45%. This version"
    )
    life.polls(DONE)
    assert (life.status.phase, life.published) == ("Succeeded", 1)
    assert life.status.metrics is not None


def test_start_with_unknown_outcome_is_resolved_not_repeated() -> None:
    life = Life().intends().is_refused(FailureKind.AMBIGUOUS, message="no reply")
    life.edit_unreadably(PRIORITY)
    acted = replace(life, events=[])
    assert isinstance(acted.wake_ups().action, Poll)
    acted.sees(a_model(3, started_at=EIGHT))
    assert acted.run.ownership == "Unconfirmed"
    for _ in range(3):
        life.waits(60).polls(a_model(2))
    assert life.run.intent is None
    assert life.waits(60).wake_ups().action == RequeueAfter(None)
    assert life.reason == "Unreadable"


def test_end_is_judged_once_the_gate_can_be_read() -> None:
    life = a_running().edit_unreadably(GATE, quality_gate=UNREADABLE_GATE.model_dump())
    life.polls(DONE)
    assert (life.status.phase, life.published, life.run.ownership) == ("Running", 0, "Owned")
    assert life.status.metrics is not None
    assert life.status.metrics.word_error_rate == "12.5"
    assert "judges and publishes the run once" in (life.status.message or "")
    for suspend in (True, False):
        unread = {"quality_gate": UNREADABLE_GATE.model_dump(), "suspend": suspend}
        life.edit_unreadably(GATE, **unread).wake_ups()
    assert (life.status.phase, life.published) == ("Running", 0)
    # The wait for results, the timeout and new data do not end the run.
    assert life.waits(100_000).wake_ups().action != RequeueAfter(0.0)
    life.sees(a_model(2, started_at=EIGHT + timedelta(hours=9)))
    assert life.restarts().wake_ups().action == RequeueAfter(None)
    assert (life.status.phase, life.published) == ("Running", 0)
    missed = replace(life)
    missed.edit_unreadably(quality_gate={"max_word_error_rate": "10"}).wake_ups()
    assert (missed.status.phase, missed.reason) == ("Failed", "QualityGateFailed")
    life.edit_unreadably(quality_gate={"max_word_error_rate": "15"}).wake_ups()
    assert (life.status.phase, life.published) == ("Succeeded", 1)


def test_missed_gate_is_not_judged_again_by_an_unreadable_one() -> None:
    life = a_running(quality_gate={"max_word_error_rate": "10"})
    life.polls(DONE)
    assert life.reason == "QualityGateFailed"
    life.edit_unreadably(GATE, quality_gate=UNREADABLE_GATE.model_dump())
    assert life.wake_ups().action == RequeueAfter(None)
    assert (life.status.phase, life.published) == ("Failed", 0)
    # By a version that can read the gate: the generation stays.
    generation = life.training.generation
    life.edit_unreadably(quality_gate={"max_word_error_rate": "15"})
    life.training = replace(life.training, generation=generation)
    life.restarts().wake_ups()
    assert (life.status.phase, life.published) == ("Succeeded", 1)


def test_unpublished_result_waits_for_a_gate_that_can_be_read() -> None:
    life = a_running()
    life.refusal = ("exceeded quota", True)
    life.polls(DONE)
    assert life.reason == "ResultNotPublished"
    life.refusal = None
    life.edit_unreadably(GATE, quality_gate=UNREADABLE_GATE.model_dump()).wake_ups()
    assert life.reason == "ResultNotPublished"
    life.edit_unreadably().wake_ups()
    assert life.status.phase == "Succeeded"


def test_run_does_not_time_out_by_an_unreadable_limit() -> None:
    life = a_running().edit_unreadably("spec.timeoutSeconds").waits(1_000_000)
    life.polls(a_model(3, started_at=EIGHT, progress=45))
    assert life.status.phase == "Running"
    life.edit_unreadably().wake_ups()
    assert life.reason == "TimedOut"


@pytest.mark.parametrize("path", ["spec.log.maxBytes", "status.log.bytes"])
def test_log_is_fetched_once_its_bounds_can_be_read(path: str) -> None:
    life = Life().runs().edit_unreadably(path).waits(60)
    assert not isinstance(life.polls(DONE).action, FetchLog)
    assert (life.status.phase, life.status.log) == ("Succeeded", None)
    life.edit_unreadably()
    assert isinstance(life.wake_ups().action, FetchLog)


def test_longer_lists_of_a_newer_version_are_not_cut() -> None:
    hashes = tuple(f"{n:016x}" for n in range(MAX_USED_REQUESTS + 50))
    assert len(used_requests(a_status(used_requests=hashes, run=a_run(token="v1")))) == len(hashes)
    history = [{"id": f"old-{n}", "outcome": "Failed"} for n in range(MAX_HISTORY + 5)]
    status = followed(finished_at=EIGHT, history=history)
    decision = decide(a_training(run_token="v2", status=status), Triggered(), EIGHT)
    assert len(decision.status.history) == len(history)


# A skipped resource.


def test_skipped_resource_is_reported_once_and_keeps_its_outcome() -> None:
    outcome = {"type": "Succeeded", "status": "True", "reason": "TrainingSucceeded"}
    foreign = {"type": ["odd"], "cost": 5}
    begun = {"type": "Reconciling", "status": "True"}
    status = {"message": "old", "phase": "Running", "conditions": [foreign, outcome, begun]}
    patch = left_alone_patch(status, 3, "why", EIGHT, "ours")
    assert patch["message"] == "why"
    assert patch["observedGeneration"] == 3
    assert [c["type"] for c in patch["conditions"]] == ["Succeeded", "Ready", "Stalled", ["odd"]]
    assert patch["conditions"][0] == outcome
    assert patch["conditions"][3] == foreign
    assert not is_reported(status, "why")
    events = {**status, **patch}
    assert is_reported(events, "why")
    assert not is_reported(events, "why else")
    assert left_alone_patch(events, 3, "why", at(hours=1), "ours") == {}
    later = left_alone_patch(events, 4, "why else", at(hours=1), "ours")
    since = [c.get("lastTransitionTime") for c in later["conditions"][1:3]]
    assert since == ["2025-01-16T08:00:00Z"] * 2


def test_conditions_that_are_no_list_are_not_replaced() -> None:
    assert left_alone_patch({"conditions": {"odd": 1}}, 1, "why", EIGHT, "ours") == {}


THEIRS = {"namespace": "theirs", "renewedAt": "2025-01-16T07:00:00Z"}
NAMED = {"namespace": "ours", "renewedAt": "2025-01-16T08:00:00Z"}


@pytest.mark.parametrize(
    ("status", "named"),
    [
        pytest.param({}, NAMED, id="absent"),
        pytest.param({"servedBy": THEIRS}, NAMED, id="of another"),
        pytest.param({"servedBy": {"namespace": 1}}, None, id="unreadable"),
        pytest.param(
            {"servedBy": THEIRS, "run": {"intent": {}}}, None, id="another's start under way"
        ),
        pytest.param({"servedBy": NAMED, "run": {"intent": {}}}, NAMED, id="own start under way"),
    ],
)
def test_report_names_its_installation(
    status: dict[str, Any], named: dict[str, Any] | None
) -> None:
    patch = left_alone_patch(status, 3, "why", EIGHT, "ours")
    assert patch["message"] == "why"
    assert patch.get("servedBy") == named
    # The name alone is not written.
    assert left_alone_patch({**status, **patch}, 3, "why", at(hours=1), "elsewhere") == {}


@pytest.mark.parametrize("before", [MAX_CONDITIONS, MAX_CONDITIONS + 4])
def test_report_does_not_exceed_the_bound_of_conditions(before: int) -> None:
    foreign = [{"type": f"T{number}"} for number in range(before)]
    patch = left_alone_patch({"conditions": foreign}, 3, "why", EIGHT, "ours")
    assert patch["conditions"][3:] == foreign[: before - 3]
