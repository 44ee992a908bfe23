"""core/scheduling/circuit_breaker.py: when only periodic trial calls are made."""

from collections.abc import Sequence

import pytest

from scriptix_operator.core.model.remote import CallFailure, FailureKind
from scriptix_operator.core.ratelimit.window import Permit
from scriptix_operator.core.scheduling.circuit_breaker import (
    CONFIRM,
    FIRST_TRIAL,
    MAX_NAMED,
    MAX_TRIAL,
    PATIENCE,
    REPEAT,
    TRIAL_INTERVAL,
    CircuitBreaker,
    OpenCircuit,
)
from scriptix_operator.core.scheduling.failure_window import LEAST_CALLS
from scriptix_operator.scriptix.errors import kind_of_status


def failed(kind: FailureKind, status: int | None = None) -> CallFailure:
    """A failed poll."""
    return CallFailure(kind, f"HTTP {status}", status)


REJECTED = failed(FailureKind.UNAUTHORIZED, 401)
SILENT = failed(FailureKind.AMBIGUOUS)
TRIAL_CALL, BEFORE = Permit(0.0), Permit(0.0)
"""A poll that becomes the trial call once it is sent, and a poll sent earlier."""


def _answers(
    breaker: CircuitBreaker, now: float, *failures: CallFailure | None, jitter: float = 1
) -> None:
    """Failed polls of as many different models."""
    for model_id, failure in enumerate(failures):
        breaker.complete(TRIAL_CALL, model_id, failure, now, jitter)


def _probed(breaker: CircuitBreaker, now: float, failure: CallFailure | None = SILENT) -> float:
    """Send a trial call that is answered at once; returns the seconds until the next."""
    assert breaker.blocks(now) is None
    breaker.acquire(TRIAL_CALL, now)
    _answers(breaker, now, failure)
    return breaker.trial_at - now


# A rejected key.


@pytest.mark.parametrize("status", [401, 402])
def test_rejected_key_gets_a_trial_call_each_minute(status: int) -> None:
    breaker, rejection = CircuitBreaker(), failed(FailureKind.UNAUTHORIZED, status)
    assert breaker.blocks(0.0) is None
    breaker.complete(TRIAL_CALL, 7, rejection, 0.0, 0.0)
    assert breaker.blocks(TRIAL_INTERVAL - 0.001) == OpenCircuit(rejection, 0.0)
    assert breaker.blocks(TRIAL_INTERVAL) is None
    breaker.acquire(TRIAL_CALL, TRIAL_INTERVAL)
    assert breaker.blocks(TRIAL_INTERVAL) == OpenCircuit(rejection, 0.0)
    assert not breaker.complete(TRIAL_CALL, 8, rejection, TRIAL_INTERVAL + 1, 0.0)
    assert breaker.blocks(2 * TRIAL_INTERVAL) == OpenCircuit(rejection, 0.0)
    breaker.acquire(TRIAL_CALL, 2 * TRIAL_INTERVAL + 1)
    assert breaker.complete(TRIAL_CALL, 8, None, 2 * TRIAL_INTERVAL + 2, 0.0)
    assert breaker.open_circuit is None
    assert breaker.blocks(2 * TRIAL_INTERVAL + 2) is None


def test_trial_calls_of_a_rejected_key_do_not_back_off() -> None:
    breaker = CircuitBreaker()
    now = 0.0
    for _ in range(5):
        _answers(breaker, now, REJECTED)
        now += TRIAL_INTERVAL
        breaker.acquire(TRIAL_CALL, now)
    _answers(breaker, now, SILENT)  # nor if one call is lost
    assert breaker.blocks(now + TRIAL_INTERVAL - 0.001) == OpenCircuit(REJECTED, 0.0)
    assert breaker.blocks(now + TRIAL_INTERVAL) is None


def _worked() -> CircuitBreaker:
    breaker = CircuitBreaker()
    breaker.complete(BEFORE, 1, None, 0.0, 1)
    return breaker


