"""core/scheduling/key_scheduler.py: one key's calls, each operation with its own quota."""

import pytest

from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.window import PastCall, Permit
from scriptix_operator.core.scheduling.calls import Answer, Call, CallPermit
from scriptix_operator.core.scheduling.circuit_breaker import FIRST_TRIAL, OpenCircuit
from scriptix_operator.core.scheduling.failure_window import LEAST_CALLS
from scriptix_operator.core.scheduling.key_scheduler import OPEN_CIRCUIT_WAIT, KeyScheduler
from scriptix_operator.core.scheduling.poll_scheduler import PollPriority, PollRequest
from scriptix_operator.core.scheduling.queue_positions import SETTLING
from scriptix_operator.core.scheduling.start_queue import queue_entry_of
from scriptix_operator.core.scheduling.wake_up import WakeUp
from tests.unit.core.builders import EIGHT, a_training

MINUTE, HOUR = 60.0, 3600.0
LIMITS = {
    Call.START: (Limit(2, HOUR),),
    Call.STATUS: (Limit(10, MINUTE),),
    Call.LOG: (Limit(10, HOUR),),
}
KEY = a_training().key
QUEUE_ENTRY = queue_entry_of(a_training(), EIGHT)
RUNNING = PollRequest(PollPriority.RUNNING, MINUTE)
SILENT = CallFailure(FailureKind.AMBIGUOUS, "no reply")
REFUSED = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=30.0)


@pytest.fixture
def scheduler() -> KeyScheduler:
    """Return a key scheduler that is created at 100."""
    return KeyScheduler(LIMITS, 100.0)


def _acquire(scheduler: KeyScheduler, call: Call, now: float) -> CallPermit:
    """Acquire the permit of a call."""
    permit: object
    if call is Call.START:
        permit = scheduler.acquire_start(QUEUE_ENTRY, now)
    elif call is Call.STATUS:
        permit = scheduler.acquire_poll(KEY, RUNNING, now)
    else:
        permit = scheduler.acquire_log(KEY, now, has_ended=True)
    assert isinstance(permit, CallPermit)
    return permit


def _key(name: str) -> TrainingKey:
    return a_training(name=name).key


@pytest.mark.parametrize("call", Call)
def test_reply_counts_only_for_its_operation(scheduler: KeyScheduler, call: Call) -> None:
    permit = _acquire(scheduler, call, 100.0)
    assert (permit.call, permit.key) == (call, KEY)
    assert [kind for kind in Call if scheduler.limiters[kind].in_flight] == [call]
    assert scheduler.complete(permit, Answer(7, REFUSED, RateLimitInfo(limit=1)), 101.0, 1.0)
    assert [kind for kind in Call if scheduler.limiters[kind].observed_limits] == [call]
    assert [kind for kind in Call if scheduler.limiters[kind].in_flight] == []


@pytest.mark.parametrize("call", Call)
def test_cancelled_call_costs_nothing(scheduler: KeyScheduler, call: Call) -> None:
    scheduler.cancel(_acquire(scheduler, call, 100.0), 101.0)
    assert scheduler.is_unspent(101.0)


def test_first_window_has_no_burst_of_polls_and_log_calls(scheduler: KeyScheduler) -> None:
    ahead = {call: scheduler.limiters[call].wait(100.0, 1) for call in Call}
    assert ahead == {Call.START: 0, Call.STATUS: 6, Call.LOG: 360}
    ahead = {call: scheduler.limiters[call].wait(100.0 + HOUR, 1) for call in Call}
    assert ahead == {Call.START: 0, Call.STATUS: 0, Call.LOG: 0}


def test_forgotten_resource_is_in_no_queue(scheduler: KeyScheduler) -> None:
    for call in (Call.STATUS, Call.LOG):
        _acquire(scheduler, call, 100.0)
    scheduler.acquire_poll(KEY, RUNNING, 100.0)
    scheduler.acquire_log(KEY, 100.0, has_ended=True)
    scheduler.queue_position(QUEUE_ENTRY, 100.0)
    scheduler.forget(KEY, 100.0)
    assert not scheduler.is_queued(KEY)
    assert isinstance(scheduler.acquire_poll(_key("other"), RUNNING, 106.0), CallPermit)
    assert isinstance(scheduler.acquire_log(_key("other"), 460.0, has_ended=False), CallPermit)


# The start queue.


def test_asking_for_the_position_uses_no_start(scheduler: KeyScheduler) -> None:
    for _ in range(2):
        assert scheduler.queue_position(QUEUE_ENTRY, 100.0) is None
    assert scheduler.is_queued(KEY)
    assert isinstance(scheduler.acquire_start(QUEUE_ENTRY, 100.0), CallPermit)
    assert not scheduler.is_queued(KEY)


