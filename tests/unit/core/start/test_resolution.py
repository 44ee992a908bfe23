"""A start whose outcome is not known, by the table in docs/start-protocol.md."""

from datetime import datetime, timedelta

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.status import Baseline, HistoryEntry
from scriptix_operator.core.ledger.ledger import Ledger
from scriptix_operator.core.model.remote import FailureKind, RemoteModel
from scriptix_operator.core.reconcile.context import Durations
from scriptix_operator.core.reconcile.in_process_state import (
    InProcessState,
    LogFetchState,
    PollState,
)
from scriptix_operator.core.reconcile.vocabulary import (
    AcquireStart,
    ModelPolled,
    Poll,
    Post,
    RequeueAfter,
)
from scriptix_operator.core.start.resolution import (
    ObservedOutcome,
    compare,
    recorded_outcome,
    resolve,
)
from tests.unit.core.builders import (
    EIGHT,
    KEY,
    Life,
    a_context,
    a_model,
    a_run,
    a_status,
    a_training,
    at,
    followed,
    metrics,
)

BEFORE = EIGHT - timedelta(days=30)
STALE = BEFORE - timedelta(days=30)
OURS, CONSUMED = ObservedOutcome.OURS, ObservedOutcome.CONSUMED
NOT_HAPPENED, UNDECIDED = ObservedOutcome.NOT_HAPPENED, ObservedOutcome.UNDECIDED

RUN_START_TIMES = {"changed": EIGHT, "same": BEFORE, "absent": None, "stale": STALE}

TABLE: dict[tuple[int, str], tuple[ObservedOutcome, ObservedOutcome]] = {
    # (polled status, run start time): (baseline was 2, baseline was 4 or 5)
    (3, "changed"): (OURS, OURS),
    (3, "same"): (OURS, OURS),
    (3, "absent"): (OURS, OURS),
    (3, "stale"): (UNDECIDED, UNDECIDED),
    (4, "changed"): (OURS, OURS),
    (4, "same"): (OURS, NOT_HAPPENED),
    (4, "absent"): (OURS, UNDECIDED),
    (4, "stale"): (UNDECIDED, UNDECIDED),
    (5, "changed"): (OURS, OURS),
    (5, "same"): (OURS, NOT_HAPPENED),
    (5, "absent"): (OURS, UNDECIDED),
    (5, "stale"): (UNDECIDED, UNDECIDED),
    (1, "changed"): (CONSUMED, CONSUMED),
    (1, "same"): (NOT_HAPPENED, NOT_HAPPENED),
    (1, "absent"): (NOT_HAPPENED, NOT_HAPPENED),
    (1, "stale"): (UNDECIDED, UNDECIDED),
    (2, "changed"): (CONSUMED, CONSUMED),
    (2, "same"): (NOT_HAPPENED, NOT_HAPPENED),
    (2, "absent"): (NOT_HAPPENED, NOT_HAPPENED),
    (2, "stale"): (UNDECIDED, UNDECIDED),
    **{
        (odd, run_start_time): (UNDECIDED, UNDECIDED)
        for odd in (0, 6, -3)
        for run_start_time in RUN_START_TIMES
    },
}  # fmt: skip


@pytest.mark.parametrize("baseline", [2, 4, 5], ids=lambda b: f"baseline {b}")
@pytest.mark.parametrize(("state", "run_start_time"), TABLE, ids=str)
def test_an_ambiguous_start_is_compared_with_the_baseline(
    state: int, run_start_time: str, baseline: int
) -> None:
    before = Baseline(training_status=baseline, started_training_at=BEFORE)
    seen = a_model(state, started_at=RUN_START_TIMES[run_start_time])
    assert compare(before, seen) is TABLE[state, run_start_time][baseline != 2]


@pytest.mark.parametrize(
    ("state", "run_start_time", "observed"),
    [
        (1, None, NOT_HAPPENED),
        (1, EIGHT, CONSUMED),
        (2, None, NOT_HAPPENED),
        (2, EIGHT, CONSUMED),
        (3, None, OURS),
        (3, EIGHT, OURS),
        (4, None, OURS),
        (4, EIGHT, OURS),
        (5, None, OURS),
        (5, EIGHT, OURS),
    ],
)
def test_untrained_model_has_no_run_start_time_to_compare(
    state: int, run_start_time: datetime | None, observed: ObservedOutcome
) -> None:
    assert (
        compare(Baseline(training_status=2), a_model(state, started_at=run_start_time)) is observed
    )