def test_first_rejection_of_a_working_key_opens_no_circuit() -> None:
    breaker = _worked()
    for now in (10.0, 10 + CONFIRM - 0.1):
        assert not breaker.complete(BEFORE, 1, REJECTED, now, 1)
        assert breaker.open_circuit is None
    breaker.complete(BEFORE, 2, REJECTED, 10 + CONFIRM, 1)
    assert breaker.open_circuit == OpenCircuit(REJECTED, 10 + CONFIRM)


def test_a_success_clears_the_doubt_of_a_key() -> None:
    breaker = _worked()
    for now in range(0, 100, 10):
        _answers(breaker, float(now), None, REJECTED)
        assert breaker.open_circuit is None


@pytest.mark.parametrize("status", [404, 409, 422])
def test_a_refusal_that_needs_an_accepted_key_clears_the_doubt(status: int) -> None:
    breaker = _worked()
    for now in range(0, 100, 10):
        _answers(breaker, float(now), failed(kind_of_status(status), status), REJECTED)
        assert breaker.open_circuit is None


@pytest.mark.parametrize(
    "between",
    [
        failed(FailureKind.RATE_LIMITED, 429),
        failed(FailureKind.UNAUTHORIZED, 403),
        failed(FailureKind.REJECTED, 400),
        failed(FailureKind.AMBIGUOUS, 200),
        SILENT,
    ],
    ids=["429", "403", "400", "unusable", "no answer"],
)
def test_reply_that_says_nothing_of_the_key_keeps_the_doubt(between: CallFailure) -> None:
    breaker = _worked()
    _answers(breaker, 0.0, REJECTED, between)
    assert breaker.open_circuit is None
    _answers(breaker, CONFIRM, between, REJECTED)
    assert breaker.open_circuit == OpenCircuit(REJECTED, CONFIRM)
    # If such a reply to the trial call closes the circuit, the next rejection opens it at once.
    _probed(breaker, breaker.trial_at, between)
    breaker.complete(BEFORE, 1, REJECTED, 100.0, 1)
    assert breaker.open_circuit is not None
    assert breaker.open_circuit.failure == REJECTED


def test_rejection_by_a_trial_call_is_confirmed() -> None:
    breaker = _worked()
    _answers(breaker, 0.0, *[SILENT] * LEAST_CALLS)
    now = breaker.trial_at
    assert _probed(breaker, now, REJECTED) == CONFIRM
    assert breaker.open_circuit == OpenCircuit(SILENT, 0.0)
    assert _probed(breaker, now + CONFIRM, REJECTED) == TRIAL_INTERVAL
    assert breaker.open_circuit == OpenCircuit(REJECTED, now + CONFIRM)


# An unreachable API.

AWAY = [
    pytest.param(failed(FailureKind.NOT_SENT), id="no connection"),
    pytest.param(
        CallFailure(FailureKind.AMBIGUOUS, "HTTP 404", 404, is_from_gateway=True), id="a gateway"
    ),
    pytest.param(failed(FailureKind.AMBIGUOUS), id="no reply"),
    pytest.param(failed(FailureKind.AMBIGUOUS, 500), id="500"),
    pytest.param(failed(FailureKind.AMBIGUOUS, 503), id="503"),
]
ANSWERS = [
    pytest.param(None, id="an answer"),
    pytest.param(failed(FailureKind.UNAUTHORIZED, 403), id="one model's 403"),
    pytest.param(failed(FailureKind.NOT_FOUND, 404), id="no such model"),
    pytest.param(failed(FailureKind.RATE_LIMITED, 429), id="too many"),
    pytest.param(failed(FailureKind.AMBIGUOUS, 408), id="408"),
    pytest.param(failed(FailureKind.AMBIGUOUS, 499), id="the last before a 5xx"),
    pytest.param(failed(FailureKind.AMBIGUOUS, 200), id="garbage"),
]


@pytest.mark.parametrize("failure", AWAY)
def test_circuit_opens_after_ten_unanswered_polls(failure: CallFailure) -> None:
    breaker = CircuitBreaker()
    _answers(breaker, 0.0, *[failure] * (LEAST_CALLS - 1))
    assert breaker.blocks(0.0) is None
    breaker.complete(TRIAL_CALL, LEAST_CALLS, failure, 1.0, 1.0)
    assert breaker.blocks(1.0) == OpenCircuit(failure, 1.0)