def test_queued_resource_that_waits_for_a_poll_asks_again_for_its_start(
    scheduler: KeyScheduler,
) -> None:
    # Both starts are used; the older one leaves the window at 3,700.
    for _ in range(2):
        permit = _acquire(scheduler, Call.START, 100.0)
        scheduler.complete(permit, Answer(7), 100.0, 1.0)
    waiting = PollRequest(PollPriority.WAITING, None)
    for name in ("a", "b", "c"):
        scheduler.acquire_poll(_key(name), waiting, 3690.0)
    position = scheduler.queue_position(QUEUE_ENTRY, 3695.0)
    assert position is not None
    assert position.ask_in == 5.0
    assert scheduler.acquire_poll(KEY, waiting, 3695.0) == 5.0


def test_reconcile_without_a_queue_entry_leaves_the_queue(scheduler: KeyScheduler) -> None:
    scheduler.queue_position(QUEUE_ENTRY, 100.0)
    for is_queued in (True, False):
        scheduler.finish_reconcile(
            KEY, 100.0, is_queued=is_queued, is_polled=True, awaits_poll=False
        )
        assert scheduler.is_queued(KEY) is is_queued


def test_queue_positions_are_reported_without_a_request(scheduler: KeyScheduler) -> None:
    scheduler.limiters[Call.START].restore([PastCall(100.0)] * 2)
    scheduler.queue_position(QUEUE_ENTRY, 100.0)
    scheduler.take_wake_ups()
    scheduler.tick(100.0 + SETTLING)
    assert scheduler.take_wake_ups() == [WakeUp(KEY, 100.0 + SETTLING)]


# The circuit breaker.


def _complete(
    scheduler: KeyScheduler,
    failure: CallFailure | None,
    now: float,
    permit: CallPermit | None = None,
    model_id: int = 7,
) -> None:
    """Answer a poll; by default one that was in flight for another resource."""
    permit = permit or CallPermit(Call.STATUS, _key("in-flight"), Permit(0.0))
    scheduler.complete(permit, Answer(model_id, failure), now, 1.0)


def _poll(scheduler: KeyScheduler, name: str, now: float) -> CallPermit:
    permit = scheduler.acquire_poll(_key(name), RUNNING, now)
    assert isinstance(permit, CallPermit)
    return permit


def _lose_polls(scheduler: KeyScheduler, count: int, now: float) -> None:
    """Give the circuit breaker polls without an answer, which use no quota."""
    for model_id in range(count):
        scheduler.breaker.complete(Permit(0.0), model_id, SILENT, now, 1.0)


def _hold_up(scheduler: KeyScheduler, now: float, *names: str) -> None:
    """Open the circuit, and request polls nevertheless."""
    _lose_polls(scheduler, LEAST_CALLS - 1, now)
    _complete(scheduler, SILENT, now)
    scheduler.forget(_key("in-flight"), now)
    scheduler.take_wake_ups()
    for name in names:
        assert isinstance(scheduler.acquire_poll(_key(name), RUNNING, now), OpenCircuit)


def _expected(scheduler: KeyScheduler) -> list[tuple[str, float]]:
    """Take the wake-ups: the resources and their times."""
    return [(wake_up.key.name, wake_up.at) for wake_up in scheduler.take_wake_ups()]


@pytest.mark.parametrize("call", [Call.START, Call.LOG])
def test_only_polls_open_the_circuit(scheduler: KeyScheduler, call: Call) -> None:
    rejected = Answer(7, CallFailure(FailureKind.UNAUTHORIZED, "HTTP 401", 401))
    scheduler.complete(_acquire(scheduler, call, 100.0), rejected, 101.0, 1.0)
    assert scheduler.breaker.open_circuit is None
    scheduler.complete(_acquire(scheduler, Call.STATUS, 100.0), rejected, 101.0, 1.0)
    assert scheduler.breaker.open_circuit is not None


def test_no_start_and_no_log_call_while_the_circuit_is_open(scheduler: KeyScheduler) -> None:
    """Starts are few: none is the trial call, even when one is due."""
    scheduler.queue_position(QUEUE_ENTRY, 100.0)
    _hold_up(scheduler, 200.0)
    for now in (200.0, 200.0 + FIRST_TRIAL):
        assert scheduler.acquire_start(QUEUE_ENTRY, now) == scheduler.breaker.open_circuit
        assert scheduler.acquire_log(KEY, now, has_ended=True) == OPEN_CIRCUIT_WAIT
    assert scheduler.is_queued(KEY)
    assert (KEY.name, 200.0 + FIRST_TRIAL) in _expected(scheduler)  # its poll is the trial call
    _complete(scheduler, None, 210.0)
    assert isinstance(scheduler.acquire_start(QUEUE_ENTRY, 210.0), CallPermit)
    assert isinstance(scheduler.acquire_log(KEY, 210.0, has_ended=True), CallPermit)


