"""First observations, reruns, and the definite replies to a start."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.api.status import Baseline, HistoryEntry, Queue, TrainingStatus
from scriptix_operator.core.model.remote import FailureKind, RemoteModel
from scriptix_operator.core.reconcile.call_results import Posted
from scriptix_operator.core.reconcile.in_process_state import InProcessState, PollState, StartState
from scriptix_operator.core.reconcile.vocabulary import (
    AcquireStart,
    Blocked,
    CheckQueue,
    ModelPolled,
    Poll,
    Post,
    QueueReached,
    RequeueAfter,
    StartAborted,
    StartLedgerNotWritable,
    StartQueued,
    Triggered,
)
from scriptix_operator.core.scheduling.start_queue import queue_entry_of
from scriptix_operator.core.status.failures import failure
from tests.unit.core.builders import (
    EIGHT,
    KEY,
    OTHER_KEY,
    Life,
    a_model,
    a_run,
    a_status,
    a_training,
    at,
    followed,
    metrics,
)

BEFORE = EIGHT - timedelta(days=30)

RESERVES = "asks for a start"
WAITS = "waits"

FIRST_OBSERVATION = {
    # training_status: what becomes of it with Adopt, Wait, Fail
    3: ("Running", WAITS, "Failed"),
    4: ("Succeeded", WAITS, "Failed"),
    5: ("Failed", WAITS, "Failed"),
}


def outcome(life: Life) -> str:
    """The result of a poll."""
    if isinstance(life.action, AcquireStart):
        return RESERVES
    return WAITS if life.status.phase == "Pending" else life.status.phase or ""


@pytest.mark.parametrize("existing", ["Adopt", "Wait", "Fail"])
@pytest.mark.parametrize("state", [3, 4, 5])
def test_existing_training_is_adopted_awaited_or_refused(state: int, existing: str) -> None:
    life = Life(a_training(existing_training=existing)).waits(0.25)
    life.polls(a_model(state, started_at=BEFORE, progress=45, metrics=metrics(), error="x"))
    expected = FIRST_OBSERVATION[state][("Adopt", "Wait", "Fail").index(existing)]
    assert outcome(life) == expected
    if existing == "Adopt":
        assert (life.run.ownership, life.run.baseline) == ("Adopted", None)
        assert life.run.claimed_at == EIGHT  # to the second, as status spells it
        assert life.run.claimed_at.microsecond == 0
        assert life.status.started_at == BEFORE
        assert life.event_reasons[0] == "TrainingAdopted"
        assert (life.run.key_source, life.run.key_fingerprint) == (KEY.source, KEY.fingerprint)
    if existing == "Fail":
        assert (life.reason, life.event_reasons) == ("StartRejected", ["StartRejected"])
        assert (life.run.ownership, life.status.finished_at) == (None, EIGHT)
        assert "spec.existingTraining is Fail" in (life.status.message or "")
        assert (life.run.key_source, life.run.key_fingerprint) == (KEY.source, KEY.fingerprint)
    if existing == "Wait":
        assert (life.status.run, life.reason) == (None, "WaitingForModel")
        assert life.action == RequeueAfter(60)


@pytest.mark.parametrize("existing", ["Adopt", "Wait", "Fail"])
@pytest.mark.parametrize("when", ["Wait", "Fail"])
@pytest.mark.parametrize("run_start_time", [None, BEFORE], ids=["never trained", "trained before"])
def test_ready_model_is_started_for_any_past(
    run_start_time: object, when: str, existing: str
) -> None:
    life = Life(a_training(existing_training=existing, when_not_ready=when))
    life.polls(a_model(2, started_at=run_start_time))
    assert outcome(life) == RESERVES


@pytest.mark.parametrize(("when", "expected"), [("Wait", WAITS), ("Fail", "Failed")])
def test_model_without_data_waits_or_fails(when: str, expected: str) -> None:
    life = Life(a_training(when_not_ready=when))
    life.polls(a_model(1))
    assert outcome(life) == expected
    assert life.event_reasons == [{"Wait": "WaitingForModel", "Fail": "StartRejected"}[when]]


@pytest.mark.parametrize("state", [0, 6, 42, -1])
@pytest.mark.parametrize("existing", ["Adopt", "Wait", "Fail"])
def test_an_unknown_status_is_never_terminal(state: int, existing: str) -> None:
    life = Life(a_training(existing_training=existing, when_not_ready="Fail"))
    life.polls(a_model(state))
    assert (outcome(life), life.reason) == (WAITS, "UnexpectedStatus")
    assert f"training_status {state}," in (life.status.message or "")
    life.waits(60).polls(a_model(2))
    assert outcome(life) == RESERVES


@pytest.mark.parametrize("states", [(1, 2), (3, 4, 2), (5, 1, 2)], ids=lambda states: f"{states}")
def test_waiting_resource_starts_once_the_model_is_ready(states: tuple[int, ...]) -> None:
    life = Life(a_training(existing_training="Wait"))
    for state in states:
        life.waits(60).polls(a_model(state, started_at=BEFORE))
    assert outcome(life) == RESERVES
    assert life.event_reasons == ["WaitingForModel"]


def test_a_model_in_use_is_neither_started_nor_adopted() -> None:
    for state in (2, 3, 4, 5):
        life = Life()
        life.polls(a_model(state), competitors=(a_training(name="radiology", status=followed()),))
        assert (outcome(life), life.reason) == (WAITS, "ModelInUse")
        assert "Resource radiology is training this model" in (life.status.message or "")
        assert life.status.run is None


def test_an_adopted_run_is_followed_to_its_end_with_its_log() -> None:
    life = Life()
    life.polls(a_model(3, started_at=BEFORE, progress=45))
    assert life.action is not None
    assert life.state.log_fetches.is_wanted
    life.stores_log()
    life.succeeds(BEFORE)
    assert life.status.phase == "Succeeded"
    assert life.published == 1


Begin = Callable[[], Life]


def a_rerun(*, existing_training: str = "Adopt") -> Life:
    """A resource whose first run has ended, with a request for another one."""
    past = (HistoryEntry(id="run-1", started_training_at=BEFORE, outcome="Succeeded"),)
    status = a_status(run=a_run(id="run-2", token="v2"), history=past)
    return Life(a_training(run_token="v2", status=status, existing_training=existing_training))


@pytest.mark.parametrize("existing", ["Adopt", "Wait", "Fail"])
@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param(a_model(1, started_at=BEFORE), WAITS, id="not ready"),
        pytest.param(a_model(2, started_at=BEFORE), RESERVES, id="ready"),
        pytest.param(a_model(3, started_at=EIGHT), WAITS, id="running"),
        pytest.param(a_model(4, started_at=BEFORE), RESERVES, id="succeeded"),
        pytest.param(a_model(5, started_at=BEFORE), RESERVES, id="failed"),
        pytest.param(a_model(4), WAITS, id="succeeded, without a run start time"),
        pytest.param(a_model(5), WAITS, id="failed, without a run start time"),
        pytest.param(a_model(6, started_at=BEFORE), WAITS, id="unknown"),
    ],
)
def test_a_rerun_never_adopts(model: RemoteModel, expected: str, existing: str) -> None:
    life = a_rerun(existing_training=existing)
    life.polls(model)
    assert outcome(life) == expected
    assert life.run.ownership is None


@pytest.mark.parametrize(
    ("state", "run_starter", "expected"),
    [
        pytest.param(2, None, RESERVES, id="ready"),
        pytest.param(4, "this", RESERVES, id="own run"),
        pytest.param(4, "competitor", RESERVES, id="run of a known resource"),
        pytest.param(5, None, WAITS, id="unknown run"),
        pytest.param(4, "adopter", WAITS, id="run that was adopted"),
        pytest.param(4, "replied", WAITS, id="run whose start time only the reply gave"),
    ],
)
def test_rerun_waits_for_a_resource_that_may_await_the_end(
    state: int, run_starter: str | None, expected: str
) -> None:
    """A start at 4 or 5 replaces a run whose end an unlisted resource may still want to read."""
    ownership = "Adopted" if run_starter == "adopter" else "Owned"
    shown = HistoryEntry(
        id="run-0",
        started_at=at(hours=1),
        started_training_at=None if run_starter == "replied" else at(hours=1),
        outcome="Failed",
        ownership=ownership,
    )
    is_own = run_starter in {"this", "adopter", "replied"}
    status = a_status(history=(shown,) if is_own else (), run=a_run())
    competitor = a_training(name="competitor", status=a_status(history=(shown,)))
    life = Life(a_training(status=status))
    life.wake_ups()
    model = a_model(state, started_at=at(hours=1))
    competitors = (competitor,) if run_starter == "competitor" else ()
    life.learns(ModelPolled(model, KEY, competitors, has_hidden_competitor=True))
    assert outcome(life) == expected
    assert (life.reason == "ModelInUse") == (expected is WAITS)
    life.learns(ModelPolled(model, KEY, competitors))
    assert outcome(life) == RESERVES


@pytest.mark.parametrize(("state", "expected"), [(2, RESERVES), (3, "Running"), (4, "Succeeded")])
def test_first_run_starts_or_adopts_beside_unlisted_namespaces(state: int, expected: str) -> None:
    life = Life(a_training(log={"collect": "Never"}))
    life.wake_ups()
    model = a_model(state, started_at=BEFORE, metrics=metrics())
    life.learns(ModelPolled(model, KEY, has_hidden_competitor=True))
    assert outcome(life) == expected


@pytest.mark.parametrize("way", ["refused", "withdrawn", "blocked", "no ledger", "not found"])
def test_a_rerun_keeps_its_age_in_the_queue_until_it_has_started(way: str) -> None:
    life = a_rerun()
    life.polls(a_model(2, started_at=BEFORE))
    life.is_queued()
    since = life.run.queued_at
    assert since is not None
    life.waits(3600)
    match way:
        case "refused":
            life.intends(a_model(2, started_at=BEFORE)).is_refused(FailureKind.RATE_LIMITED)
        case "withdrawn":
            life.intends(a_model(2, started_at=BEFORE)).learns(StartAborted())
        case "blocked":
            life.learns(Blocked(failure(FailureReason.SECRET_NOT_FOUND, "no Secret")))
        case "no ledger":
            life.learns(StartLedgerNotWritable())
        case _:
            life.poll_fails(FailureKind.NOT_FOUND)
            life.waits(5).poll_fails(FailureKind.NOT_FOUND)
    assert life.status.queue is None
    assert queue_entry_of(life.training, life.now).since == since


def test_a_rerun_that_is_refused_at_once_has_waited_since_then() -> None:
    life = a_rerun().intends(a_model(2, started_at=BEFORE))
    begun = life.now
    life.is_refused(FailureKind.RATE_LIMITED).waits(3600)
    assert queue_entry_of(life.training, life.now).since == begun


@pytest.mark.parametrize("state", [1, 2, 3, 4, 5])
def test_stale_read_starts_nothing(state: int) -> None:
    """The poll's run start time is older than the run in history; a baseline would be later."""
    life = a_rerun()
    life.polls(a_model(state, started_at=BEFORE - timedelta(days=1)))
    assert (outcome(life), life.reason) == (WAITS, "UnexpectedStatus")
    life.waits(60).polls(a_model(2, started_at=BEFORE))
    assert outcome(life) == RESERVES


