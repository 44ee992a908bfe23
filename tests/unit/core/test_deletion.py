"""core/deletion.py: decisions on a resource that has a deletionTimestamp."""

from dataclasses import replace
from typing import Any

import pytest

from scriptix_operator.api.reasons import FailureReason, LogState
from scriptix_operator.api.status import Baseline, Intent, LogStatus, Queue, TrainingStatus
from scriptix_operator.core.decide import decide
from scriptix_operator.core.ledger.ledger import Ledger, StartOutcome, with_start_begun
from scriptix_operator.core.ledger.rebuild import rebuilt
from scriptix_operator.core.model.remote import FailureKind
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.reconcile.call_results import (
    LogStored,
    LogUnavailable,
    Posted,
    PostFailed,
)
from scriptix_operator.core.reconcile.in_process_state import InProcessState, StartState
from scriptix_operator.core.reconcile.vocabulary import (
    Blocked,
    CheckQueue,
    Decision,
    ModelPolled,
    NoStartInFlight,
    Observation,
    Poll,
    PollDeferred,
    PollFailed,
    PublishFailed,
    QueueReached,
    RequeueAfter,
    StartAborted,
    StartGranted,
    StartLedgerNotWritable,
    StartQueued,
    Triggered,
)
from scriptix_operator.core.start.competing_trainings import model_in_use
from scriptix_operator.core.start.resolution import resolve_other_start
from scriptix_operator.core.start.staleness import is_stale
from scriptix_operator.core.status.events import deletion_events, transition_events
from scriptix_operator.core.status.failures import failure
from tests.unit.core.builders import (
    EIGHT,
    KEY,
    WHOLE_LOG,
    Life,
    a_context,
    a_model,
    a_run,
    a_status,
    a_training,
    at,
    call_failed,
    check_status,
    followed,
    metrics,
)

BEFORE = at(hours=-9)
BASELINE = Baseline(training_status=2, started_training_at=BEFORE)
INTENT = Intent(attempt=1, at=EIGHT, key_fingerprint=KEY.fingerprint)
STARTING = a_status(run=a_run(intent=INTENT, baseline=BASELINE, claimed_at=EIGHT))
GONE = failure(FailureReason.SECRET_NOT_FOUND, "no Secret")
SYSTEM = failure(FailureReason.SYSTEM_ERROR, "System error")
SUCCEEDED = followed(finished_at=at(hours=8), progress=100)
TO_RETRY = followed(
    run=a_run(ownership="Owned", claimed_at=EIGHT, retry_at=at(hours=9)),
    finished_at=at(hours=8),
    failure=SYSTEM,
)
UNPUBLISHED = followed(
    finished_at=at(hours=8), failure=failure(FailureReason.RESULT_NOT_PUBLISHED, "refused")
)
STATES: dict[str, TrainingStatus] = {
    "new": a_status(),
    "waiting": a_status(last_observed_at=EIGHT),
    "queued": a_status(queue=Queue(position=1, of=2), last_observed_at=EIGHT),
    "without its Secret": a_status(failure=GONE),
    "rerun waiting": a_status(run=a_run(id="run-2", token="v2")),
    "running": followed(progress=40, estimated_completion_at=at(hours=3)),
    "running without its Secret": followed(failure=GONE),
    "to be retried": TO_RETRY,
    "to be published": UNPUBLISHED,
    "succeeded without its log": SUCCEEDED,
    "failed": followed(finished_at=at(hours=8), failure=SYSTEM),
}
"""Statuses without an in-flight start."""


def deleted(status: TrainingStatus, **spec: Any) -> Training:  # noqa: ANN401 - values of spec fields
    """A resource that is being deleted, with all requests and options set."""
    asked = {"run_token": "v9", "backoff_limit": 3, "log": {"collect": "Always"}, **spec}
    training = a_training(status=status, **asked)
    return replace(training, is_being_deleted=True, requested_at="now", generation=2)


