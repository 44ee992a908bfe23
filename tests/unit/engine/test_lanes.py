"""engine/lanes.py: who may call when, on times that the test gives."""

from datetime import timedelta

import pytest

from scriptix_operator.api.status import Queue
from scriptix_operator.core.limits import Limit
from scriptix_operator.core.observation import SlotDeferred
from scriptix_operator.core.remote import CallFailure, FailureKind
from scriptix_operator.core.training import TrainingKey
from scriptix_operator.engine.lanes import MISSED_TURN, PROBE_INTERVAL, Call, Lane, Lanes
from tests.unit.core.builders import EIGHT, a_training, at

KEY, OTHER_KEY = "0123456789ab", "ba9876543210"
LIMITS = {
    Call.START: (Limit(2, 3600.0),),
    Call.STATUS: (Limit(10, 60.0),),
    Call.LOG: (Limit(1, 3600.0),),
}


@pytest.fixture
def lanes() -> Lanes:
    """Return lanes with two starts an hour and ten looks a minute."""
    return Lanes(LIMITS)


@pytest.fixture
def lane(lanes: Lanes) -> Lane:
    """Return one of them."""
    return lanes.of(KEY)


def _key(number: int) -> TrainingKey:
    return TrainingKey("team-a", f"training-{number}")


def _refused(status: int, kind: FailureKind, retry_after: float | None = None) -> CallFailure:
    return CallFailure(kind, f"HTTP {status}", status=status, retry_after=retry_after)


def _asks_for_a_start(
    lanes: Lanes, name: str, now: float = 0.0, *, key: str = KEY, priority: int = 0
) -> Queue | None:
    """Ask for a start; returns the place in the queue, None where it may start."""
    training = a_training(name=name, created_at=at(seconds=len(name)), priority=priority)
    deferred = lanes.reserve(key, training, now, EIGHT + timedelta(seconds=now))
    return None if deferred is None else deferred.queue


# Looks.