def test_newest_known_run_start_time_decides_what_is_stale() -> None:
    life = a_rerun()
    older = HistoryEntry(
        id="run-0", started_training_at=BEFORE - timedelta(days=9), outcome="Failed"
    )
    nothing = HistoryEntry(id="run-x", outcome="Failed")
    past = (nothing, *life.status.history, older)
    life.training = life.training.with_status(replace(life.status, history=past))
    life.polls(a_model(2, started_at=BEFORE - timedelta(days=8)))
    assert outcome(life) == WAITS


def test_stale_read_after_an_unknown_start_starts_nothing() -> None:
    baseline = Baseline(training_status=2, started_training_at=BEFORE)
    life = Life(a_training(status=a_status(run=a_run(attempt=2, baseline=baseline))))
    life.polls(a_model(2, started_at=BEFORE - timedelta(days=1)))
    assert outcome(life) == WAITS


def test_the_intent_says_everything_that_a_successor_needs() -> None:
    life = Life(a_training(run_token="v1", requested_at="t1")).waits(0.25)
    life.state = InProcessState(
        start=StartState(not_happened_at=BEFORE, intent_seen_at=BEFORE, reset_seen=True)
    )
    life.intends(a_model(2, started_at=BEFORE))
    run = life.run
    assert run.baseline == Baseline(training_status=2, started_training_at=BEFORE)
    assert run.intent is not None
    assert run.intent.model_dump() == {
        "attempt": 1,
        "at": "2025-01-16T08:00:00Z",
        "key_fingerprint": KEY.fingerprint,
        "nonce": "",
        "reply": None,
    }
    assert (run.token, run.requested_at, run.attempt) == ("v1", "t1", 1)
    assert (run.key_source, run.key_fingerprint) == (KEY.source, KEY.fingerprint)
    assert (run.ownership, run.claimed_at) == (None, EIGHT)
    assert (life.status.phase, life.reason) == ("Starting", "Starting")
    assert life.state == InProcessState(
        start=StartState(in_flight=life.entry, intent_seen_at=life.now),
        polls=PollState(answered_at=life.now),
    )


