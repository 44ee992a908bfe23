"""An in-flight start of another resource than the one that needs the model."""

from datetime import timedelta
from typing import Any

import pytest

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.api.status import Baseline, HistoryEntry, Intent, TrainingStatus
from scriptix_operator.core.decide import decide
from scriptix_operator.core.ledger.ledger import (
    InFlightStart,
    LatestRun,
    Ledger,
    StartOutcome,
    with_start_begun,
)
from scriptix_operator.core.model.remote import FailureKind, RemoteModel
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.reconcile.in_process_state import InProcessState, PollState, StartState
from scriptix_operator.core.reconcile.vocabulary import (
    AcquireStart,
    Decision,
    KeyUse,
    ModelPolled,
    RequeueAfter,
    StartGranted,
)
from scriptix_operator.core.start.resolution import recorded_outcome, resolve_other_start
from scriptix_operator.core.status.failures import failure
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
)

BEFORE = EIGHT - timedelta(days=30)
READY = a_model(2, started_at=BEFORE)
BASELINE = Baseline(training_status=2, started_training_at=BEFORE)


def intending(attempt: int = 1, **facts: Any) -> TrainingStatus:  # noqa: ANN401 - of status
    """The status of a start whose outcome is not recorded."""
    intent = Intent(attempt=attempt, at=EIGHT, key_fingerprint=KEY.fingerprint)
    run = a_run(attempt=attempt, intent=intent, baseline=BASELINE, claimed_at=EIGHT)
    return a_status(run=run, **facts)


def a_starter(status: TrainingStatus | None = None, **facts: Any) -> Training:  # noqa: ANN401
    """The starter of the in-flight start; by default its status has the intent."""
    return a_training(name="starter", status=intending() if status is None else status, **facts)


ENTRY = with_start_begun(Ledger(), a_starter(), EIGHT)[1]
"""The in-flight start in the ledger."""
NEVER = FailureReason.UNAUTHORIZED

POLLS = {
    "ours": a_model(3, started_at=EIGHT),
    "ended": a_model(4, started_at=EIGHT),
    "consumed": a_model(2, started_at=EIGHT),
    "not happened": READY,
    "undecided": a_model(7),
    "stale": a_model(2, started_at=BEFORE - timedelta(days=1)),
}
HELD, UNKNOWN, ACTED, NOTHING = "ModelInUse", "StartOutcomeUnknown", "acted", "nothing"

FREE = (ACTED, ACTED, ACTED, NOTHING, UNKNOWN, UNKNOWN)
"""The start's resource does not need the outcome any more."""
PATIENT = (HELD, HELD, HELD, NOTHING, UNKNOWN, UNKNOWN)
"""The start's resource cannot poll now, but needs the outcome later."""
BUSY = (HELD,) * 6
"""The start's resource polls the outcome itself."""
DONE, VOID = (ACTED,) * 6, (NOTHING,) * 6
"""A status has the outcome of the start."""

OTHER_RUN = a_status(
    run=a_run(id="run-2", token="v2"),
    history=(HistoryEntry(id="run-1", outcome="Failed"),),
)
STARTERS = {
    "gone": (None, FREE),
    "starting": (a_starter(), BUSY),
    "suspended": (a_starter(suspend=True), PATIENT),
    "blocked": (a_starter(intending(failure=failure(NEVER, "HTTP 401"))), PATIENT),
    "timed out": (
        a_starter(
            intending(failure=failure(FailureReason.TIMED_OUT, "too long"), finished_at=at(hours=9))
        ),
        FREE,
    ),
    "timed out and suspended": (
        a_starter(
            intending(
                failure=failure(FailureReason.TIMED_OUT, "too long"), finished_at=at(hours=9)
            ),
            suspend=True,
        ),
        FREE,
    ),
    "at another run": (a_starter(OTHER_RUN), FREE),
    "without a run": (a_starter(a_status()), FREE),
    "followed": (a_starter(followed(started_at=EIGHT)), DONE),
    "before its intent, or withdrawn": (a_starter(a_status(run=a_run())), FREE),
    "at the next attempt": (a_starter(a_status(run=a_run(attempt=2, baseline=BASELINE))), VOID),
    "starting its next attempt": (a_starter(intending(attempt=2)), VOID),
    "of its name": (a_starter(intending(), uid="another"), FREE),
}


