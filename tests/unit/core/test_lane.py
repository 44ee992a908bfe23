"""core/lane.py: one key's calls, each kind with an allowance of its own."""

import pytest

from scriptix_operator.core.circuit import FIRST_PROBE, MODELS, Outage
from scriptix_operator.core.lane import Call, Lane
from scriptix_operator.core.limits import Limit
from scriptix_operator.core.looks import LookKind, Wake, Wish
from scriptix_operator.core.remote import CallFailure, FailureKind, RateTold
from scriptix_operator.core.spending import Spent, Ticket
from scriptix_operator.core.startqueue import claim_of
from tests.unit.core.builders import EIGHT, a_training

MINUTE, HOUR = 60.0, 3600.0
LIMITS = {
    Call.START: (Limit(2, HOUR),),
    Call.STATUS: (Limit(10, MINUTE),),
    Call.LOG: (Limit(10, HOUR),),
}
KEY = a_training().key
CLAIM = claim_of(a_training(), EIGHT)
SILENT = CallFailure(FailureKind.AMBIGUOUS, "no reply")
REFUSED = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=30.0)


@pytest.fixture
def lane() -> Lane:
    """Return a lane that is made at 100."""
    return Lane(LIMITS, 100.0)


def _take(lane: Lane, call: Call, now: float) -> Ticket:
    """Take a call of a kind."""
    if call is Call.START:
        assert lane.starts.ask(CLAIM, now) is None
        return lane.starts.take(CLAIM, now)
    if call is Call.STATUS:
        ticket = lane.looks.ask(KEY, Wish(LookKind.RUNNING, MINUTE), now)
    else:
        ticket = lane.logs.ask(KEY, now, has_ended=True)
    assert isinstance(ticket, Ticket)
    return ticket


@pytest.mark.parametrize("call", Call)
def test_an_answer_counts_for_its_kind_of_call_and_no_other(lane: Lane, call: Call) -> None:
    ticket = _take(lane, call, 100.0)
    assert [kind for kind in Call if lane.budgets[kind].in_flight] == [call]
    assert lane.answered(call, ticket, 101.0, REFUSED, RateTold(limit=1))
    assert [kind for kind in Call if lane.budgets[kind].lessons] == [call]
    assert [kind for kind in Call if lane.budgets[kind].in_flight] == []


def test_in_the_first_window_looks_and_log_calls_make_no_burst_and_starts_may(lane: Lane) -> None:
    ahead = {call: lane.budgets[call].wait(100.0, 1) for call in Call}
    assert ahead == {Call.START: 0, Call.STATUS: 6, Call.LOG: 360}
    ahead = {call: lane.budgets[call].wait(100.0 + HOUR, 1) for call in Call}
    assert ahead == {Call.START: 0, Call.STATUS: 0, Call.LOG: 0}
    lane.spend_evenly(100.0 + HOUR)
    assert lane.budgets[Call.STATUS].wait(100.0 + HOUR, 1) == 6


def test_looks_and_starts_tell_whom_they_expect_in_one_list(lane: Lane) -> None:
    _take(lane, Call.STATUS, 100.0)
    other = a_training(name="other").key
    lane.looks.ask(other, Wish(LookKind.RUNNING, MINUTE), 100.0)
    assert lane.wakes == [Wake(other, 106.0)]
    lane.starts.recall([Spent(100.0)] * LIMITS[Call.START][0].count, [])
    lane.starts.ask(CLAIM, 100.0)
    assert KEY in {wake.key for wake in lane.wakes[1:]}


def test_who_leaves_is_waited_for_nowhere(lane: Lane) -> None:
    _take(lane, Call.STATUS, 100.0)
    _take(lane, Call.LOG, 100.0)
    other = a_training(name="other").key
    lane.looks.ask(KEY, Wish(LookKind.RUNNING, MINUTE), 100.0)
    lane.logs.ask(KEY, 100.0, has_ended=True)
    lane.starts.ask(CLAIM, 100.0)
    lane.leave(KEY, 100.0)
    assert KEY not in lane.starts
    assert isinstance(lane.looks.ask(other, Wish(LookKind.RUNNING, MINUTE), 106.0), Ticket)
    assert isinstance(lane.logs.ask(other, 460.0, has_ended=False), Ticket)
    assert lane.looks.stretch(LookKind.RUNNING, 106.0) == 1


# The API is away.


def _held_up(lane: Lane, now: float, *names: str) -> None:
    """Find the API away, and ask for looks all the same."""
    for model_id in range(MODELS):
        lane.looked(Ticket(0.0), model_id, SILENT, now, 1.0)
    for name in names:
        outage = lane.look(a_training(name=name).key, Wish(LookKind.RUNNING, MINUTE), now)
        assert isinstance(outage, Outage)


