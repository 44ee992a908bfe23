"""The few log calls of a key; ended runs come first."""

import pytest

from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.window import PastCall, Permit
from scriptix_operator.core.scheduling.fair_queue import DISPATCH_TIMEOUT
from scriptix_operator.core.scheduling.log_fetches import RUNNING_PART, SHORTEST_WAIT, LogCalls

HOUR = 3600.0
NOT_SENT = CallFailure(FailureKind.NOT_SENT, "no connection")
LOST = CallFailure(FailureKind.AMBIGUOUS, "no reply")
REFUSED = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=HOUR)


def a_key(name: str) -> TrainingKey:
    """A resource."""
    return TrainingKey("team-a", name)


@pytest.fixture
def logs() -> LogCalls:
    """Return log calls: four an hour, one at a time, three of them for running runs."""
    return LogCalls((Limit(4, HOUR),))


def _ask(logs: LogCalls, name: str, now: float, *, has_ended: bool = True) -> float | None:
    """Request a call; returns the wait, or None if the call was granted and answered."""
    outcome = logs.ask(a_key(name), now, has_ended=has_ended)
    if not isinstance(outcome, Permit):
        return outcome
    logs.answered(outcome, now)
    return None


def _go_on(logs: LogCalls, name: str, now: float) -> float | None:
    return _ask(logs, name, now, has_ended=False)


@pytest.mark.parametrize("has_ended", [True, False])
def test_every_log_call_is_granted_within_the_quota(
    logs: LogCalls,
    has_ended: bool,  # noqa: FBT001 - both ways
) -> None:
    assert _ask(logs, "a", 0.0, has_ended=has_ended) is None
    assert _ask(logs, "b", 0.0, has_ended=has_ended) == 900
    assert _ask(logs, "b", 900.0, has_ended=has_ended) is None


def test_ended_runs_are_first_in_first_out(logs: LogCalls) -> None:
    _ask(logs, "a", 0.0)
    assert [_ask(logs, name, 100.0) for name in "bcd"] == [800, 1700, 2600]
    assert [_ask(logs, name, 900.0) for name in "dcb"] == [1800, 900, None]
    assert [_ask(logs, name, 1800.0) for name in "dc"] == [900, None]


def test_running_runs_wait_for_all_ended_runs(logs: LogCalls) -> None:
    _ask(logs, "a", 0.0)
    assert _go_on(logs, "r", 100.0) == 800
    _ask(logs, "b", 100.0)
    assert _go_on(logs, "r", 100.0) == 1700
    assert _go_on(logs, "r", 900.0) == 900  # b comes first, and may call a little later
    assert _ask(logs, "b", 901.0) is None


def test_absent_resource_is_skipped_after_a_moment(logs: LogCalls) -> None:
    _ask(logs, "a", 0.0)
    _ask(logs, "b", 100.0)
    assert _go_on(logs, "r", 900.0 + DISPATCH_TIMEOUT) is not None
    assert _go_on(logs, "r", 900.0 + DISPATCH_TIMEOUT + 0.001) is None


def test_resource_that_leaves_delays_no_other(logs: LogCalls) -> None:
    _ask(logs, "a", 0.0)
    _ask(logs, "b", 100.0)
    logs.leave(a_key("b"))
    logs.leave(a_key("never-there"))
    assert _go_on(logs, "r", 900.0) is None


def test_running_runs_have_a_share_of_the_log_quota(logs: LogCalls) -> None:
    assert RUNNING_PART == 0.75
    assert [_go_on(logs, "r", now) for now in (0.0, 900.0, 1800.0)] == [None] * 3
    assert _go_on(logs, "r", 2700.0) == 900
    assert _ask(logs, "e", 2700.0) is None
    assert _go_on(logs, "r", 3600.0) is None


@pytest.mark.parametrize(
    ("failure", "counts"),
    [(None, True), (LOST, True), (REFUSED, True), (NOT_SENT, False)],
    ids=["answered", "lost", "refused", "not sent"],
)
@pytest.mark.parametrize("has_ended", [True, False])
def test_sent_log_call_counts_without_a_reply(
    failure: CallFailure | None,
    counts: bool,  # noqa: FBT001 - the expected value
    has_ended: bool,  # noqa: FBT001 - both ways
) -> None:
    logs = LogCalls((Limit(1, HOUR),))
    permit = logs.ask(a_key("a"), 0.0, has_ended=has_ended)
    assert isinstance(permit, Permit)
    assert _go_on(logs, "b", 0.0) == HOUR  # its call is in flight
    logs.answered(permit, 1.0, failure)
    assert (_go_on(logs, "b", HOUR - 1) is not None) == counts
    assert logs._running.in_flight == 0


def test_refusal_of_a_log_call_may_infer_a_limit(logs: LogCalls) -> None:
    permit = logs.ask(a_key("a"), 0.0, has_ended=True)
    assert isinstance(permit, Permit)
    assert logs.answered(permit, 1.0, REFUSED, RateLimitInfo(limit=2))
    assert logs.limiter.limits(1.0) == (Limit(2, HOUR),)


def test_log_calls_of_an_earlier_process_count(
    logs: LogCalls,
) -> None:
    logs.recall([PastCall(-600.0), PastCall(-1200.0)])
    assert _ask(logs, "a", 0.0) == 300
    assert _ask(logs, "a", 300.0) is None
    full = LogCalls((Limit(4, HOUR),))
    full.recall([PastCall(-HOUR + 1000.0 + n) for n in range(4)])
    assert _ask(full, "a", 0.0) == 1000


@pytest.mark.parametrize("has_ended", [True, False])
def test_log_call_never_waits_for_less_than_a_second(
    logs: LogCalls,
    has_ended: bool,  # noqa: FBT001 - both ways
) -> None:
    _ask(logs, "a", 0.0, has_ended=has_ended)
    assert _ask(logs, "b", 900.0 - 1e-9, has_ended=has_ended) == SHORTEST_WAIT
    assert _ask(logs, "b", 900.0, has_ended=has_ended) is None