def test_start_waiting_for_quota_is_queued_and_reported_once() -> None:
    life = Life()
    life.polls(a_model(2))
    decision = life.is_queued(position=3, of=12, wait=600)
    assert (life.status.phase, life.reason) == ("Queued", "WaitingForStartQuota")
    assert decision.action == RequeueAfter(600)
    assert life.status.message == (
        "The run waits for the start quota of the API key: 3 of 12 in the queue, expected "
        "2025-01-16 08:10Z."
    )
    assert life.status.display is not None
    assert life.status.display.queue == "3/12"
    life.waits(600).polls(a_model(2))
    life.is_queued(position=1, of=9, wait=60)
    assert life.event_reasons == ["TrainingQueued"]
    life.waits(60).intends()
    assert life.status.queue is None


def test_a_wait_without_a_position_is_not_reported() -> None:
    life = Life()
    life.polls(a_model(2))
    assert life.learns(StartQueued(None, 5)).action == RequeueAfter(5)
    assert (life.status.phase, life.status.queue, life.reason) == ("Pending", None, "Observed")
    assert life.status.message == "The model can be trained; the operator schedules the start."
    # In the queue the resource asks for a start, not for the model, when it is due.
    assert life.waits(5).learns(Triggered(is_queued=True)).action == CheckQueue()
    life.learns(QueueReached())
    life.intends()
    assert life.event_reasons == []