def test_calls_after_an_outage_are_paced(scheduler: KeyScheduler) -> None:
    _hold_up(scheduler, 2 * HOUR)
    _complete(scheduler, None, 2 * HOUR + 10)
    for call, wait in ((Call.STATUS, 6), (Call.LOG, 360)):
        assert scheduler.limiters[call].wait(2 * HOUR + 10, 1) == wait


def test_poll_given_up_in_an_outage_delays_no_other(scheduler: KeyScheduler) -> None:
    for name in ("a", "b"):
        _poll(scheduler, name, 200.0)
    assert scheduler.acquire_poll(_key("c"), RUNNING, 200.0) == 6
    _hold_up(scheduler, 201.0, "c")
    _poll(scheduler, "d", 201.0 + FIRST_TRIAL)


def test_first_held_up_resource_makes_the_next_trial_call(scheduler: KeyScheduler) -> None:
    _hold_up(scheduler, 200.0, "first", "second")
    assert set(_expected(scheduler)) == {("first", 200.0 + FIRST_TRIAL)}
    trial_call = _poll(scheduler, "first", 205.0)
    scheduler.take_wake_ups()
    _complete(scheduler, SILENT, 206.0, trial_call, 7)
    assert _expected(scheduler) == [("second", 206.0 + 2 * FIRST_TRIAL)]


def test_held_up_polls_are_sent_one_by_one_after_an_outage(
    scheduler: KeyScheduler,
) -> None:
    _hold_up(scheduler, 200.0, "first", "second", "third")
    scheduler.forget(_key("second"), 201.0)
    scheduler.take_wake_ups()
    _complete(scheduler, None, 300.0)
    assert _expected(scheduler) == [("first", 300.0), ("third", 306.0)]
    _complete(scheduler, None, 301.0)
    assert _expected(scheduler) == []


def test_unanswered_polls_are_repeated_after_an_outage(scheduler: KeyScheduler) -> None:
    """Without a trigger the resource may be due an hour later."""
    permits = []
    for number in range(3):
        now = 160.0 + 6 * number
        permit = _poll(scheduler, f"t{number}", now)
        permits.append(permit)
    _lose_polls(scheduler, LEAST_CALLS - len(permits), 200.0)
    for model_id, permit in enumerate(permits):
        _complete(scheduler, SILENT, 200.0, permit, model_id)
    assert set(_expected(scheduler)) == {("t0", 200.0 + FIRST_TRIAL)}
    trial_call = _poll(scheduler, "t0", 205.0)
    scheduler.take_wake_ups()
    _complete(scheduler, SILENT, 206.0, trial_call, 0)
    assert _expected(scheduler) == [("t1", 206.0 + 2 * FIRST_TRIAL)]
    _complete(scheduler, None, 300.0)
    assert _expected(scheduler) == [("t1", 300.0), ("t2", 306.0), ("t0", 312.0)]


def test_another_model_makes_the_trial_call_at_the_named_time(scheduler: KeyScheduler) -> None:
    naming = CallFailure(FailureKind.AMBIGUOUS, "HTTP 503", 503, retry_after=120.0)
    permit = _poll(scheduler, "first", 160.0)
    _complete(scheduler, naming, 161.0, permit, 1)
    assert _expected(scheduler) == []  # the only resource is due at that time without a trigger
    for name in ("second", "first", "third"):
        assert isinstance(scheduler.acquire_poll(_key(name), RUNNING, 200.0), OpenCircuit)
    assert set(_expected(scheduler)) == {("second", 281.0)}
    scheduler.finish_reconcile(  # suspended
        _key("second"), 200.0, is_queued=False, is_polled=False, awaits_poll=False
    )
    assert _expected(scheduler) == [("first", 281.0)]


def test_unanswered_poll_that_opens_no_circuit_triggers_nothing(
    scheduler: KeyScheduler,
) -> None:
    permit = _poll(scheduler, "poisoned", 160.0)
    _complete(scheduler, SILENT, 170.0, permit, 1)
    _complete(scheduler, None, 171.0)
    assert _expected(scheduler) == []
    _hold_up(scheduler, 200.0)
    _complete(scheduler, None, 300.0)
    assert _expected(scheduler) == []


def test_next_start_is_triggered_again_after_an_outage(
    scheduler: KeyScheduler,
) -> None:
    assert scheduler.queue_position(QUEUE_ENTRY, 100.0) is None
    _hold_up(scheduler, 200.0)
    scheduler.tick(200.0)
    scheduler.take_wake_ups()
    _complete(scheduler, None, 300.0)
    assert scheduler.take_wake_ups() == [WakeUp(KEY, 300.0)]