def _expected(lane: Lane) -> list[tuple[str, float]]:
    """Take out who is expected when."""
    found = [(wake.key.name, wake.at) for wake in lane.wakes]
    lane.wakes.clear()
    return found


def test_whoever_is_held_up_first_is_expected_for_the_next_probe(lane: Lane) -> None:
    _held_up(lane, 200.0, "first", "second")
    assert set(_expected(lane)) == {("first", 200.0 + FIRST_PROBE)}
    probe = lane.look(a_training(name="first").key, Wish(LookKind.RUNNING, MINUTE), 205.0)
    assert isinstance(probe, Ticket)
    lane.wakes.clear()
    lane.looked(probe, 7, SILENT, 206.0, 1.0)
    assert _expected(lane) == [("second", 206.0 + 2 * FIRST_PROBE)]


def test_who_was_held_up_looks_when_the_api_is_back_one_after_the_other(lane: Lane) -> None:
    _held_up(lane, 200.0, "first", "second", "third")
    lane.leave(a_training(name="second").key, 201.0)
    lane.wakes.clear()
    lane.looked(Ticket(0.0), 7, None, 300.0, 1.0)
    assert _expected(lane) == [("first", 300.0), ("third", 306.0)]
    lane.looked(Ticket(0.0), 7, None, 301.0, 1.0)
    assert _expected(lane) == []


def test_whose_look_had_no_answer_looks_again_when_the_api_is_back(lane: Lane) -> None:
    """By itself it may come an hour later."""
    tickets = []
    for number in range(MODELS):
        now = 160.0 + 6 * number
        ticket = lane.look(a_training(name=f"t{number}").key, Wish(LookKind.RUNNING, MINUTE), now)
        assert isinstance(ticket, Ticket)
        tickets.append(ticket)
    for model_id, ticket in enumerate(tickets):
        lane.looked(ticket, model_id, SILENT, 200.0, 1.0)
    assert set(_expected(lane)) == {("t0", 200.0 + FIRST_PROBE)}
    probe = lane.look(a_training(name="t0").key, Wish(LookKind.RUNNING, MINUTE), 205.0)
    assert isinstance(probe, Ticket)
    lane.wakes.clear()
    lane.looked(probe, 0, SILENT, 206.0, 1.0)
    assert _expected(lane) == [("t1", 206.0 + 2 * FIRST_PROBE)]
    lane.looked(Ticket(0.0), 7, None, 300.0, 1.0)
    assert _expected(lane) == [("t1", 300.0), ("t2", 306.0), ("t0", 312.0)]


def test_another_model_makes_the_trial_call_at_the_named_time(lane: Lane) -> None:
    naming = CallFailure(FailureKind.AMBIGUOUS, "HTTP 503", 503, retry_after=120.0)
    ticket = lane.look(a_training(name="first").key, Wish(LookKind.RUNNING, MINUTE), 160.0)
    assert isinstance(ticket, Ticket)
    lane.looked(ticket, 1, naming, 161.0, 1.0)
    assert _expected(lane) == []  # alone, it comes at that time without being woken
    for name in ("second", "first", "third"):
        outage = lane.look(a_training(name=name).key, Wish(LookKind.RUNNING, MINUTE), 200.0)
        assert isinstance(outage, Outage)
    assert set(_expected(lane)) == {("second", 281.0)}
    lane.forget_trial(a_training(name="second").key)  # suspended
    assert _expected(lane) == [("first", 281.0)]


def test_a_look_without_an_answer_that_opens_nothing_is_its_resources_own_affair(
    lane: Lane,
) -> None:
    ticket = lane.look(a_training(name="poisoned").key, Wish(LookKind.RUNNING, MINUTE), 160.0)
    assert isinstance(ticket, Ticket)
    lane.looked(ticket, 1, SILENT, 170.0, 1.0)
    lane.looked(Ticket(0.0), 2, None, 171.0, 1.0)
    assert _expected(lane) == []
    _held_up(lane, 200.0)
    lane.looked(Ticket(0.0), 7, None, 300.0, 1.0)
    assert _expected(lane) == []


def test_who_is_next_to_start_is_expected_anew_when_the_api_is_back(lane: Lane) -> None:
    assert lane.starts.ask(CLAIM, 100.0) is None
    _held_up(lane, 200.0)
    lane.starts.advance(200.0)
    lane.wakes.clear()
    lane.looked(Ticket(0.0), 7, None, 300.0, 1.0)
    assert lane.wakes == [Wake(KEY, 300.0)]


def test_a_new_lane_has_its_circuit_closed(lane: Lane) -> None:
    assert lane.circuit.blocks(100.0) is None
