"""core/ratelimit/limiter.py: windows, replies, remaining calls and the even pace."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.ratelimit.additive_increase import ObservedLimit
from scriptix_operator.core.ratelimit.hold import BELIEVED
from scriptix_operator.core.ratelimit.limiter import BURST, RateLimiter
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.window import PastCall

MINUTE, HOUR = 60.0, 3600.0
FIVE_AN_HOUR = (Limit(5, HOUR),)
NOT_SENT = CallFailure(FailureKind.NOT_SENT, "no connection")
REFUSED = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429)


def spent(limits: Sequence[Limit], *times: float) -> RateLimiter:
    """A limiter with calls that were sent, and answered at once, at these times."""
    limiter = RateLimiter(limits)
    for time in times:
        limiter.complete(limiter.acquire(time), time)
    return limiter


# Windows.


def test_the_window_slides_with_the_oldest_call() -> None:
    limiter = spent(FIVE_AN_HOUR, 0, 10, 20, 30, 40)
    assert limiter.wait(1000.0) == 2600
    assert limiter.wait(3600.0) == 0
    limiter.acquire(3600.0)
    assert limiter.wait(3600.0) == 10


def test_all_limits_hold_at_once() -> None:
    limiter = spent((Limit(2, 10.0), Limit(3, 100.0)), 0, 1)
    assert limiter.wait(1.0) == 9
    limiter.complete(limiter.acquire(10.0), 10.0)
    assert limiter.wait(11.0) == 89


def test_a_call_ages_from_when_its_reply_was_read() -> None:
    limiter = RateLimiter((Limit(1, MINUTE),))
    permit = limiter.acquire(0.0)
    assert limiter.wait(100.0) == 60  # for any duration of the call
    limiter.complete(permit, 100.0)
    assert limiter.wait(130.0) == 30


@pytest.mark.parametrize(
    ("seconds", "status", "wait"),
    [
        pytest.param(HOUR, None, HOUR + 10, id="lost: it may be counted later"),
        pytest.param(HOUR, 500, HOUR, id="answered: it has been counted"),
        pytest.param(MINUTE, None, MINUTE + 10, id="lost in a minute's window"),
        pytest.param(6.0, None, 7.0, id="lost in a short window"),
    ],
)
def test_a_call_without_a_reply_may_act_a_little_later(
    seconds: float, status: int | None, wait: float
) -> None:
    limiter = RateLimiter((Limit(1, seconds),))
    limiter.complete(limiter.acquire(0.0), 0.0, CallFailure(FailureKind.AMBIGUOUS, "", status))
    assert limiter.wait(0.0) == wait


def test_calls_age_in_order_despite_a_lost_reply() -> None:
    limiter = RateLimiter((Limit(3, HOUR),))
    for at, failure in ((0.0, CallFailure(FailureKind.AMBIGUOUS, "")), (1.0, None), (2.0, None)):
        limiter.complete(limiter.acquire(at), at, failure)
    assert [limiter.wait(2.0, ahead) for ahead in range(3)] == [3599, 3600, 3608]


@pytest.mark.parametrize("answered", [False, True], ids=["before its answer", "by its answer"])
def test_permit_of_an_unsent_call_is_returned(answered: bool) -> None:  # noqa: FBT001 - both ways
    limiter = RateLimiter((Limit(1, MINUTE),))
    permit = limiter.acquire(5.0)
    assert (limiter.in_flight, limiter.wait(5.0)) == (1, 60)
    if answered:
        assert not limiter.complete(permit, 6.0, NOT_SENT)
    else:
        limiter.cancel(permit, 6.0)
    assert (limiter.in_flight, limiter.wait(6.0)) == (0, 0)


@pytest.mark.parametrize(
    ("ahead", "wait"),
    [(0, 0), (4, 0), (5, 3600), (9, 3600), (10, 7200)],
    ids=["first", "fifth", "sixth", "tenth", "eleventh"],
)
def test_calls_ahead_in_the_queue_count_first(ahead: int, wait: float) -> None:
    assert RateLimiter(FIVE_AN_HOUR).wait(0.0, ahead) == wait


def test_more_calls_than_the_limit_age_one_by_one() -> None:
    """The limit was lowered by a setting between two processes, or by inference."""
    limiter = RateLimiter((Limit(2, HOUR),))
    limiter.restore([PastCall(600.0 * n) for n in range(5)])
    assert [limiter.wait(2400.0, ahead) for ahead in range(4)] == [3000, 3600, 6600, 7200]


@given(
    st.integers(1, 4),
    st.lists(st.integers(201, 300), max_size=8),
    st.integers(0, 3),
    st.integers(0, 9),
    st.none() | st.integers(300, 600),
)
def test_wait_equals_the_wait_of_a_simulation(
    count: int, times: list[int], in_flight: int, ahead: int, held: int | None
) -> None:
    """An in-flight call counts as answered as soon as the next call may be made."""
    now, moment = 300.0, float(held or 300)
    limiter, tried = RateLimiter((Limit(count, 100.0),)), RateLimiter((Limit(count, 100.0),))
    known = [PastCall(float(time)) for time in times]
    limiter.restore(known)
    tried.restore([*known, *[PastCall(moment)] * in_flight])
    limiter._limits.hold.until = moment
    for _ in range(in_flight):
        limiter.acquire(now)
    for _ in range(ahead):
        moment += tried.wait(moment)
        tried.complete(tried.acquire(moment), moment)
    assert limiter.wait(now, ahead) == moment + tried.wait(moment) - now


# Replies.


@pytest.mark.parametrize(
    ("kind", "counts", "proves"),
    [
        (None, True, True),
        (FailureKind.NOT_FOUND, True, True),
        (FailureKind.CONFLICT, True, True),
        (FailureKind.REJECTED, True, True),
        (FailureKind.AMBIGUOUS, True, False),
        (FailureKind.UNAUTHORIZED, True, False),
        (FailureKind.RATE_LIMITED, True, False),
        (FailureKind.NOT_SENT, False, False),
    ],
)
def test_calls_that_may_have_arrived_count_toward_the_limit(
    kind: FailureKind | None,
    counts: bool,  # noqa: FBT001 - the expected value
    proves: bool,  # noqa: FBT001 - the expected value
) -> None:
    limiter = RateLimiter((Limit(1, HOUR),))
    failure = None if kind is None else CallFailure(kind, "no")
    limiter.complete(limiter.acquire(0.0), 1.0, failure)
    assert (limiter.wait(0.9 * HOUR) > 0) == counts
    assert limiter.is_proved == proves
    assert limiter.in_flight == 0


def test_refusal_with_retry_after_is_not_charged() -> None:
    limiter = RateLimiter((Limit(5, HOUR),))
    refusal = replace(REFUSED, retry_after=60.0)
    limiter.complete(limiter.acquire(0.0), 1.0, refusal, RateLimitInfo(limit=3))
    assert [limiter.wait(1.0, ahead) for ahead in range(4)] == [60, 60, 60, 3660]


def test_calls_are_counted_by_tag_in_the_longest_window() -> None:
    limiter = RateLimiter((Limit(9, MINUTE), Limit(50, HOUR)))
    limiter.restore([PastCall(0.0, "a"), PastCall(1.0, "b"), PastCall(2.0, "a")])
    limiter.acquire(3.0, "c")
    limiter.complete(limiter.acquire(3.0, "b"), 4.0)
    assert limiter.calls_by_tag(4.0) == {"a": 2, "b": 2, "c": 1}
    assert limiter.calls_by_tag(HOUR) == {"a": 1, "b": 2, "c": 1}
    assert limiter.calls_by_tag(HOUR + 4) == {"c": 1}  # still in flight


def test_calls_of_another_process_count_in_order_of_time() -> None:
    limiter = RateLimiter(FIVE_AN_HOUR)
    limiter.restore([PastCall(300.0), PastCall(100.0)])
    limiter.restore([PastCall(200.0), PastCall(0.0), PastCall(400.0)])
    assert [limiter.wait(500.0, ahead) for ahead in range(5)] == [3100, 3200, 3300, 3400, 3500]


def test_calls_of_another_process_infer_a_limit() -> None:
    limiter = RateLimiter(FIVE_AN_HOUR)
    limiter.restore([PastCall(0.0), PastCall(1.0)])
    assert limiter.complete(limiter.acquire(2.0), 2.0, replace(REFUSED, retry_after=3598.0))
    assert limiter.limits(2.0) == (Limit(2, HOUR),)


def test_new_window_counts_earlier_calls() -> None:
    limiter = RateLimiter((Limit(2, MINUTE),))
    for minute in range(6):
        at = 61.0 * minute
        assert not limiter.complete(limiter.acquire(at), at)
    refusal = replace(REFUSED, retry_after=3500.0)
    assert limiter.complete(limiter.acquire(400.0), 400.0, refusal, RateLimitInfo(limit=6))
    assert limiter.limits(400.0) == (Limit(2, MINUTE), Limit(6, HOUR))
    assert limiter.wait(400.0) == 3500
    assert limiter.wait(3900.0) == 0
    assert [limiter.wait(3900.0, ahead) for ahead in (4, 5, 6)] == [120, 120, 3600]


# Remaining quota while others use the key.


def _answered(limiter: RateLimiter, now: float, remaining: int, reset: float = 30.0) -> None:
    events = RateLimitInfo(limit=10, remaining=remaining, reset=reset)
    limiter.complete(limiter.acquire(now), now, None, events)


@pytest.mark.parametrize(
    ("remaining", "waits"),
    [
        pytest.param(9, [0, 0, 0], id="as our own calls explain"),
        pytest.param(8, [0, 0, 0], id="less, but enough"),
        pytest.param(2, [0, 0, 30], id="two left"),
        pytest.param(0, [30, 30, 30], id="none left"),
    ],
)
def test_remaining_quota_is_not_exceeded(remaining: int, waits: list[float]) -> None:
    limiter = RateLimiter((Limit(10, MINUTE),))
    _answered(limiter, 100.0, remaining)
    assert [limiter.wait(100.0, ahead) for ahead in range(3)] == waits


def test_remaining_quota_follows_sent_and_returned_calls() -> None:
    limiter = RateLimiter((Limit(10, MINUTE),))
    _answered(limiter, 100.0, 1)
    permit = limiter.acquire(101.0)
    assert limiter.wait(101.0) == 29
    limiter.cancel(permit, 102.0)
    assert limiter.wait(102.0) == 0
    limiter.acquire(102.0)
    assert limiter.wait(129.999) == pytest.approx(0.001)
    assert limiter.wait(130.0) == 0


def test_in_flight_calls_may_or_may_not_be_in_remaining() -> None:
    limiter = RateLimiter((Limit(10, MINUTE),))
    first, second = limiter.acquire(100.0), limiter.acquire(100.0)
    limiter.complete(first, 101.0, None, RateLimitInfo(limit=10, remaining=2, reset=30.0))
    assert [limiter.wait(101.0, ahead) for ahead in (0, 1)] == [0, 30]
    limiter.complete(second, 101.0, None, RateLimitInfo(limit=10, remaining=2, reset=30.0))
    assert [limiter.wait(101.0, ahead) for ahead in (1, 2)] == [0, 30]


@pytest.mark.parametrize("days", [1, 30])
def test_reset_beyond_any_window_is_tried_after_an_hour(days: int) -> None:
    """Otherwise a wrong reset time would hold the key until it passes."""
    limiter = RateLimiter((Limit(10, 60.0),))
    _answered(limiter, 100.0, 0, reset=days * 86400.0)
    assert limiter.wait(100.0) == BELIEVED


def test_higher_remaining_quota_is_used_at_once() -> None:
    limiter = RateLimiter((Limit(10, MINUTE),))
    _answered(limiter, 100.0, 1)
    _answered(limiter, 110.0, 8)
    assert [limiter.wait(110.0, ahead) for ahead in (7, 8)] == [0, 50]


@pytest.mark.parametrize(
    "events", [None, RateLimitInfo(limit=10, remaining=0), RateLimitInfo(limit=10, reset=30.0)]
)
def test_incomplete_remaining_header_is_ignored(events: RateLimitInfo | None) -> None:
    limiter = RateLimiter((Limit(10, MINUTE),))
    limiter.complete(limiter.acquire(100.0), 100.0, None, events)
    assert limiter.wait(100.0, 8) == 0


# Even pace.


def _sent(limiter: RateLimiter, until: float, now: float = 0.0) -> list[float]:
    """Call whenever the limiter grants a permit."""
    sent = []
    while now + limiter.wait(now) < until:
        now += limiter.wait(now)
        limiter.complete(limiter.acquire(now), now)
        sent.append(now)
    return sent


def test_paced_limiter_bursts_a_fifth_then_keeps_its_pace() -> None:
    limiter = RateLimiter((Limit(20, MINUTE),), evenly=True)
    assert _sent(limiter, 15.0) == [0.0] * 4 + [3.0, 6.0, 9.0, 12.0]
    assert limiter.rate(15.0) == 20 / MINUTE
    # A pause adds at most a burst.
    assert _sent(limiter, 59.0, 50.0) == [50.0] * 4 + [53.0, 56.0]


@pytest.mark.parametrize(("count", "burst"), [(1, 1), (5, 1), (9, 1), (10, 2), (100, 20)])
def test_a_burst_is_a_fifth_but_one_call_at_least(count: int, burst: int) -> None:
    limiter = RateLimiter((Limit(count, MINUTE),), evenly=True)
    assert len(_sent(limiter, 0.001)) == burst == max(int(BURST * count), 1)


def test_paced_limiter_makes_no_burst_in_an_unknown_window() -> None:
    limiter = RateLimiter((Limit(20, MINUTE), Limit(1000, HOUR)), evenly=True)
    limiter.pace(0.0)
    assert _sent(limiter, 59.9)[:4] == pytest.approx([0, 3.6, 7.2, 10.8])
    assert _sent(limiter, 60.001, 60.0) == [60.0] * 3


def test_pace_follows_the_strictest_limit_observed_ones_too() -> None:
    limiter = RateLimiter((Limit(20, MINUTE), Limit(600, HOUR)), evenly=True)
    assert limiter.rate(0.0) == 600 / HOUR
    limiter.restore_limits([ObservedLimit(MINUTE, 5, 0.0)])
    assert limiter.observed_limits == (ObservedLimit(MINUTE, 5, 0.0),)
    assert limiter.rate(0.0) == 5 / MINUTE


def test_unsent_call_frees_its_time_in_the_pace() -> None:
    limiter = RateLimiter((Limit(5, MINUTE),), evenly=True)
    permit = limiter.acquire(0.0)
    assert limiter.wait(1.0) == 11
    limiter.cancel(permit, 1.0)
    assert limiter.wait(1.0) == 0


# A part of the quota.


def test_part_is_used_from_sending_to_a_window_after_the_reply() -> None:
    limiter = RateLimiter([Limit(10, HOUR)])
    first, second = limiter.acquire(0.0, "r"), limiter.acquire(1.0, "r")
    assert limiter.wait_in_part(2.0, "r", 0.2) == HOUR
    limiter.complete(first, 10.0)
    assert limiter.wait_in_part(20.0, "r", 0.2) == HOUR - 10
    limiter.cancel(second, 30.0)
    assert limiter.wait_in_part(30.0, "r", 0.2) == 0
    assert limiter.wait_in_part(30.0, "r", 0.1) == HOUR - 20


def test_part_is_of_each_effective_limit_and_one_call_at_least() -> None:
    limiter = RateLimiter([Limit(5, MINUTE), Limit(100, HOUR)])
    limiter.complete(limiter.acquire(0.0, "r"), 0.0)
    assert limiter.wait_in_part(0.0, "r", 0.2) == MINUTE
    assert limiter.wait_in_part(MINUTE, "r", 0.2) == 0
    limiter.restore_limits([ObservedLimit(HOUR, 6, 0.0)])
    assert limiter.wait_in_part(MINUTE, "r", 0.2) == HOUR - MINUTE


def test_calls_without_the_tag_do_not_count_toward_the_part() -> None:
    limiter = RateLimiter([Limit(5, HOUR)])
    limiter.complete(limiter.acquire(0.0), 1.0)
    limiter.acquire(1.0, "other")
    assert limiter.wait_in_part(1.0, "r", 0.2) == 0