@pytest.mark.parametrize(
    ("seconds", "phase"), [(5, "Pending"), (6, "Queued")], ids=["soon", "later"]
)
def test_a_start_within_seconds_is_not_reported_as_queued(seconds: int, phase: str) -> None:
    life = Life()
    life.polls(a_model(2))
    life.learns(StartQueued(Queue(position=1, of=1, estimated_start_at=at(seconds=seconds)), 5))
    assert life.status.phase == phase


@pytest.mark.parametrize("soon", [True, False], ids=["start within seconds", "no new position"])
def test_queued_resource_stays_queued_until_its_start(soon: bool) -> None:  # noqa: FBT001 - both ways
    life = Life()
    life.polls(a_model(2))
    life.is_queued(position=3, of=12)
    known = life.status.queue
    in_a_second = Queue(position=1, of=12, estimated_start_at=at(seconds=1))
    life.waits(1).wake_ups()
    life.learns(StartQueued(in_a_second if soon else None, 5))
    assert life.status.phase == "Queued"
    assert life.status.queue == (in_a_second if soon else known)
    assert life.reason == "WaitingForStartQuota"


def test_unknown_start_time_in_the_queue_is_not_reported() -> None:
    life = Life()
    life.polls(a_model(2))
    life.learns(StartQueued(Queue(position=1, of=1), 60))
    assert (life.status.message or "").endswith(": 1 of 1 in the queue.")


@pytest.mark.parametrize("state", [1, 3, 6])
def test_resource_that_cannot_start_leaves_the_queue(state: int) -> None:
    life = Life(a_training(existing_training="Wait"))
    life.polls(a_model(2))
    life.is_queued()
    life.waits(600).polls(a_model(state))
    assert (life.status.phase, life.status.queue) == ("Pending", None)


@pytest.mark.parametrize("state", [3, 4])
def test_training_started_by_another_user_is_adopted(state: int) -> None:
    life = Life()
    life.polls(a_model(2))
    life.is_queued()
    life.waits(600).polls(a_model(state, started_at=EIGHT))
    assert (life.run.ownership, life.status.queue) == ("Adopted", None)


