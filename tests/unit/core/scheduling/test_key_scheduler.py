"""core/scheduling/key_scheduler.py: one key's calls, each operation with its own quota."""

import pytest

from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.window import PastCall, Permit
from scriptix_operator.core.scheduling.circuit_breaker import FIRST_TRIAL, MODELS, OpenCircuit
from scriptix_operator.core.scheduling.key_scheduler import Call, KeyScheduler
from scriptix_operator.core.scheduling.polls import PollPriority, PollRequest, WakeUp
from scriptix_operator.core.scheduling.start_queue import queue_entry_of
from tests.unit.core.builders import EIGHT, a_training

MINUTE, HOUR = 60.0, 3600.0
LIMITS = {
    Call.START: (Limit(2, HOUR),),
    Call.STATUS: (Limit(10, MINUTE),),
    Call.LOG: (Limit(10, HOUR),),
}
KEY = a_training().key
CLAIM = queue_entry_of(a_training(), EIGHT)
SILENT = CallFailure(FailureKind.AMBIGUOUS, "no reply")
REFUSED = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=30.0)


@pytest.fixture
def scheduler() -> KeyScheduler:
    """Return a key scheduler that is created at 100."""
    return KeyScheduler(LIMITS, 100.0)


def _take(scheduler: KeyScheduler, call: Call, now: float) -> Permit:
    """Make a call of an operation."""
    if call is Call.START:
        assert scheduler.starts.ask(CLAIM, now) is None
        return scheduler.starts.acquire(CLAIM, now)
    if call is Call.STATUS:
        permit = scheduler.polls.ask(KEY, PollRequest(PollPriority.RUNNING, MINUTE), now)
    else:
        permit = scheduler.logs.ask(KEY, now, has_ended=True)
    assert isinstance(permit, Permit)
    return permit


@pytest.mark.parametrize("call", Call)
def test_reply_counts_only_for_its_operation(scheduler: KeyScheduler, call: Call) -> None:
    permit = _take(scheduler, call, 100.0)
    assert [kind for kind in Call if scheduler.limiters[kind].in_flight] == [call]
    assert scheduler.answered(call, permit, 101.0, REFUSED, RateLimitInfo(limit=1))
    assert [kind for kind in Call if scheduler.limiters[kind].observed_limits] == [call]
    assert [kind for kind in Call if scheduler.limiters[kind].in_flight] == []


def test_first_window_has_no_burst_of_polls_and_log_calls(
    scheduler: KeyScheduler,
) -> None:
    ahead = {call: scheduler.limiters[call].wait(100.0, 1) for call in Call}
    assert ahead == {Call.START: 0, Call.STATUS: 6, Call.LOG: 360}
    ahead = {call: scheduler.limiters[call].wait(100.0 + HOUR, 1) for call in Call}
    assert ahead == {Call.START: 0, Call.STATUS: 0, Call.LOG: 0}
    scheduler.pace(100.0 + HOUR)
    assert scheduler.limiters[Call.STATUS].wait(100.0 + HOUR, 1) == 6


def test_triggers_of_polls_and_starts_are_in_one_list(scheduler: KeyScheduler) -> None:
    _take(scheduler, Call.STATUS, 100.0)
    other = a_training(name="other").key
    scheduler.polls.ask(other, PollRequest(PollPriority.RUNNING, MINUTE), 100.0)
    assert scheduler.wake_ups == [WakeUp(other, 106.0)]
    scheduler.starts.recall([PastCall(100.0)] * LIMITS[Call.START][0].count)
    scheduler.starts.ask(CLAIM, 100.0)
    assert KEY in {wake_up.key for wake_up in scheduler.wake_ups[1:]}


def test_resource_that_leaves_is_in_no_queue(scheduler: KeyScheduler) -> None:
    _take(scheduler, Call.STATUS, 100.0)
    _take(scheduler, Call.LOG, 100.0)
    other = a_training(name="other").key
    scheduler.polls.ask(KEY, PollRequest(PollPriority.RUNNING, MINUTE), 100.0)
    scheduler.logs.ask(KEY, 100.0, has_ended=True)
    scheduler.starts.ask(CLAIM, 100.0)
    scheduler.leave(KEY, 100.0)
    assert KEY not in scheduler.starts
    assert isinstance(
        scheduler.polls.ask(other, PollRequest(PollPriority.RUNNING, MINUTE), 106.0), Permit
    )
    assert isinstance(scheduler.logs.ask(other, 460.0, has_ended=False), Permit)
    assert scheduler.polls.interval_ratio(PollPriority.RUNNING, 106.0) == 1


# An unreachable API.


def _held_up(scheduler: KeyScheduler, now: float, *names: str) -> None:
    """Open the circuit, and request polls nevertheless."""
    for model_id in range(MODELS):
        scheduler.polled(Permit(0.0), model_id, SILENT, now, 1.0)
    for name in names:
        open_circuit = scheduler.poll(
            a_training(name=name).key, PollRequest(PollPriority.RUNNING, MINUTE), now
        )
        assert isinstance(open_circuit, OpenCircuit)