ENTRY = with_start_begun(Ledger(), a_training(status=STARTING), EIGHT)[1]
"""The in-flight start."""
READY, RUNNING = a_model(2, started_at=BEFORE), a_model(3, started_at=EIGHT, progress=5)
ENDED = a_model(4, started_at=EIGHT, metrics=metrics())
AMBIGUOUS = call_failed(FailureKind.AMBIGUOUS)
OBSERVATIONS: dict[str, Observation] = {
    "triggered": Triggered(),
    "queue reached": QueueReached(),
    "blocked": Blocked(GONE),
    "ledger refused": StartLedgerNotWritable(),
    "no start": NoStartInFlight(),
    "deferred": PollDeferred(5.0),
    "poll failed": PollFailed(AMBIGUOUS),
    "ready": ModelPolled(READY, KEY),
    "running": ModelPolled(RUNNING, KEY),
    "ended": ModelPolled(ENDED, KEY),
    "granted": StartGranted(READY, KEY),
    "queued": StartQueued(Queue(position=1, of=2), 60.0),
}
ANSWERS: dict[str, Observation] = {
    "accepted": Posted(RUNNING),
    "aborted": StartAborted(),
    **{kind.name: PostFailed(call_failed(kind)) for kind in FailureKind},
    "in progress": PostFailed(call_failed(FailureKind.CONFLICT, code="TRAINING_IN_PROGRESS")),
}
"""Observations of a POST that was in flight at the deletion."""


def after(
    training: Training, observation: Observation, state: InProcessState | None = None
) -> Decision:
    """The decision ten days later: everything is due, and timeoutSeconds has passed."""
    decision = decide(training, observation, at(hours=240), state or InProcessState())
    if decision.status is not training.status:
        check_status(training, decision.status)
    return decision


# Without an in-flight start.


@pytest.mark.parametrize("suspend", [False, True], ids=["", "suspended"])
@pytest.mark.parametrize("observation", OBSERVATIONS)
@pytest.mark.parametrize("state", STATES)
def test_deletion_ends_calls_requests_and_publishing(
    state: str,
    observation: str,
    suspend: bool,  # noqa: FBT001 - both ways
) -> None:
    status = STATES[state]
    decision = after(deleted(status, suspend=suspend), OBSERVATIONS[observation])
    assert (decision.action, decision.publish, decision.start_outcome) == (
        RequeueAfter(None),
        False,
        None,
    )
    run, before = decision.status.run, status.run
    assert (run and run.id, run and run.attempt) == (before and before.id, before and 1)
    assert (run and run.intent, decision.status.queue) == (None, None)


@pytest.mark.parametrize("status", [followed(progress=40), SUCCEEDED], ids=["running", "ended"])
@pytest.mark.parametrize(
    "observation",
    [
        LogStored(LogStatus(entries=3), (), 60.0, WHOLE_LOG),
        LogUnavailable(60.0, LogState.COLLECTING, 60.0),
    ],
)
def test_deletion_during_a_log_fetch_is_the_last_fetch(
    status: TrainingStatus, observation: Observation
) -> None:
    assert after(deleted(status), observation).action == RequeueAfter(None)


@pytest.mark.parametrize(
    ("state", "phase", "reason"),
    [
        ("new", "Pending", "BeingDeleted"),
        ("queued", "Pending", "BeingDeleted"),
        ("without its Secret", "Pending", "BeingDeleted"),
        ("running", "Running", "BeingDeleted"),
        ("running without its Secret", "Running", "BeingDeleted"),
        ("to be published", "Running", "BeingDeleted"),
        ("to be retried", "Failed", "SystemError"),
        ("succeeded without its log", "Succeeded", "Observed"),
        ("failed", "Failed", "SystemError"),
    ],
)
def test_status_says_that_reconciling_has_stopped(state: str, phase: str, reason: str) -> None:
    status = after(deleted(STATES[state]), Triggered()).status
    assert (status.phase, {c.reason for c in status.conditions}) == (phase, {reason})
    types = {condition.type for condition in status.conditions}
    assert types - {"Succeeded", "Ready"} == ({"Stalled"} if phase == "Failed" else set())
    assert status.estimated_completion_at is None
    assert (status.failure is None) == (STATES[state].failure in {None, GONE})
    # Later decisions change nothing.
    again = after(deleted(status), Triggered())
    assert again.status == status


def test_a_suspended_resource_shows_its_deletion() -> None:
    status = after(deleted(followed(), suspend=True), Triggered()).status
    assert (status.phase, status.conditions[0].reason) == ("Suspended", "BeingDeleted")


def test_success_whose_publishing_fails_is_not_published_again() -> None:
    life = Life().runs()
    decision = life.learns(Triggered())
    seen = ModelPolled(replace(ENDED, started_at=EIGHT), KEY)
    success = decide(life.training, seen, life.now, decision.state)
    assert success.publish
    training = replace(life.training, is_being_deleted=True)
    failed = decide(training, PublishFailed(success, "no answer", refused=False), life.now)
    assert (failed.action, failed.publish) == (RequeueAfter(None), False)
    assert failed.status.failure is not None
    assert failed.status.failure.reason == "ResultNotPublished"
    assert transition_events(life.status, failed.status) == ()


# With an in-flight start.