# Definite replies.


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(None, id="no body"),
        pytest.param(a_model(3, started_at=EIGHT, progress=0), id="the run"),
        pytest.param(a_model(3), id="a run without a run start time"),
        pytest.param(a_model(2, started_at=BEFORE), id="the model as it was"),
        pytest.param(a_model(4, started_at=BEFORE, metrics=metrics()), id="the run before"),
        pytest.param(a_model(4, started_at=BEFORE - timedelta(days=9)), id="one long before"),
        pytest.param(a_model(99), id="an unknown status"),
        pytest.param(a_model(4, started_at=EIGHT, metrics=metrics()), id="the run, at its end"),
    ],
)
def test_accepted_start_is_owned_with_any_reply(reply: RemoteModel | None) -> None:
    life = Life().intends(a_model(2, started_at=BEFORE))
    decision = life.learns(Posted(reply))
    assert (life.status.phase, life.run.ownership, life.run.intent) == ("Running", "Owned", None)
    assert decision.action == RequeueAfter(60)
    assert life.event_reasons == ["TrainingStarted"]
    assert life.state.log_fetches.is_wanted
    named = reply is not None and reply.started_at == EIGHT
    assert life.status.started_at == (EIGHT if named else None)
    assert life.status.finished_at is None


def test_start_reply_counts_as_the_first_poll() -> None:
    life = Life().intends().is_accepted(a_model(3, started_at=EIGHT, progress=3))
    assert (life.status.progress, life.status.stage) == (3, "DataPreprocessing")
    assert life.status.message == "The run is in stage DataPreprocessing, at 3%."


@pytest.mark.parametrize("state", [1, 2, 4, 5])
@pytest.mark.parametrize(
    "reply",
    [None, a_model(3, started_at=EIGHT), a_model(2, started_at=BEFORE)],
    ids=["no body", "the run", "the model as it was"],
)
def test_accepted_start_is_never_repeated_for_a_stale_read(
    reply: RemoteModel | None, state: int
) -> None:
    life = Life().intends(a_model(2, started_at=BEFORE)).is_accepted(reply)
    for _ in range(3):
        life.waits(60).polls(a_model(state, started_at=BEFORE, metrics=metrics(), error="old"))
        assert (life.status.phase, life.run.ownership) == ("Running", "Owned")
        assert (life.status.metrics, life.status.failure) == (None, None)
    life.waits(60).polls(a_model(3, started_at=EIGHT, progress=5))
    assert (life.status.started_at, life.status.progress) == (EIGHT, 5)


@pytest.mark.parametrize(
    ("kind", "code", "expected"),
    [
        pytest.param(
            FailureKind.REJECTED,
            "INSUFFICIENT_DATA",
            ("Failed", "InsufficientData", None),
            id="400",
        ),
        pytest.param(FailureKind.REJECTED, None, ("Failed", "StartRejected", None), id="422"),
        pytest.param(FailureKind.UNAUTHORIZED, None, ("Pending", "Unauthorized", 60), id="401"),
        pytest.param(FailureKind.NOT_FOUND, None, ("Pending", "ModelNotFound", 60), id="404"),
        pytest.param(FailureKind.RATE_LIMITED, None, ("Pending", "RateLimited", 60), id="429"),
        pytest.param(
            FailureKind.NOT_SENT, None, ("Pending", "ApiUnavailable", 60), id="no connection"
        ),
        pytest.param(
            FailureKind.CONFLICT, "MODEL_NOT_READY", ("Pending", "WaitingForModel", 120), id="409"
        ),
        pytest.param(
            FailureKind.CONFLICT, None, ("Pending", "WaitingForModel", 120), id="bare 409"
        ),
        pytest.param(
            FailureKind.AMBIGUOUS, None, ("Starting", "StartOutcomeUnknown", 5), id="a time-out"
        ),
    ],
)
@pytest.mark.parametrize("begin", [Life, a_rerun], ids=["first run", "rerun"])
def test_an_answer_to_a_start_is_classified(
    kind: FailureKind, code: str | None, expected: tuple[str, str, float | None], begin: Begin
) -> None:
    phase, reason, rests = expected
    life = begin()
    rerun = life.status.run is not None
    life.intends(a_model(2, started_at=BEFORE))
    life.is_refused(kind, code=code, message="HTTP 4xx: no.")
    assert (life.status.phase, life.reason) == (phase, reason)
    assert life.action == RequeueAfter(rests)
    ambiguous = kind is FailureKind.AMBIGUOUS
    run = life.status.run
    assert (run is not None and run.intent is not None) == ambiguous
    assert (life.state.start.intent_seen_at is not None) == ambiguous or phase == "Failed"
    if phase == "Failed":
        assert life.run.claimed_at is None
    if phase == "Pending":
        # The only POST of a first run did not count; a rerun keeps its position.
        assert (run is not None) == rerun
        assert run is None or (run.claimed_at, run.baseline, run.attempt) == (None, None, 1)
        # The start may be repeated.
        life.waits(4000).polls(a_model(2, started_at=BEFORE))
        assert outcome(life) == RESERVES