def test_intent_without_an_in_flight_start_was_never_sent() -> None:
    life = Life().intends(READY)
    life.ledger = Ledger()
    life.restarts().polls(READY)
    assert isinstance(life.action, AcquireStart)
    assert life.status.run is None


READY = a_model(2, started_at=BEFORE)
"""The model, unchanged by the start."""


def an_unknown_start(*, reset: bool = False) -> Life:
    """A POST without a reply."""
    life = Life(a_training(poll_interval_seconds=1)).intends(READY)
    life.is_refused(FailureKind.AMBIGUOUS, message="no reply in time", reset_seen=reset)
    assert (life.status.phase, life.reason) == ("Starting", "StartOutcomeUnknown")
    assert life.run.intent is not None
    return life


@pytest.mark.parametrize("state", [3, 4, 5])
def test_owned_run_needs_one_poll(state: int) -> None:
    life = an_unknown_start().waits(60)
    life.polls(READY)
    life.state = replace(life.state, start=replace(life.state.start, refusals=2))
    life.waits(1).polls(a_model(state, started_at=EIGHT, progress=0, metrics=metrics()))
    assert life.run.ownership == "Unconfirmed"
    assert life.run.intent is None
    assert life.status.phase == {3: "Running", 4: "Succeeded", 5: "Failed"}[state]
    assert life.status.started_at == EIGHT
    assert life.run.claimed_at == EIGHT  # the intent's time
    assert "TrainingStarted" in life.event_reasons
    assert life.state == InProcessState(
        log_fetches=LogFetchState(is_wanted=True), polls=PollState(answered_at=life.now)
    )


@pytest.mark.parametrize("state", [3, 4, 5])
def test_run_with_the_baselines_start_time_needs_two_polls(
    state: int,
) -> None:
    """A stale read may show the previous run; then the next poll shows the model as it is."""
    old = a_model(state, started_at=BEFORE, progress=0, metrics=metrics())
    life = an_unknown_start()
    life.waits(1).polls(old)
    assert (life.status.phase, life.reason) == ("Starting", "StartOutcomeUnknown")
    life.waits(1).polls(READY)
    life.waits(1).polls(old)
    life.waits(1.5).polls(old)
    assert life.status.phase == "Starting"
    life.waits(0.5).polls(old)
    assert life.status.phase == {3: "Running", 4: "Succeeded", 5: "Failed"}[state]


_POLLS_NEEDED = {
    # The number of polls needed to own the run (0: no number is enough):
    # (polled status, baseline, whether the baseline has a run start time).
    1: [(3, 2, False)],
    2: [(3, 2, True), (3, 4, True), (4, 2, False), (4, 2, True), (5, 2, False), (5, 2, True)],
    0: [(1, 2, False), (2, 2, True), (2, 4, True), (4, 4, True), (5, 4, True), (6, 2, True)],
}
UNREADABLE = {case: polls for polls, cases in _POLLS_NEEDED.items() for case in cases}


def test_unreadable_start_time_is_not_the_same_as_none() -> None:
    seen = a_model(4, is_start_time_unreadable=True)
    assert compare(Baseline(training_status=4), seen) is UNDECIDED


@pytest.mark.parametrize(("state", "baseline", "was_trained"), UNREADABLE, ids=str)
def test_unreadable_start_time_decides_only_an_evident_start(
    state: int, baseline: int, *, was_trained: bool
) -> None:
    before = BEFORE if was_trained else None
    seen = a_model(state, is_start_time_unreadable=True, metrics=metrics())
    needed = UNREADABLE[state, baseline, was_trained]
    was = Baseline(training_status=baseline, started_training_at=before)
    assert compare(was, seen) is (OURS if needed else UNDECIDED)
    life = Life(a_training(poll_interval_seconds=1))
    if baseline == 4:
        life.runs(BEFORE).succeeds(BEFORE).edit(run_token="v2").waits(60)
    life.intends(a_model(baseline, started_at=before))
    life.is_refused(FailureKind.AMBIGUOUS).waits(60)
    for poll in (1, 2, 3):
        life.waits(2).polls(seen)
        assert (life.run.ownership is not None) == (0 < needed <= poll)
        if life.run.ownership is not None:
            break