def test_failures_of_one_model_do_not_open_the_circuit() -> None:
    breaker = CircuitBreaker()
    for now in range(100):
        breaker.complete(TRIAL_CALL, 7, SILENT, float(now), 1.0)
    assert breaker.open_circuit is None


@pytest.mark.parametrize("failure", ANSWERS)
def test_any_reply_counts_as_answered(failure: CallFailure | None) -> None:
    for answered, is_open in ((1, True), (2, False)):
        breaker = CircuitBreaker()
        _answers(breaker, 0.0, *[failure] * answered, *[SILENT] * (LEAST_CALLS - answered))
        assert (breaker.open_circuit is not None) == is_open


def test_an_api_that_loses_four_calls_of_ten_opens_no_circuit() -> None:
    breaker = CircuitBreaker()
    for number in range(10_000):
        failure = SILENT if number % 10 < 4 else None
        breaker.complete(BEFORE, number % 30, failure, number / 15, 1)
        assert breaker.open_circuit is None


@pytest.mark.parametrize("failure", ANSWERS)
@pytest.mark.parametrize("reason", [REJECTED, SILENT], ids=["rejected", "unreachable"])
def test_any_reply_to_the_trial_call_closes_the_circuit(
    failure: CallFailure | None, reason: CallFailure
) -> None:
    breaker = CircuitBreaker()
    _answers(breaker, 0.0, *[reason] * LEAST_CALLS)
    breaker.acquire(TRIAL_CALL, 100.0)
    assert breaker.complete(TRIAL_CALL, 9, failure, 101.0, 1.0)
    assert breaker.blocks(101.0) is None
    assert not breaker.complete(
        TRIAL_CALL, 9, failure, 102.0, 1.0
    )  # the circuit was closed already
    # Ten failures are needed again.
    _answers(breaker, 103.0, *[SILENT] * (LEAST_CALLS - 1))
    assert breaker.open_circuit is None


def test_trial_calls_of_an_unreachable_api_back_off() -> None:
    breaker, waits, now = CircuitBreaker(), [], 0.0
    _answers(breaker, now, *[SILENT] * LEAST_CALLS)
    assert breaker.trial_at == FIRST_TRIAL
    for _ in range(6):
        now = breaker.trial_at
        waits.append(_probed(breaker, now))
    assert waits == [10, 20, 40, 80, MAX_TRIAL, MAX_TRIAL]
    assert breaker.open_circuit == OpenCircuit(SILENT, 0.0)
    # After the API was reachable again, the backoff begins again.
    _probed(breaker, breaker.trial_at, None)
    _answers(breaker, 9999.0, *[SILENT] * LEAST_CALLS)
    assert breaker.trial_at == 9999.0 + FIRST_TRIAL


@pytest.mark.parametrize(("jitter", "seconds"), [(0, 2.5), (0.5, 3.75), (1, 5)])
def test_trial_calls_of_many_keys_are_jittered(jitter: float, seconds: float) -> None:
    breaker = CircuitBreaker()
    _answers(breaker, 0.0, *[SILENT] * LEAST_CALLS, jitter=jitter)
    assert breaker.trial_at == seconds


def test_polls_in_flight_at_the_opening_are_no_trial_calls() -> None:
    """With sixty polls in flight the first trial call would come after minutes."""
    breaker = CircuitBreaker()
    _answers(breaker, 0.0, *[SILENT] * 60)
    assert breaker.trial_at == FIRST_TRIAL
    breaker.complete(TRIAL_CALL, 99, SILENT, 4.0, 1.0)
    assert breaker.blocks(FIRST_TRIAL) is None
    assert _probed(breaker, FIRST_TRIAL) == 2 * FIRST_TRIAL


@pytest.mark.parametrize("reason", [REJECTED, SILENT], ids=["rejected", "unreachable"])
def test_older_polls_are_not_taken_for_the_trial_call(
    reason: CallFailure,
) -> None:
    """Polls that time out would delay the next trial call, and one more would be in flight."""
    breaker = CircuitBreaker()
    _answers(breaker, 0.0, *[reason] * LEAST_CALLS)
    breaker.acquire(TRIAL_CALL, 60.0)
    for model_id in range(30):
        breaker.complete(BEFORE, model_id, SILENT, 61.0, 1.0)
    assert breaker.trial_at == 60.0 + PATIENCE
    breaker.complete(TRIAL_CALL, 7, SILENT, 90.0, 1.0)
    assert breaker.trial_at == 90.0 + (TRIAL_INTERVAL if reason is REJECTED else 2 * FIRST_TRIAL)