def test_rejected_start_is_requested_again_after_a_fix() -> None:
    life = Life().intends().is_refused(FailureKind.REJECTED, code="INSUFFICIENT_DATA")
    assert (life.status.phase, life.event_reasons) == ("Failed", ["StartRejected"])
    life.waits(60).polls(a_model(2))
    assert life.status.phase == "Failed"
    life.edit(run_token="with-data").polls(a_model(2))
    assert outcome(life) == RESERVES


def test_conflict_with_a_running_training_is_polled_at_once() -> None:
    life = Life().intends().is_refused(FailureKind.CONFLICT, code="TRAINING_IN_PROGRESS")
    assert life.action == Poll()
    life.polls(a_model(3, started_at=EIGHT))
    assert life.run.ownership == "Adopted"


def test_unexplained_conflict_is_retried_with_backoff() -> None:
    life = Life().intends().is_refused(FailureKind.CONFLICT, code="TRAINING_IN_PROGRESS")
    waits = []
    for _ in range(8):
        life.intends().is_refused(FailureKind.CONFLICT, code="TRAINING_IN_PROGRESS")
        waits.append(life.action)
        life.waits(3600)
    assert waits == [
        RequeueAfter(seconds) for seconds in (240, 480, 960, 1920, 3600, 3600, 3600, 3600)
    ]
    assert life.intends().is_accepted().state.start.refusals == 0


@pytest.mark.parametrize(
    ("code", "phase"), [("MODEL_NOT_READY", "Failed"), ("TRAINING_IN_PROGRESS", "Pending")]
)
def test_not_ready_refusal_fails_with_when_not_ready_fail(code: str, phase: str) -> None:
    life = Life(a_training(when_not_ready="Fail", run_token="v1")).intends()
    life.is_refused(FailureKind.CONFLICT, code=code, message="HTTP 409: no.")
    assert life.status.phase == phase
    assert phase == "Pending" or life.run.token == "v1"


def test_resource_that_fails_while_queued_leaves_the_queue() -> None:
    life = Life(a_training(when_not_ready="Fail"))
    life.polls(a_model(2))
    life.is_queued()
    life.waits(60).polls(a_model(1))
    assert (life.status.phase, life.status.queue) == ("Failed", None)


@pytest.mark.parametrize("state", [4, 5])
def test_a_rerun_is_tried_once_at_a_model_that_is_done(state: int) -> None:
    life, done = a_rerun(), a_model(state, started_at=BEFORE)
    life.intends(done).is_refused(FailureKind.CONFLICT, code="MODEL_NOT_READY")
    assert life.run.refused == Baseline(training_status=state, started_training_at=BEFORE)
    for _ in range(3):
        assert life.waits(3600).polls(done).action == RequeueAfter(60)
        assert life.reason == "WaitingForModel"
    # A restart keeps the refusal.
    assert life.restarts().polls(done).action == RequeueAfter(60)
    # Another training or new data clear the refusal.
    life.waits(60).polls(a_model(state, started_at=EIGHT))
    assert outcome(life) == RESERVES
    life.waits(60).polls(a_model(2, started_at=BEFORE))
    assert outcome(life) == RESERVES


@pytest.mark.parametrize(
    ("given", "wait"), [(None, 60), (7.0, 7), (86400.0, 86400)], ids=["none", "short", "a day"]
)
def test_rate_limited_start_waits_for_retry_after(given: float | None, wait: float) -> None:
    life = Life().intends().is_refused(FailureKind.RATE_LIMITED, retry_after=given)
    assert life.action == RequeueAfter(wait)
    assert f"{at(seconds=wait):%Y-%m-%d %H:%M}Z" in (life.status.message or "")