def outcome_of(
    asker: Training, model: RemoteModel, *competitors: Training, entry: InFlightStart = ENTRY
) -> tuple[str, StartOutcome | Decision]:
    """The decision after all waits have passed."""
    long_ago = EIGHT - timedelta(hours=1)
    state = InProcessState(
        start=StartState(in_flight=entry, intent_seen_at=long_ago, not_happened_at=long_ago)
    )
    ctx = a_context(asker, EIGHT, state)
    after, outcome = resolve_other_start(ctx, ModelPolled(model, KEY, competitors), entry)
    if isinstance(outcome, Decision):
        return outcome.status.conditions[0].reason, outcome
    assert outcome.in_flight == entry
    assert after.state == replace(
        state, start=replace(state.start, in_flight=None, intent_seen_at=None, not_happened_at=None)
    ) or (after.state == state)
    return (ACTED if outcome.acted else NOTHING), outcome


@pytest.mark.parametrize("poll", POLLS)
@pytest.mark.parametrize("state", STARTERS)
def test_start_outcome_follows_the_model_and_its_resource(state: str, poll: str) -> None:
    starter, expected = STARTERS[state]
    asker = a_training(name="asker")
    competitors = () if starter is None else (starter,)
    what, outcome = outcome_of(asker, POLLS[poll], *competitors)
    assert what == expected[list(POLLS).index(poll)]
    if isinstance(outcome, StartOutcome):
        assert outcome.sent
        run_start_time = POLLS[poll].started_at
        known = EIGHT if expected is DONE else run_start_time if outcome.acted else None
        assert outcome.run_start_time == known


@pytest.mark.parametrize("poll", POLLS)
@pytest.mark.parametrize("namespace", ["team-a", "team-b"])
def test_start_of_an_unlisted_starter_is_not_resolved(namespace: str, poll: str) -> None:
    """The starter may exist, and resolves its start when the operator can read it."""
    asker = a_training(name="asker", namespace=namespace)
    long_ago = EIGHT - timedelta(hours=1)
    state = InProcessState(
        start=StartState(in_flight=ENTRY, intent_seen_at=long_ago, not_happened_at=long_ago)
    )
    seen = ModelPolled(POLLS[poll], KEY, in_flight=ENTRY, is_starter_unlisted=True)
    decision = decide(asker, seen, EIGHT, state)
    assert (decision.status.conditions[0].reason, decision.start_outcome) == (HELD, None)
    assert isinstance(decision.action, RequeueAfter)
    assert ("starter" in (decision.status.message or "")) == (namespace == "team-a")


def test_start_missing_in_its_starters_status_is_polled() -> None:
    """A status restored from a backup, or aborted while the POST was sent."""
    assert outcome_of(a_starter(a_status()), POLLS["ours"])[0] == ACTED
    assert outcome_of(a_starter(a_status()), POLLS["not happened"])[0] == NOTHING
    assert outcome_of(a_starter(a_status(run=a_run())), POLLS["ours"])[0] == ACTED


@pytest.mark.parametrize("state", ["starting", "suspended"])
def test_starter_is_named_in_its_own_namespace_only(state: str) -> None:
    starter, _ = STARTERS[state]
    assert starter is not None
    _, near = outcome_of(a_training(), POLLS["ours"], starter)
    foreign = replace(starter, key=TrainingKey("team-b", "secret-project"))
    _, far = outcome_of(a_training(), POLLS["ours"], foreign)
    assert isinstance(near, Decision)
    assert isinstance(far, Decision)
    assert (near.status.message or "").startswith("Resource starter has started this model")
    events = far.status.message or ""
    assert events.startswith("A resource in another namespace has started this model")
    assert "team-b" not in events
    assert "secret-project" not in events
    assert (near.action, near.status.queue, near.start_outcome) == (RequeueAfter(60), None, None)