def test_trial_call_without_a_reply_is_replaced() -> None:
    breaker = CircuitBreaker()
    _answers(breaker, 0.0, *[SILENT] * LEAST_CALLS)
    breaker.acquire(TRIAL_CALL, 10.0)
    assert breaker.blocks(10.0 + PATIENCE - 0.001) is not None
    assert breaker.blocks(10.0 + PATIENCE) is None


def test_call_of_a_closed_circuit_is_no_trial_call() -> None:
    breaker = CircuitBreaker()
    breaker.acquire(TRIAL_CALL, 0.0)
    assert breaker.blocks(0.0) is None


# A time that the API names.


def _naming(seconds: float) -> CallFailure:
    return CallFailure(FailureKind.AMBIGUOUS, "HTTP 503", 503, retry_after=seconds)


def _opened_alone(seconds: float, now: float = 0.0) -> CircuitBreaker:
    """A circuit that the reply to one model's poll has opened."""
    breaker = CircuitBreaker()
    breaker.complete(BEFORE, 1, _naming(seconds), now, 1)
    return breaker


@pytest.mark.parametrize(
    ("seconds", "due"),
    [
        pytest.param(FIRST_TRIAL, FIRST_TRIAL, id="the shortest"),
        pytest.param(120.0, 120.0, id="as named"),
        pytest.param(MAX_NAMED, MAX_NAMED, id="as long as one model counts"),
        pytest.param(MAX_NAMED + 1, MAX_NAMED, id="longer"),
        pytest.param(86_400.0, MAX_NAMED, id="absurd"),
    ],
)
def test_first_named_time_stops_polls_until_then(seconds: float, due: float) -> None:
    breaker, failure = _opened_alone(seconds), _naming(seconds)
    open_circuit = OpenCircuit(failure, 0.0, named=due)
    assert breaker.blocks(0.0) == breaker.blocks(due - 0.001) == open_circuit
    assert breaker.blocks(due) is None
    breaker.acquire(TRIAL_CALL, due)
    assert breaker.blocks(due) == OpenCircuit(failure, 0.0)
    assert breaker.complete(TRIAL_CALL, 2, None, due + 1, 1)
    assert breaker.open_circuit is None


@pytest.mark.parametrize("seconds", [0.0, 1.0, FIRST_TRIAL - 0.1])
def test_short_named_time_is_one_call_that_was_shed(seconds: float) -> None:
    breaker = CircuitBreaker()
    _answers(breaker, 0.0, *[_naming(seconds)] * (LEAST_CALLS - 1))
    assert breaker.open_circuit is None
    breaker.complete(TRIAL_CALL, LEAST_CALLS, _naming(seconds), 0.0, 1)
    assert breaker.trial_at == FIRST_TRIAL


@pytest.mark.parametrize(
    ("seconds", "wait"),
    [
        pytest.param(30.0, 30.0, id="another time"),
        pytest.param(1.0, FIRST_TRIAL, id="soon"),
        pytest.param(0.0, 2 * FIRST_TRIAL, id="at once: as if none was named"),
    ],
)
def test_trial_call_that_names_another_time_is_followed(seconds: float, wait: float) -> None:
    breaker = _opened_alone(120.0)
    assert _probed(breaker, 120.0, _naming(seconds)) == wait
    assert breaker.open_circuit is not None
    assert breaker.open_circuit.named == (120 + wait if seconds else None)
    assert breaker.open_circuit.since == 0


@pytest.mark.parametrize("model", [1, 2], ids=["the same model", "another one"])
def test_named_time_stops_polls_for_five_minutes_at_most(model: int) -> None:
    breaker = _opened_alone(86_400.0)
    for now in (MAX_NAMED, 2 * MAX_NAMED):
        breaker.acquire(TRIAL_CALL, now)
        breaker.complete(TRIAL_CALL, model, _naming(86_400.0), now, 1)
        assert breaker.trial_at == now + MAX_NAMED