def _expected(scheduler: KeyScheduler) -> list[tuple[str, float]]:
    """Take the wake-ups out: the resources and their times."""
    found = [(wake_up.key.name, wake_up.at) for wake_up in scheduler.wake_ups]
    scheduler.wake_ups.clear()
    return found


def test_first_held_up_resource_makes_the_next_trial_call(scheduler: KeyScheduler) -> None:
    _held_up(scheduler, 200.0, "first", "second")
    assert set(_expected(scheduler)) == {("first", 200.0 + FIRST_TRIAL)}
    probe = scheduler.poll(
        a_training(name="first").key, PollRequest(PollPriority.RUNNING, MINUTE), 205.0
    )
    assert isinstance(probe, Permit)
    scheduler.wake_ups.clear()
    scheduler.polled(probe, 7, SILENT, 206.0, 1.0)
    assert _expected(scheduler) == [("second", 206.0 + 2 * FIRST_TRIAL)]


def test_held_up_polls_are_sent_one_by_one_after_an_outage(
    scheduler: KeyScheduler,
) -> None:
    _held_up(scheduler, 200.0, "first", "second", "third")
    scheduler.leave(a_training(name="second").key, 201.0)
    scheduler.wake_ups.clear()
    scheduler.polled(Permit(0.0), 7, None, 300.0, 1.0)
    assert _expected(scheduler) == [("first", 300.0), ("third", 306.0)]
    scheduler.polled(Permit(0.0), 7, None, 301.0, 1.0)
    assert _expected(scheduler) == []


def test_unanswered_polls_are_repeated_after_an_outage(scheduler: KeyScheduler) -> None:
    """Without a trigger the resource may be due an hour later."""
    permits = []
    for number in range(MODELS):
        now = 160.0 + 6 * number
        permit = scheduler.poll(
            a_training(name=f"t{number}").key, PollRequest(PollPriority.RUNNING, MINUTE), now
        )
        assert isinstance(permit, Permit)
        permits.append(permit)
    for model_id, permit in enumerate(permits):
        scheduler.polled(permit, model_id, SILENT, 200.0, 1.0)
    assert set(_expected(scheduler)) == {("t0", 200.0 + FIRST_TRIAL)}
    probe = scheduler.poll(
        a_training(name="t0").key, PollRequest(PollPriority.RUNNING, MINUTE), 205.0
    )
    assert isinstance(probe, Permit)
    scheduler.wake_ups.clear()
    scheduler.polled(probe, 0, SILENT, 206.0, 1.0)
    assert _expected(scheduler) == [("t1", 206.0 + 2 * FIRST_TRIAL)]
    scheduler.polled(Permit(0.0), 7, None, 300.0, 1.0)
    assert _expected(scheduler) == [("t1", 300.0), ("t2", 306.0), ("t0", 312.0)]


def test_another_model_makes_the_trial_call_at_the_named_time(scheduler: KeyScheduler) -> None:
    naming = CallFailure(FailureKind.AMBIGUOUS, "HTTP 503", 503, retry_after=120.0)
    permit = scheduler.poll(
        a_training(name="first").key, PollRequest(PollPriority.RUNNING, MINUTE), 160.0
    )
    assert isinstance(permit, Permit)
    scheduler.polled(permit, 1, naming, 161.0, 1.0)
    assert _expected(scheduler) == []  # the only resource is due at that time without a trigger
    for name in ("second", "first", "third"):
        open_circuit = scheduler.poll(
            a_training(name=name).key, PollRequest(PollPriority.RUNNING, MINUTE), 200.0
        )
        assert isinstance(open_circuit, OpenCircuit)
    assert set(_expected(scheduler)) == {("second", 281.0)}
    scheduler.forget_trial(a_training(name="second").key)  # suspended
    assert _expected(scheduler) == [("first", 281.0)]


def test_unanswered_poll_that_opens_no_circuit_triggers_nothing(
    scheduler: KeyScheduler,
) -> None:
    permit = scheduler.poll(
        a_training(name="poisoned").key, PollRequest(PollPriority.RUNNING, MINUTE), 160.0
    )
    assert isinstance(permit, Permit)
    scheduler.polled(permit, 1, SILENT, 170.0, 1.0)
    scheduler.polled(Permit(0.0), 2, None, 171.0, 1.0)
    assert _expected(scheduler) == []
    _held_up(scheduler, 200.0)
    scheduler.polled(Permit(0.0), 7, None, 300.0, 1.0)
    assert _expected(scheduler) == []


def test_next_start_is_triggered_again_after_an_outage(
    scheduler: KeyScheduler,
) -> None:
    assert scheduler.starts.ask(CLAIM, 100.0) is None
    _held_up(scheduler, 200.0)
    scheduler.starts.advance(200.0)
    scheduler.wake_ups.clear()
    scheduler.polled(Permit(0.0), 7, None, 300.0, 1.0)
    assert scheduler.wake_ups == [WakeUp(KEY, 300.0)]


def test_new_key_scheduler_has_a_closed_circuit(scheduler: KeyScheduler) -> None:
    assert scheduler.breaker.blocks(100.0) is None