@pytest.mark.parametrize(
    ("run", "known"),
    [
        pytest.param(None, None, id="no run"),
        pytest.param(a_run(id="run-2", ownership="Owned"), None, id="another run"),
        pytest.param(intending().run, None, id="the intent"),
        pytest.param(a_run(), None, id="before the intent, or cancelled"),
        pytest.param(a_run(ownership="Owned"), (True, None), id="ours, seen by no poll"),
        pytest.param(
            a_run(ownership="Owned", started_training_at=BEFORE), (True, BEFORE), id="ours"
        ),
        pytest.param(
            a_run(ownership="Unconfirmed", started_training_at=BEFORE),
            (True, BEFORE),
            id="perhaps ours",
        ),
        pytest.param(intending(attempt=2).run, (False, None), id="the next intent"),
    ],
)
def test_status_is_recorded_before_the_start_is_resolved(
    run: Any,  # noqa: ANN401 - pytest's parameters are untyped
    known: tuple[bool, Any] | None,
) -> None:
    starter = a_starter(a_status(run=run, started_at=EIGHT))
    settled = recorded_outcome(ENTRY, starter)
    assert (settled and (settled.acted, settled.run_start_time)) == known
    assert recorded_outcome(ENTRY, replace(starter, uid="another")) is None
    # The start of a later attempt says nothing before its outcome is known.
    later = replace(ENTRY, attempt=2)
    if run is not None and run.intent is not None:
        assert recorded_outcome(later, starter) is None


@pytest.mark.parametrize("known_to", ["the ledger", "a competitor", "the history"])
def test_poll_older_than_a_known_training_decides_no_start(known_to: str) -> None:
    """The stale read equals the baseline only because it is as old."""
    past = (HistoryEntry(id="run-0", started_training_at=EIGHT, outcome="Failed"),)
    competitor = a_training(name="competitor", status=a_status(history=past))
    latest_run = LatestRun(at=EIGHT) if known_to == "the ledger" else None
    competitors = (competitor,) if known_to == "a competitor" else ()
    history = past if known_to == "the history" else ()
    old = ModelPolled(READY, KEY, competitors, ENTRY, latest_run)
    for status in (a_status(history=history), intending(history=history)):
        is_own = status.run is not None
        life = Life(a_starter(status) if is_own else a_training(name="asker", status=status))
        life.state = InProcessState(
            start=StartState(in_flight=ENTRY, intent_seen_at=BEFORE, not_happened_at=BEFORE)
        )
        life.wake_ups()
        decision = life.learns(old)
        assert (life.reason, decision.start_outcome) == (UNKNOWN, None)
        assert life.state.start.not_happened_at is None


# Resolution over time, with the ledger.


def of(entry: InFlightStart, training: Training | None = None, *competitors: Training) -> Life:
    """A resource, a ledger with one in-flight start, and the competitors."""
    training = training or a_training(poll_interval_seconds=1)
    life = Life(training)
    life.ledger = Ledger(serial=entry.serial, in_flight_starts={7: entry})
    assert all(competitor.uid != training.uid for competitor in competitors)
    return life


def recreated(**spec: Any) -> Training:  # noqa: ANN401 - values of spec fields
    """Another resource with the name of the starter."""
    return a_training(name="starter", uid="recreated", poll_interval_seconds=1, **spec)


def freed_after(life: Life, model: RemoteModel, *competitors: Training, ctx: float = 0.5) -> float:
    """Poll every `step` seconds until the start is resolved."""
    since = life.now
    life.polls(model, competitors=competitors)
    while life.entry is not None:
        assert not isinstance(life.action, AcquireStart)
        life.waits(ctx).polls(model, competitors=competitors)
        assert (life.now - since).total_seconds() < 600
    return (life.now - since).total_seconds()


def test_start_of_a_deleted_starter_is_resolved_before_another() -> None:
    """W + P + G after this process first saw the start, then two polls that agree, 2 s apart."""
    life = of(ENTRY)
    life.waits(3600).polls(READY)
    assert (life.action, life.reason, life.status.run) == (RequeueAfter(2), UNKNOWN, None)
    assert freed_after(life, READY) == 47
    assert isinstance(life.action, AcquireStart)
    assert life.state == InProcessState(polls=PollState(answered_at=life.now))