@pytest.mark.parametrize(
    ("observation", "action"),
    [
        pytest.param(Triggered(), Poll(), id="triggered"),
        pytest.param(PollFailed(AMBIGUOUS), RequeueAfter(30.0), id="poll failed"),
        pytest.param(Blocked(GONE), RequeueAfter(60.0), id="no Secret"),
        pytest.param(StartLedgerNotWritable(), RequeueAfter(60.0), id="ledger refused"),
        pytest.param(PollDeferred(5.0), RequeueAfter(5.0), id="deferred"),
        pytest.param(
            ModelPolled(a_model(7), KEY, in_flight=ENTRY), RequeueAfter(5.0), id="undecided"
        ),
        pytest.param(NoStartInFlight(), RequeueAfter(None), id="resolved by others"),
        pytest.param(
            ModelPolled(RUNNING, KEY), RequeueAfter(None), id="seen after others resolved it"
        ),
    ],
)
def test_an_in_flight_start_is_polled_past_timeout(
    observation: Observation, action: Poll | RequeueAfter
) -> None:
    training = deleted(STARTING)
    decision = after(training, observation)
    assert (decision.action, decision.start_outcome) == (action, None)
    assert decision.status.run == STARTING.run
    # A suspended resource makes no calls: others resolve its start.
    held = after(deleted(STARTING, suspend=True), observation)
    assert (held.action, held.status.run) == (RequeueAfter(None), STARTING.run)


NOTHING_ACTS = InProcessState(
    start=StartState(in_flight=ENTRY, intent_seen_at=at(hours=1), not_happened_at=at(hours=2))
)


@pytest.mark.parametrize(
    ("model", "acted", "events", "reason"),
    [
        pytest.param(RUNNING, True, ["TrainingStarted", "ReleasedRunningTraining"], None, id="3"),
        pytest.param(ENDED, True, ["TrainingStarted"], "ResultNotPublished", id="4"),
        pytest.param(
            a_model(5, started_at=EIGHT, error="System error"),
            True,
            ["TrainingStarted", "TrainingFailed"],
            "SystemError",
            id="5",
        ),
        pytest.param(
            a_model(2, started_at=EIGHT),
            True,
            ["TrainingStarted", "TrainingFailed"],
            "Unknown",
            id="replaced",
        ),
        pytest.param(READY, False, [], None, id="not happened"),
    ],
)
def test_outcome_of_an_in_flight_start_resolves_it(
    model: Any,  # noqa: ANN401 - pytest's parameters are untyped
    acted: bool,  # noqa: FBT001 - the expected value
    events: list[str],
    reason: str | None,
) -> None:
    training = deleted(STARTING)
    decision = after(training, ModelPolled(model, KEY, in_flight=ENTRY), NOTHING_ACTS)
    run_start_time = EIGHT if acted else None
    assert decision.start_outcome == StartOutcome(ENTRY, acted=acted, run_start_time=run_start_time)
    assert (decision.action, decision.publish) == (RequeueAfter(None), False)
    status = decision.status
    assert (status.failure and status.failure.reason) == reason
    assert status.run is not None
    assert (status.run.intent, status.run.retry_at) == (None, None)
    assert [item.reason for item in transition_events(STARTING, status)] == events
    # No action follows.
    again = after(training.with_status(status), Triggered(), decision.state)
    assert (again.action, again.status) == (RequeueAfter(None), status)


@pytest.mark.parametrize("suspend", [False, True], ids=["", "suspended"])
@pytest.mark.parametrize("answer", ANSWERS)
def test_the_answer_to_a_start_is_recorded_and_nothing_follows(
    answer: str,
    suspend: bool,  # noqa: FBT001 - both ways
) -> None:
    training = deleted(STARTING, suspend=suspend)
    decision = after(training, ANSWERS[answer], InProcessState(start=StartState(in_flight=ENTRY)))
    unknown = answer == FailureKind.AMBIGUOUS.name
    assert isinstance(decision.action, RequeueAfter)
    assert (decision.action.seconds is not None) == unknown
    assert decision.publish is False
    run = decision.status.run
    assert (run is not None and run.intent is not None) == unknown
    if answer != "aborted":
        assert (decision.start_outcome is None) == unknown
    then = after(training.with_status(decision.status), Triggered(), decision.state)
    assert then.action == (Poll() if unknown and not suspend else RequeueAfter(None))


# Events.