@pytest.mark.parametrize(
    ("seconds", "due"), [(60.0, 120.0), (180.0, 181.0)], ids=["earlier", "later"]
)
def test_polls_that_were_in_flight_name_a_later_time_only(seconds: float, due: float) -> None:
    breaker = _opened_alone(120.0)
    breaker.complete(BEFORE, 2, _naming(seconds), 1.0, 1)
    assert breaker.trial_at == due


def test_time_named_in_flight_puts_the_first_trial_call_off() -> None:
    breaker = CircuitBreaker()
    _answers(breaker, 0.0, *[SILENT] * LEAST_CALLS)
    breaker.complete(BEFORE, 9, _naming(120.0), 1.0, 1)
    assert breaker.trial_at == 121
    breaker.acquire(TRIAL_CALL, 121.0)
    breaker.complete(BEFORE, 8, _naming(500.0), 122.0, 1)
    assert breaker.trial_at == 121 + PATIENCE  # the answer to the trial call decides


def test_one_model_stops_polls_once_before_its_next_reply() -> None:
    breaker = _opened_alone(120.0)
    for now in (120.0, 120.0 + 2 * REPEAT):
        _answers(breaker, now, None)  # another model
        breaker.complete(BEFORE, 1, _naming(120.0), now, 1)
        assert breaker.open_circuit is None
    breaker.complete(BEFORE, 1, None, 9000.0, 1)
    breaker.complete(BEFORE, 1, _naming(120.0), 9001.0, 1)
    assert breaker.open_circuit is not None


@pytest.mark.parametrize(("now", "is_open"), [(120 + REPEAT - 1, False), (120 + REPEAT, True)])
def test_one_reply_stops_polls_once_an_hour(now: float, *, is_open: bool) -> None:
    breaker = _opened_alone(120.0)
    _answers(breaker, 120.0, None, None)
    breaker.complete(BEFORE, 2, _naming(120.0), now, 1)
    assert (breaker.open_circuit is not None) == is_open
    # More polls confirm the failure.
    _answers(breaker, now, *[SILENT] * LEAST_CALLS)
    breaker.complete(BEFORE, 2, _naming(120.0), now, 1)
    assert breaker.open_circuit is not None
    assert breaker.trial_at == now + 120


def test_polls_in_flight_put_off_no_trial_call_of_a_rejected_key() -> None:
    breaker = CircuitBreaker()
    _answers(breaker, 0.0, REJECTED)
    breaker.complete(BEFORE, 2, _naming(86_400.0), 1.0, 1)
    assert breaker.trial_at == TRIAL_INTERVAL


def test_rejected_key_is_tried_again_at_the_named_time() -> None:
    breaker = CircuitBreaker()
    _answers(breaker, 0.0, REJECTED)
    assert _probed(breaker, 60.0, _naming(200.0)) == 200
    assert _probed(breaker, 260.0, REJECTED) == TRIAL_INTERVAL
    assert breaker.open_circuit == OpenCircuit(REJECTED, 0.0)


# From one cause to the other.


@pytest.mark.parametrize(
    ("answers", "open_circuit"),
    [
        pytest.param([REJECTED], OpenCircuit(REJECTED, 50.0), id="it is back, and rejects the key"),
        pytest.param([SILENT], OpenCircuit(SILENT, 0.0), id="still unreachable"),
    ],
)
def test_unreachable_api_may_reject_the_key_once_it_replies(
    answers: Sequence[CallFailure], open_circuit: OpenCircuit
) -> None:
    breaker = CircuitBreaker()
    _answers(breaker, 0.0, *[SILENT] * LEAST_CALLS)
    breaker.acquire(TRIAL_CALL, 50.0)
    _answers(breaker, 50.0, *answers)
    assert breaker.open_circuit == open_circuit


def test_rejected_key_stays_reported_while_unreachable() -> None:
    breaker = CircuitBreaker()
    _answers(breaker, 0.0, REJECTED, *[SILENT] * LEAST_CALLS)
    assert breaker.open_circuit == OpenCircuit(REJECTED, 0.0)
    assert breaker.blocks(TRIAL_INTERVAL) is None