def test_poll_is_as_old_as_its_request() -> None:
    """A poll that was sent before the POST could act, and answered after, decides nothing."""
    life = an_unknown_start().waits(60)
    early = at(seconds=44)
    assert isinstance(life.wake_ups().action, Poll)
    life.learns(ModelPolled(READY, KEY, in_flight=life.entry, asked_at=early))
    assert life.state.start.not_happened_at is None
    life.polls(READY)
    asked = life.now + timedelta(seconds=1.5)
    life.waits(30).wake_ups()
    life.learns(ModelPolled(READY, KEY, in_flight=life.entry, asked_at=asked))
    assert life.run.intent is not None
    life.polls(READY)
    assert life.run.intent is None


def test_intent_of_the_same_second_is_not_mistaken() -> None:
    life = an_unknown_start()
    assert life.run.intent is not None
    other = replace(life.run.intent, nonce="another")
    run = replace(life.run, intent=other)
    life.training = life.training.with_status(replace(life.status, run=run))
    life.restarts().polls(READY)
    assert life.status.run is None  # aborted: the POST was never sent
    assert life.reason == "StartOutcomeUnknown"  # of the other intent


@pytest.mark.parametrize("state", [1, 2])
def test_replaced_run_is_consumed_and_reported(state: int) -> None:
    life = an_unknown_start()
    life.waits(5.25).polls(a_model(state, started_at=EIGHT))
    assert (life.status.phase, life.reason, life.run.intent) == ("Failed", "Unknown", None)
    assert "before the operator could read the outcome" in (life.status.message or "")
    assert (life.status.started_at, life.status.finished_at) == (EIGHT, at(seconds=5))
    assert life.run.started_training_at == EIGHT
    assert life.event_reasons[-2:] == ["TrainingStarted", "TrainingFailed"]
    life.edit(run_token="again").waits(60).polls(READY)
    assert life.status.history[0].outcome == "Unknown"


@pytest.mark.parametrize(
    "poll",
    [a_model(3, started_at=STALE), a_model(7, started_at=BEFORE), a_model(7)],
    ids=["stale", "unknown status", "unknown status without a run start time"],
)
def test_inconclusive_poll_is_repeated(poll: RemoteModel) -> None:
    life = an_unknown_start()
    for _ in range(100):
        life.waits(5).polls(poll)
    assert (life.status.phase, life.reason) == ("Starting", "StartOutcomeUnknown")
    assert life.run.attempt == 1
    assert life.event_reasons == ["StartOutcomeUnknown"]


@pytest.mark.parametrize(
    ("is_being_deleted", "most", "polls"), [(False, 60, 700), (True, 600, 150)]
)
def test_undecided_start_is_polled_with_backoff(
    most: int, polls: int, *, is_being_deleted: bool
) -> None:
    life = Life(a_training(poll_interval_seconds=60)).intends(READY)
    life.is_refused(FailureKind.AMBIGUOUS)
    life.training = replace(life.training, is_being_deleted=is_being_deleted)
    undecided = a_model(2, is_start_time_unreadable=True)
    waits = [5.0]
    while sum(waits) < timedelta(hours=10).total_seconds():
        life.waits(waits[-1]).polls(undecided)
        assert isinstance(life.action, RequeueAfter)
        assert life.action.seconds is not None
        waits.append(life.action.seconds)
    assert waits[:36] == [5.0] * 36
    assert waits == sorted(waits)
    assert waits[-1] == most
    assert len(waits) < polls
    # A run that may be the previous one is soon polled again.
    life.waits(most).polls(a_model(3, started_at=BEFORE))
    assert life.action == RequeueAfter(5.0)
    life.waits(most).polls(undecided)
    life.restarts().polls(undecided)
    assert life.action == RequeueAfter(5.0)


def asked_again_after(life: Life, model: RemoteModel, *, ctx: float = 0.5) -> float:
    """Poll every `step` seconds until the start counts as not happened."""
    since = life.now
    while life.run.intent is not None:
        life.waits(ctx).polls(model)
    assert isinstance(life.action, RequeueAfter)
    return (life.now - since).total_seconds()