@pytest.mark.parametrize(
    ("named", "wait"),
    [
        pytest.param(None, 5, id="none"),
        pytest.param(0.0, 5, id="at once"),
        pytest.param(30.0, 30, id="as named"),
        pytest.param(86_400.0, 45, id="no longer than a start may take to act"),
    ],
)
def test_unknown_start_is_resolved_from_the_named_time_on(named: float | None, wait: float) -> None:
    life = Life().intends()
    life.is_refused(FailureKind.AMBIGUOUS, status=503, retry_after=named)
    assert life.action == RequeueAfter(wait)
    assert (life.status.phase, life.reason) == ("Starting", "StartOutcomeUnknown")


def test_starts_back_off_while_only_polls_are_answered() -> None:
    life, waits = Life(), []
    for _ in range(5):
        life.waits(300).intends().is_refused(FailureKind.NOT_SENT, message="no connection.")
        waits.append(life.action)
        assert (life.status.message or "").startswith(
            "The operator could not send the start: no connection. The operator retries"
        )
    assert waits == [
        RequeueAfter(60),
        RequeueAfter(120),
        RequeueAfter(240),
        RequeueAfter(300),
        RequeueAfter(300),
    ]


# A key that may poll but not start (403).


def test_key_without_permission_to_start_is_blocked() -> None:
    life = Life().intends().is_refused(FailureKind.UNAUTHORIZED, message="HTTP 403: scope.")
    assert (life.status.phase, life.reason) == ("Pending", "Unauthorized")
    posts = 0
    for _ in range(60):
        life.waits(60).polls(a_model(2))
        if isinstance(life.action, AcquireStart):
            posts += 1
            life.intends().is_refused(FailureKind.UNAUTHORIZED, message="HTTP 403: scope.")
        assert life.reason == "Unauthorized"
        assert life.action == RequeueAfter(60)
    assert posts == 4


def test_a_new_key_is_tried_at_once() -> None:
    life = Life(a_training(poll_interval_seconds=3600)).intends()
    life.is_refused(FailureKind.UNAUTHORIZED, message="HTTP 403: scope.")
    assert life.action == RequeueAfter(60)
    assert life.waits(60).polls(a_model(2)).action == RequeueAfter(60)
    life.waits(60).polls(a_model(2), key=OTHER_KEY)
    assert outcome(life) == RESERVES
    assert life.status.failure is None


def test_a_refused_key_is_tried_again_when_its_time_has_come() -> None:
    life = Life().intends().is_refused(FailureKind.UNAUTHORIZED)
    assert isinstance(life.waits(119).polls(a_model(2)).action, RequeueAfter)
    assert isinstance(life.waits(1).polls(a_model(2)).action, AcquireStart)


def test_refused_key_has_no_queue_position() -> None:
    life = Life().intends().is_refused(FailureKind.UNAUTHORIZED)
    life.polls(a_model(2), key=OTHER_KEY)
    life.is_queued()
    life.polls(a_model(2))
    assert (life.status.phase, life.status.queue) == ("Pending", None)


def test_accepted_start_clears_the_refusals() -> None:
    life = Life().intends().is_refused(FailureKind.UNAUTHORIZED)
    life.waits(3600).intends().is_accepted()
    assert (life.state.start.cooldown, life.state.start.refusals) == (None, 0)


def test_aborted_second_attempt_keeps_the_first_baseline() -> None:
    baseline = Baseline(training_status=2, started_training_at=BEFORE)
    status: TrainingStatus = a_status(run=a_run(attempt=2, baseline=baseline))
    life = Life(a_training(status=status)).intends(a_model(2, started_at=BEFORE))
    life.is_refused(FailureKind.RATE_LIMITED)
    assert (life.run.baseline, life.run.intent, life.run.attempt) == (baseline, None, 2)


def test_the_post_follows_the_intent_and_nothing_else() -> None:
    life = Life()
    assert isinstance(life.polls(a_model(2)).action, AcquireStart)
    assert life.status.run is None
    life.intends()
    assert isinstance(life.action, Post)
    assert life.writes == 1