def test_another_in_flight_start_restarts_the_wait() -> None:
    life = of(ENTRY)
    life.polls(READY)
    life.waits(45).polls(READY)
    assert life.state.start.not_happened_at is not None
    new = replace(ENTRY, serial=ENTRY.serial + 1)
    life.ledger = replace(life.ledger, in_flight_starts={7: new})
    life.waits(1.5)
    assert freed_after(life, READY) == 47


def test_agreement_of_polls_is_lost_with_a_restart() -> None:
    life = of(ENTRY)
    life.polls(READY)
    life.waits(45).polls(READY)
    life.waits(1.5).restarts()
    assert freed_after(life, READY) == 47


def test_inconclusive_poll_breaks_the_agreement() -> None:
    life = of(ENTRY)
    life.polls(READY)
    life.waits(46).polls(READY)
    life.waits(1).polls(POLLS["stale"])
    life.waits(1).polls(READY)
    assert life.entry is not None
    life.waits(2).polls(READY)
    assert life.entry is None


@pytest.mark.parametrize(("state", "phase"), [(3, "Running"), (4, "Succeeded"), (5, "Failed")])
def test_recreated_resource_takes_over_the_run_of_its_name(state: int, phase: str) -> None:
    life = of(ENTRY, recreated(log={"collect": "Never"}))
    life.polls(a_model(state, started_at=EIGHT, progress=0))
    assert (life.entry, life.status.phase) == (None, phase)
    assert life.run.ownership == "Unconfirmed"
    assert life.ledger.latest_runs[7].at == EIGHT


@pytest.mark.parametrize("state", [1, 2])
def test_recreated_resource_learns_that_its_run_was_consumed(state: int) -> None:
    life = of(ENTRY, recreated(run_token="v1"))
    life.polls(a_model(state, started_at=EIGHT))
    assert (life.entry, life.status.phase, life.reason) == (None, "Failed", "Unknown")
    assert "before the operator could read the outcome" in (life.status.message or "")
    assert (life.run.token, life.run.ownership) == ("v1", "Unconfirmed")
    assert life.status.started_at == EIGHT
    # The run is over: another request starts the model again.
    life.edit(run_token="v2").waits(1).polls(a_model(2, started_at=EIGHT))
    assert isinstance(life.action, AcquireStart)


@pytest.mark.parametrize(
    "other",
    [
        a_training(name="other", poll_interval_seconds=1),
        a_training(name="starter", namespace="team-b", poll_interval_seconds=1),
    ],
    ids=["of another name", "of another namespace"],
)
def test_consumed_run_does_not_affect_other_names(
    other: Training,
) -> None:
    life = of(ENTRY, other)
    life.polls(POLLS["consumed"])
    assert life.entry is None
    assert (life.status.phase, life.status.run) == ("Pending", None)
    assert isinstance(life.action, AcquireStart)


def test_consumed_run_does_not_affect_a_recreated_later_run() -> None:
    life = of(ENTRY, replace(recreated(run_token="v2"), status=OTHER_RUN))
    life.polls(POLLS["consumed"])
    assert life.entry is None
    assert isinstance(life.action, AcquireStart)


def test_suspended_starter_may_repeat_a_start_not_happened() -> None:
    starter = a_starter(suspend=True)
    life = of(ENTRY, None, starter)
    assert freed_after(life, READY, starter) == 47
    assert isinstance(life.action, AcquireStart)
    # The starter resumes: its intent has no in-flight start now, and it begins again.
    resumed = Life(a_starter(suspend=False), ledger=Ledger(serial=9))
    resumed.polls(READY)
    assert isinstance(resumed.action, AcquireStart)
    assert resumed.status.run is None


def test_fixed_starter_resolves_its_own_start() -> None:
    starter = a_starter(intending(failure=failure(NEVER, "HTTP 401")))
    life = of(ENTRY, None, starter)
    life.polls(POLLS["ours"], competitors=(starter,))
    assert (life.reason, life.entry) == (HELD, ENTRY)
    fixed = Life(starter, ledger=life.ledger)
    fixed.polls(POLLS["ours"])
    assert (fixed.run.ownership, fixed.entry) == ("Unconfirmed", None)