def test_not_happened_waits_until_a_post_cannot_act() -> None:
    """W + P + G after the intent, then two polls that agree, 2 s apart."""
    assert asked_again_after(an_unknown_start(), READY) == 47


def test_not_happened_waits_for_the_grace_period_after_a_reset() -> None:
    assert asked_again_after(an_unknown_start(reset=True), READY) == 12


def test_grace_period_begins_with_the_reset() -> None:
    life = Life(a_training(poll_interval_seconds=1)).intends(READY).waits(29)
    life.is_refused(FailureKind.AMBIGUOUS, reset_seen=True)
    assert asked_again_after(life, READY) == 12


def test_timeout_counts_from_the_intent() -> None:
    life = Life(a_training(poll_interval_seconds=1)).intends(READY).waits(30)
    life.is_refused(FailureKind.AMBIGUOUS)
    assert asked_again_after(life, READY) == 17


def test_after_a_restart_the_wait_counts_from_the_first_poll() -> None:
    life = an_unknown_start(reset=True).waits(3600).restarts()
    assert asked_again_after(life, READY) == 47.5  # the first poll is half a second away


def test_one_stale_read_cannot_hide_a_start_that_acted() -> None:
    """A poll from before the start acted agrees with earlier polls; it must not decide."""
    life = an_unknown_start()
    life.waits(1).polls(READY)
    life.waits(45).polls(READY)  # a stale read: the POST acted at 44
    life.waits(2).polls(a_model(3, started_at=EIGHT))
    assert life.run.ownership == "Unconfirmed"


def test_two_polls_agree_only_in_succession() -> None:
    life = an_unknown_start().waits(45)
    life.polls(READY)
    life.waits(1.5).polls(a_model(7))
    life.waits(1).polls(READY)
    assert life.run.intent is not None
    life.waits(1.5).polls(READY)
    assert life.run.intent is not None
    life.waits(0.5).polls(READY)
    assert life.run.intent is None


def test_resolving_polls_are_due_when_they_can_decide() -> None:
    life = an_unknown_start()
    assert life.action == RequeueAfter(1)
    assert life.waits(5).polls(READY).action == RequeueAfter(2)
    assert life.waits(39.5).polls(READY).action == RequeueAfter(0.5)
    assert life.waits(0.5).polls(READY).action == RequeueAfter(2)
    assert life.waits(1.25).polls(READY).action == RequeueAfter(0.75)
    life.edit(poll_interval_seconds=3600)
    assert life.waits(0.5).polls(a_model(7)).action == RequeueAfter(5)


def test_other_durations_may_be_set_for_tests() -> None:
    durations = Durations(send_window=1, post_timeout=2, grace_period=3, agree=1)
    life = an_unknown_start()
    for seconds, done in ((6, False), (1, True)):
        life.waits(seconds)
        ctx = replace(a_context(life.training, life.now, life.state), durations=durations)
        assert life.entry is not None
        decision = resolve(ctx, ModelPolled(READY, KEY), life.entry)
        life.state = decision.state
        life.training = life.training.with_status(decision.status)
        assert (life.run.intent is None) is done


def lost_again(life: Life) -> Life:
    """Repeat the start, and lose its reply too."""
    life.intends(READY).is_refused(FailureKind.AMBIGUOUS)
    asked_again_after(life, READY, ctx=5)
    return life


def test_start_not_happened_repeats_with_the_first_baseline() -> None:
    life = an_unknown_start()
    asked_again_after(life, READY)
    assert (life.run.attempt, life.run.claimed_at, life.status.phase) == (2, None, "Pending")
    assert life.action == RequeueAfter(0)
    newer = a_model(2, started_at=BEFORE, name="renamed")
    life.intends(newer)
    assert life.run.attempt == 2
    assert life.run.intent is not None
    assert life.run.intent.attempt == 2
    assert life.run.baseline == Baseline(training_status=2, started_training_at=BEFORE)
    assert life.run.claimed_at == life.now
    assert (life.state.start.reset_seen, life.state.start.not_happened_at) == (False, None)