def test_thousands_who_wait_for_a_look_are_each_told_a_turn_of_their_own(lane: Lane) -> None:
    waits = [lane.look(_key(number), 0.0) for number in range(1000)]
    assert waits == [60.0 * (number // 10) for number in range(1000)]


def test_who_comes_at_its_turn_may_look_and_a_newcomer_waits_for_those_before(lane: Lane) -> None:
    for number in range(30):
        lane.look(_key(number), 0.0)
    assert lane.look(_key(99), 60.0) == 120.0
    assert [lane.look(_key(number), 60.0) for number in range(10, 20)] == [0.0] * 10
    assert lane.look(_key(20), 60.0) == 60.0


def test_who_comes_before_its_turn_keeps_it(lane: Lane) -> None:
    for number in range(30):
        lane.look(_key(number), 0.0)
    assert lane.look(_key(25), 50.0) == 70.0
    assert lane.look(_key(29), 50.0) == 70.0
    assert lane.look(_key(25), 120.0) == 0.0


def test_who_does_not_come_is_waited_for_a_moment_only(lane: Lane) -> None:
    for number in range(30):
        lane.look(_key(number), 0.0)
    late = 120.0 + MISSED_TURN + 1
    assert [lane.look(_key(number), late) for number in range(100, 110)] == [0.0] * 10


def test_a_refusal_holds_the_looks_of_that_key_only(lanes: Lanes) -> None:
    lane = lanes.of(KEY)
    assert lane.look(_key(1), 0.0) == 0.0
    lane.answered(Call.STATUS, 0.0, _refused(429, FailureKind.RATE_LIMITED, 30.0), 1.0)
    assert lane.look(_key(2), 1.0) == 30.0
    assert lane.look(_key(2), 31.0) == 0.0
    assert lanes.of(OTHER_KEY).look(_key(3), 1.0) == 0.0


def test_a_call_ages_from_when_its_reply_was_read(lane: Lane) -> None:
    for number in range(10):
        assert lane.look(_key(number), 0.0) == 0.0
        lane.answered(Call.STATUS, 0.0, None, 4.0)
    assert lane.look(_key(10), 5.0) == 59.0


def test_a_call_that_was_not_sent_costs_nothing(lane: Lane) -> None:
    assert lane.look(_key(1), 0.0) == 0.0
    lane.answered(Call.STATUS, 0.0, CallFailure(FailureKind.NOT_SENT, "refused"), 1.0)
    assert [lane.look(_key(number), 1.0) for number in range(10)] == [0.0] * 10


# The circuit.


def test_a_rejected_key_is_probed_once_a_minute_until_it_is_accepted(lane: Lane) -> None:
    rejection = _refused(401, FailureKind.UNAUTHORIZED)
    assert lane.circuit(0.0) is None
    lane.answered(Call.STATUS, 0.0, rejection, 0.0)
    assert lane.circuit(PROBE_INTERVAL - 1) == rejection
    assert lane.circuit(PROBE_INTERVAL) is None
    assert lane.circuit(PROBE_INTERVAL) == rejection
    lane.answered(Call.STATUS, PROBE_INTERVAL, None, PROBE_INTERVAL)
    assert lane.circuit(PROBE_INTERVAL) is None


@pytest.mark.parametrize(
    ("call", "failure"),
    [
        pytest.param(Call.START, _refused(401, FailureKind.UNAUTHORIZED), id="a refused start"),
        pytest.param(Call.STATUS, _refused(403, FailureKind.UNAUTHORIZED), id="one model's 403"),
        pytest.param(Call.STATUS, _refused(404, FailureKind.NOT_FOUND), id="no such model"),
        pytest.param(Call.STATUS, _refused(503, FailureKind.AMBIGUOUS), id="the API is away"),
    ],
)
def test_other_answers_do_not_stop_those_that_share_the_key(
    lane: Lane, call: Call, failure: CallFailure
) -> None:
    lane.answered(call, 0.0, failure, 0.0)
    assert lane.circuit(1.0) is None


# Starts.


def test_starts_go_by_priority_then_age(lanes: Lanes) -> None:
    assert _asks_for_a_start(lanes, "a") is None
    assert _asks_for_a_start(lanes, "bb") is None
    third = _asks_for_a_start(lanes, "ccc")
    assert third == Queue(position=1, of=1, estimated_start_at=at(hours=1))
    urgent = _asks_for_a_start(lanes, "dddd", priority=5)
    assert urgent == Queue(position=1, of=2, estimated_start_at=at(hours=1))
    youngest = _asks_for_a_start(lanes, "eeeee")
    assert youngest == Queue(position=3, of=3, estimated_start_at=at(hours=2))
    assert _asks_for_a_start(lanes, "eeeee", 3600.0) is not None
    assert _asks_for_a_start(lanes, "dddd", 3600.0, priority=5) is None


def test_who_leaves_is_not_waited_for(lanes: Lanes) -> None:
    for name in ("a", "bb", "ccc", "dddd"):
        _asks_for_a_start(lanes, name)
    lanes.leave(TrainingKey("team-a", "ccc"))
    lanes.leave(TrainingKey("team-a", "never-there"))
    last = _asks_for_a_start(lanes, "eeeee")
    assert last is not None
    assert (last.position, last.of) == (2, 2)


def test_a_new_key_takes_a_resource_out_of_the_queue_of_the_old(lanes: Lanes) -> None:
    """Else nobody behind it there would ever be granted a start."""
    for name in ("a", "bb", "ccc", "dddd"):
        _asks_for_a_start(lanes, name)
    for name in ("a", "bb", "ccc", "dddd"):
        _asks_for_a_start(lanes, name, key=OTHER_KEY)
    assert _asks_for_a_start(lanes, "eeeee", 3600.0) is None


def test_a_start_given_back_is_there_for_the_next(lanes: Lanes) -> None:
    _asks_for_a_start(lanes, "a", 1.0)
    _asks_for_a_start(lanes, "bb", 2.0)
    lanes.of(KEY).answered(Call.START, 1.0, CallFailure(FailureKind.NOT_SENT, "no connection"), 3.0)
    assert _asks_for_a_start(lanes, "ccc", 4.0) is None


def test_keys_have_nothing_to_do_with_each_other(lanes: Lanes) -> None:
    for name in ("a", "bb", "ccc"):
        _asks_for_a_start(lanes, name)
    assert _asks_for_a_start(lanes, "dddd", key=OTHER_KEY) is None
    assert isinstance(lanes.of(KEY).reserve(a_training(), 0.0, EIGHT), SlotDeferred)