# The resource's own intent.


@pytest.mark.parametrize("restarted", [False, True], ids=["same process", "new process"])
def test_intent_without_an_in_flight_start_is_void_at_once(
    restarted: bool,  # noqa: FBT001 - both sides
) -> None:
    life = Life(a_starter())
    if not restarted:
        life.state = InProcessState(start=StartState(intent_seen_at=EIGHT))
    life.polls(READY)
    assert isinstance(life.action, AcquireStart)
    assert life.status.run is None
    assert life.state == InProcessState(polls=PollState(answered_at=life.now))


def test_void_intent_keeps_the_baseline() -> None:
    life = Life(a_starter(intending(attempt=3)))
    life.polls(READY)
    assert isinstance(life.action, AcquireStart)
    assert (life.run.attempt, life.run.baseline, life.run.intent) == (3, BASELINE, None)
    assert life.run.claimed_at is None
    key = KeyUse(KEY.source, "a new key")
    life.learns(StartGranted(a_model(2, started_at=BEFORE, name="renamed"), key))
    assert life.run.intent is not None
    assert (life.run.intent.attempt, life.run.baseline) == (3, BASELINE)
    # An earlier lost attempt that acted is not followed by another start.
    life = Life(a_starter(intending(attempt=3)))
    life.polls(POLLS["ours"])
    assert life.run.ownership == "Unconfirmed"


def test_a_void_intent_of_a_rerun_keeps_its_request() -> None:
    past = (HistoryEntry(id="run-0", started_training_at=BEFORE, outcome="Succeeded"),)
    life = Life(a_starter(intending(history=past)))
    life.polls(READY)
    assert isinstance(life.action, AcquireStart)
    assert (life.run.id, life.run.intent, life.run.baseline) == ("run-1", None, None)


def test_intent_of_another_attempt_is_void() -> None:
    life = Life(a_starter(intending(attempt=2)))
    life.ledger = Ledger(serial=1, in_flight_starts={7: ENTRY})
    life.polls(READY)
    assert (life.entry, life.run.attempt, life.run.intent) == (None, 2, None)
    assert isinstance(life.action, AcquireStart)


def test_start_left_in_flight_by_a_crash_is_resolved_by_its_run() -> None:
    life = Life(a_starter(followed(started_at=EIGHT)))
    life.ledger = Ledger(serial=1, in_flight_starts={7: ENTRY})
    life.polls(a_model(3, started_at=EIGHT, progress=5))
    assert life.entry is None
    assert life.ledger.latest_runs[7].at == EIGHT


def test_followed_run_does_not_resolve_a_foreign_start() -> None:
    life = Life(a_training(name="asker", status=followed(started_at=EIGHT)))
    life.ledger = Ledger(serial=1, in_flight_starts={7: ENTRY})
    life.polls(a_model(3, started_at=EIGHT, progress=5))
    assert life.entry == ENTRY


@pytest.mark.parametrize("kind", [FailureKind.NOT_SENT, FailureKind.RATE_LIMITED])
def test_definite_refusal_resolves_the_start(
    kind: FailureKind,
) -> None:
    life = Life(a_training(poll_interval_seconds=1)).intends(READY)
    life.is_refused(kind)
    assert life.entry is None
    sent = kind is not FailureKind.NOT_SENT
    assert bool(life.ledger.charges.get(KEY.fingerprint)) == sent


def test_ledger_learns_the_start_time_that_polls_show() -> None:
    life = Life().intends(a_model(2, started_at=EIGHT)).is_accepted()
    assert life.ledger.latest_runs == {7: LatestRun(at=EIGHT, superseded=True)}
    life.state = InProcessState()
    life.waits(60).polls(a_model(3, started_at=at(minutes=5)))
    assert life.ledger.latest_runs == {7: LatestRun(at=at(minutes=5))}
    # Once: otherwise each poll would write to the ledger.
    assert life.waits(60).polls(a_model(3, started_at=at(minutes=5))).start_outcome is None