def test_each_attempt_from_the_fourth_on_waits_an_hour() -> None:
    life = an_unknown_start()
    asked_again_after(life, READY, ctx=5)
    delays = [life.action]
    for wait in (0, 0, 3600):
        life.waits(wait)
        lost_again(life)
        delays.append(life.action)
    assert delays == [RequeueAfter(seconds) for seconds in (0, 0, 3600, 3600)]
    assert life.run.attempt == 5
    life.waits(600).restarts().edit(priority=1)
    assert life.polls(READY).action == RequeueAfter(3000)
    when = f"{life.run.next_attempt_at:%Y-%m-%d %H:%MZ}"
    assert life.status.message == (
        f"The start had no effect; the operator retries the start at {when} (attempt 5)."
    )
    life.waits(3000).intends(READY)
    assert life.run.next_attempt_at is None


def test_each_start_with_unknown_outcome_is_reported() -> None:
    life = an_unknown_start()
    asked_again_after(life, READY, ctx=5)
    lost_again(life)
    assert life.event_reasons == ["StartOutcomeUnknown"] * 2


@pytest.mark.parametrize(
    ("poll", "phase"),
    [
        pytest.param(a_model(3, started_at=EIGHT, progress=1), "Running", id="it runs"),
        pytest.param(a_model(4, started_at=EIGHT), "Succeeded", id="it has succeeded"),
        pytest.param(a_model(2, started_at=EIGHT), "Failed", id="it was replaced"),
    ],
)
def test_late_acting_start_is_not_followed_by_a_second(poll: RemoteModel, phase: str) -> None:
    life = an_unknown_start()
    asked_again_after(life, READY, ctx=5)
    life.polls(READY)
    life.is_queued()
    life.waits(3600).polls(poll)
    assert (life.status.phase, life.status.queue) == (phase, None)
    assert life.run.ownership == "Unconfirmed"


def test_late_acting_start_times_out() -> None:
    """The intent was removed, and with it the time from which the timeout counts."""
    life = an_unknown_start()
    asked_again_after(life, READY, ctx=5)
    life.edit(timeout_seconds=7200).waits(3600).polls(a_model(3, started_at=EIGHT, progress=1))
    found = life.now.replace(microsecond=0)
    assert life.run.claimed_at == found
    life.now = found + timedelta(seconds=7199)
    assert isinstance(life.wake_ups().action, Poll)
    life.waits(1).wake_ups()
    assert (life.status.phase, life.reason) == ("Failed", "TimedOut")


def test_time_between_attempts_is_not_part_of_the_timeout() -> None:
    """The resource may wait in the queue; a run must not time out before it has begun."""
    life = Life(a_training(poll_interval_seconds=1, timeout_seconds=120)).intends(READY)
    life.is_refused(FailureKind.AMBIGUOUS)
    asked_again_after(life, READY, ctx=5)
    for _ in range(3):
        life.polls(READY)
        life.is_queued()
        assert life.status.phase == "Queued"
        life.waits(3600)
    life.intends(READY).is_accepted(a_model(3, started_at=at(hours=4)))
    assert life.run.claimed_at == life.now
    assert isinstance(life.waits(119).wake_ups().action, Poll)
    life.waits(1).wake_ups()
    assert life.reason == "TimedOut"


def test_unresolved_intent_times_out_from_its_write() -> None:
    life = Life(a_training(timeout_seconds=60)).intends(READY)
    life.is_refused(FailureKind.AMBIGUOUS)
    life.waits(59).polls(a_model(7))
    assert (life.status.phase, life.action) == ("Starting", RequeueAfter(1))
    life.waits(1).wake_ups()
    assert (life.status.phase, life.reason) == ("Failed", "TimedOut")


def test_run_of_another_resource_does_not_resolve_a_start() -> None:
    life = an_unknown_start()
    asked_again_after(life, READY, ctx=5)
    radiology = a_training(name="radiology", status=followed())
    life.polls(a_model(3, started_at=EIGHT), competitors=(radiology,))
    assert (life.run.ownership, life.reason) == (None, "ModelInUse")