@pytest.mark.parametrize(
    ("status", "is_reported"),
    [
        pytest.param(followed(), True, id="running"),
        pytest.param(followed(failure=GONE), True, id="running, blocked"),
        pytest.param(a_status(), False, id="new"),
        pytest.param(TO_RETRY, False, id="to be retried"),
        pytest.param(UNPUBLISHED, False, id="to be published"),
        pytest.param(SUCCEEDED, False, id="succeeded"),
    ],
)
def test_a_released_run_is_announced_once(
    status: TrainingStatus,
    is_reported: bool,  # noqa: FBT001 - the expected value
) -> None:
    first = after(deleted(status), Triggered()).status
    events = [
        item
        for item in transition_events(status, first)
        if item.reason == "ReleasedRunningTraining"
    ]
    assert [item.is_warning for item in events] == [True] * is_reported
    # No second event after a restart or at the removal.
    second = after(deleted(first), Triggered()).status
    assert transition_events(first, second) == ()
    assert deletion_events(second) == ()


def test_a_start_that_others_resolve_is_announced_once() -> None:
    suspended = deleted(STARTING, suspend=True)
    first = after(suspended, Triggered()).status
    assert [item.reason for item in transition_events(STARTING, first)] == [
        "ReleasedRunningTraining"
    ]
    assert "If the start has acted" in (first.message or "")
    # A resource that is resumed before others need the model polls the outcome.
    resumed = deleted(first)
    assert after(resumed, Triggered()).action == Poll()
    waiting = after(resumed, ModelPolled(a_model(7), KEY, in_flight=ENTRY)).status
    second = after(resumed.with_status(waiting), ModelPolled(RUNNING, KEY, in_flight=ENTRY)).status
    events = (*transition_events(first, waiting), *transition_events(waiting, second))
    assert [item.reason for item in events] == ["TrainingStarted"]


def test_unresolved_start_is_announced_at_the_removal() -> None:
    waiting = after(deleted(STARTING), PollFailed(AMBIGUOUS)).status
    assert waiting.conditions[0].reason != "BeingDeleted"
    assert [item.reason for item in deletion_events(waiting)] == ["ReleasedRunningTraining"]


@pytest.mark.parametrize(
    ("status", "words"),
    [(STARTING, "The training may run at the API"), (followed(), "its training runs at the API")],
    ids=["in flight", "running"],
)
def test_release_of_a_possible_run_is_worded_with_may(status: TrainingStatus, words: str) -> None:
    (item,) = deletion_events(status)
    assert words in item.message


# Competing trainings.


@pytest.mark.parametrize(
    ("status", "model"),
    [
        pytest.param(a_status(last_observed_at=EIGHT), READY, id="waits"),
        pytest.param(followed(), READY, id="running"),
        pytest.param(followed(), RUNNING, id="its run is to be adopted"),
    ],
)
def test_a_resource_being_deleted_does_not_hold_its_model(
    status: TrainingStatus,
    model: Any,  # noqa: ANN401 - pytest's parameters are untyped
) -> None:
    older, younger = a_training(status=status), a_training(name="younger", created_at=at(hours=1))
    assert model_in_use(younger, [older], model) is not None
    assert model_in_use(younger, [replace(older, is_being_deleted=True)], model) is None


@pytest.mark.parametrize("suspend", [False, True])
def test_deleted_starters_outcome_counts_then_it_is_gone(
    suspend: bool,  # noqa: FBT001 - both ways
) -> None:
    asker = a_training(name="asker")
    ctx = a_context(asker, at(hours=240), NOTHING_ACTS)

    def outcome(status: TrainingStatus, model: Any) -> StartOutcome | Decision:  # noqa: ANN401 - a model
        starter = deleted(status, suspend=suspend)
        return resolve_other_start(ctx, ModelPolled(model, KEY, (starter,)), ENTRY)[1]

    assert outcome(STARTING, RUNNING) == StartOutcome(ENTRY, acted=True, run_start_time=EIGHT)
    assert outcome(STARTING, READY) == StartOutcome(ENTRY, acted=False)
    recorded = followed(started_at=at(hours=1))
    assert outcome(recorded, READY) == StartOutcome(ENTRY, acted=True, run_start_time=at(hours=1))


def test_deleted_resource_counts_for_stale_reads_and_rebuilds() -> None:
    seen = ModelPolled(READY, KEY, (deleted(followed()),))
    assert is_stale(a_training(name="other"), seen)
    assert set(rebuilt([deleted(STARTING)], 0).in_flight_starts) == {7}


def test_deletion_leaves_the_start_queue() -> None:
    life = Life()
    life.polls(READY)
    life.is_queued()
    life.training = replace(life.training, is_being_deleted=True)
    assert not isinstance(life.wake_ups().action, CheckQueue)
    assert life.status.queue is None