def test_409_after_an_unknown_start_is_resolved_by_polls() -> None:
    life = an_unknown_start()
    asked_again_after(life, READY, ctx=5)
    life.intends(READY).is_refused(FailureKind.CONFLICT, code="TRAINING_IN_PROGRESS")
    assert life.reason == "StartOutcomeUnknown"
    life.waits(1).polls(a_model(3, started_at=EIGHT))
    assert life.run.ownership == "Unconfirmed"


def test_refused_rerun_after_an_unknown_start_is_not_repeated() -> None:
    done = a_model(4, started_at=BEFORE)
    past = (HistoryEntry(id="0", started_training_at=BEFORE, outcome="Succeeded"),)
    status = a_status(run=a_run(token="v2"), history=past)
    life = Life(a_training(run_token="v2", status=status))
    life.intends(done).is_refused(FailureKind.AMBIGUOUS)
    asked_again_after(life, done, ctx=5)
    life.intends(done).is_refused(FailureKind.CONFLICT, code="MODEL_NOT_READY")
    asked_again_after(life, done, ctx=5)
    assert life.waits(1).polls(done).action == RequeueAfter(60)
    assert life.reason == "WaitingForModel"


def test_resolved_start_clears_its_fields() -> None:
    life = an_unknown_start(reset=True)
    asked_again_after(life, READY)
    state = life.state
    assert (state.start.intent_seen_at, state.start.not_happened_at, state.start.reset_seen) == (
        None,
        None,
        False,
    )
    decision = (
        life.learns(ModelPolled(READY, KEY)) if not life.state.log_fetches.is_wanted else None
    )
    assert decision is not None
    assert isinstance(decision.action, AcquireStart)
    assert not isinstance(decision.action, Post)
    assert life.state == InProcessState(polls=PollState(answered_at=life.now))


def test_status_from_before_the_intent_resolves_no_start() -> None:
    """A paused process may have an old status when another has begun the start (tests/model)."""
    life = Life().intends().is_refused(FailureKind.AMBIGUOUS)
    life.waits(45).polls(a_model(2))
    life.waits(2).polls(a_model(2))
    before = life.training
    assert life.run.attempt == 2
    life.intends()
    assert life.entry is not None
    assert recorded_outcome(life.entry, before) is None
    assert recorded_outcome(life.entry, life.training) is None


def test_recreated_resource_takes_over_the_start_of_its_name() -> None:
    life = Life(a_training(existing_training="Wait")).intends()
    ledger = life.ledger
    life = Life(a_training(existing_training="Wait", uid="another"), ledger=ledger)
    life.polls(a_model(3, started_at=EIGHT))
    assert life.run.ownership == "Unconfirmed"
    assert life.status.phase == "Running"
    assert life.entry is None


def test_409_with_an_unresolved_start_does_not_own_the_run() -> None:
    life = Life(a_training(existing_training="Wait")).intends()
    ledger = life.ledger
    life.is_refused(FailureKind.CONFLICT, code="TRAINING_IN_PROGRESS")
    life.ledger = ledger  # the write failed, or the process was killed before the write
    life.restarts().polls(a_model(3, started_at=EIGHT))
    assert (life.status.phase, life.status.run) == ("Pending", None)
    assert life.entry is None


def test_request_cancelled_after_a_timeout_resolves_no_start() -> None:
    life = Life(a_training(timeout_seconds=60)).intends(READY)
    life.is_refused(FailureKind.AMBIGUOUS)
    life.waits(60).wake_ups()
    life.edit(run_token="again").wake_ups()
    life.edit(run_token="").wake_ups()
    assert (life.status.phase, life.run.intent) == ("Failed", None)
    assert life.entry is not None
    assert recorded_outcome(life.entry, life.training) is None


@pytest.mark.parametrize("state", [3, 4])
def test_run_of_a_hidden_competitor_is_no_earlier_attempt(state: int) -> None:
    life = Life().intends()
    life.is_refused(FailureKind.AMBIGUOUS)
    while life.run.intent is not None:
        life.waits(60).polls(a_model(2))
    seen = ModelPolled(a_model(state, started_at=at(minutes=30)), KEY, has_hidden_competitor=True)
    life.waits(1800).learns(seen)
    assert (life.reason, life.run.ownership) == ("ModelInUse", None)
    life.waits(60).learns(replace(seen, has_hidden_competitor=False))
    assert life.run.ownership == "Unconfirmed"
