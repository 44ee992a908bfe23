"""Sliding windows, and simulated clients at servers that limit the rate."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.ratelimit.effective_limits import BELIEVED
from scriptix_operator.core.ratelimit.inference import CLEAN_WINDOWS, ObservedLimit
from scriptix_operator.core.ratelimit.limiter import BURST, RateLimiter
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.window import PastCall
from tests.unit.core.rateserver import Play, Server, Tells

MINUTE, HOUR = 60.0, 3600.0
FIVE_AN_HOUR = (Limit(5, HOUR),)
NOT_SENT = CallFailure(FailureKind.NOT_SENT, "no connection")
REFUSED = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429)


def spent(limits: Sequence[Limit], *times: float) -> RateLimiter:
    """A limiter with calls that were sent, and answered at once, at these times."""
    limiter = RateLimiter(limits)
    for time in times:
        limiter.answered(limiter.acquire(time), time)
    return limiter


# Windows.


def test_fresh_limiter_grants_its_whole_count_at_once() -> None:
    limiter = RateLimiter(FIVE_AN_HOUR)
    for _ in range(5):
        assert limiter.wait(100.0) == 0
        limiter.acquire(100.0)
    assert limiter.wait(100.0) == 3600


def test_the_window_slides_with_the_oldest_call() -> None:
    limiter = spent(FIVE_AN_HOUR, 0, 10, 20, 30, 40)
    assert limiter.wait(1000.0) == 2600
    assert limiter.wait(3600.0) == 0
    limiter.acquire(3600.0)
    assert limiter.wait(3600.0) == 10


def test_all_limits_hold_at_once() -> None:
    limiter = spent((Limit(2, 10.0), Limit(3, 100.0)), 0, 1)
    assert limiter.wait(1.0) == 9
    limiter.answered(limiter.acquire(10.0), 10.0)
    assert limiter.wait(11.0) == 89


def test_a_call_ages_from_when_its_reply_was_read() -> None:
    limiter = RateLimiter((Limit(1, MINUTE),))
    permit = limiter.acquire(0.0)
    assert limiter.wait(100.0) == 60  # for any duration of the call
    limiter.answered(permit, 100.0)
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
    limiter.answered(limiter.acquire(0.0), 0.0, CallFailure(FailureKind.AMBIGUOUS, "", status))
    assert limiter.wait(0.0) == wait


def test_calls_age_in_order_despite_a_lost_reply() -> None:
    limiter = RateLimiter((Limit(3, HOUR),))
    for at, failure in ((0.0, CallFailure(FailureKind.AMBIGUOUS, "")), (1.0, None), (2.0, None)):
        limiter.answered(limiter.acquire(at), at, failure)
    assert [limiter.wait(2.0, ahead) for ahead in range(3)] == [3599, 3600, 3608]


@pytest.mark.parametrize("answered", [False, True], ids=["before its answer", "by its answer"])
def test_permit_of_an_unsent_call_is_returned(answered: bool) -> None:  # noqa: FBT001 - both ways
    limiter = RateLimiter((Limit(1, MINUTE),))
    permit = limiter.acquire(5.0)
    assert (limiter.in_flight, limiter.wait(5.0)) == (1, 60)
    if answered:
        assert not limiter.answered(permit, 6.0, NOT_SENT)
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
    limiter.recall([PastCall(600.0 * n) for n in range(5)])
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
    limiter.recall(known)
    tried.recall([*known, *[PastCall(moment)] * in_flight])
    limiter._limits.held_until = moment
    for _ in range(in_flight):
        limiter.acquire(now)
    for _ in range(ahead):
        moment += tried.wait(moment)
        tried.answered(tried.acquire(moment), moment)
    assert limiter.wait(now, ahead) == moment + tried.wait(moment) - now


@given(st.integers(1, 5), st.lists(st.integers(0, 50), min_size=1, max_size=40))
def test_no_window_ever_holds_more_than_its_count(count: int, gaps: list[int]) -> None:
    limiter, now, sent = RateLimiter((Limit(count, MINUTE),)), 0.0, list[float]()
    for gap in gaps:
        now += gap
        now += limiter.wait(now)
        limiter.answered(limiter.acquire(now), now)
        sent.append(now)
    assert all(sum(start <= time < start + 60 for time in sent) <= count for start in sent)


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
    limiter.answered(limiter.acquire(0.0), 1.0, failure)
    assert (limiter.wait(0.9 * HOUR) > 0) == counts
    assert limiter.is_proved == proves
    assert limiter.in_flight == 0


def test_refusal_with_retry_after_is_not_charged() -> None:
    limiter = RateLimiter((Limit(5, HOUR),))
    refusal = replace(REFUSED, retry_after=60.0)
    limiter.answered(limiter.acquire(0.0), 1.0, refusal, RateLimitInfo(limit=3))
    assert [limiter.wait(1.0, ahead) for ahead in range(4)] == [60, 60, 60, 3660]


def test_calls_are_counted_by_tag_in_the_longest_window() -> None:
    limiter = RateLimiter((Limit(9, MINUTE), Limit(50, HOUR)))
    limiter.recall([PastCall(0.0, "a"), PastCall(1.0, "b"), PastCall(2.0, "a")])
    limiter.acquire(3.0, "c")
    limiter.answered(limiter.acquire(3.0, "b"), 4.0)
    assert limiter.calls_by_tag(4.0) == {"a": 2, "b": 2, "c": 1}
    assert limiter.calls_by_tag(HOUR) == {"a": 1, "b": 2, "c": 1}
    assert limiter.calls_by_tag(HOUR + 4) == {"c": 1}  # still in flight


def test_calls_of_another_process_count_in_order_of_time() -> None:
    limiter = RateLimiter(FIVE_AN_HOUR)
    limiter.recall([PastCall(300.0), PastCall(100.0)])
    limiter.recall([PastCall(200.0), PastCall(0.0), PastCall(400.0)])
    assert [limiter.wait(500.0, ahead) for ahead in range(5)] == [3100, 3200, 3300, 3400, 3500]


def test_calls_of_another_process_infer_a_limit() -> None:
    limiter = RateLimiter(FIVE_AN_HOUR)
    limiter.recall([PastCall(0.0), PastCall(1.0)])
    assert limiter.answered(limiter.acquire(2.0), 2.0, replace(REFUSED, retry_after=3598.0))
    assert limiter.limits(2.0) == (Limit(2, HOUR),)


def test_new_window_counts_earlier_calls() -> None:
    limiter = RateLimiter((Limit(2, MINUTE),))
    for minute in range(6):
        at = 61.0 * minute
        assert not limiter.answered(limiter.acquire(at), at)
    refusal = replace(REFUSED, retry_after=3500.0)
    assert limiter.answered(limiter.acquire(400.0), 400.0, refusal, RateLimitInfo(limit=6))
    assert limiter.limits(400.0) == (Limit(2, MINUTE), Limit(6, HOUR))
    assert limiter.wait(400.0) == 3500
    assert limiter.wait(3900.0) == 0
    assert [limiter.wait(3900.0, ahead) for ahead in (4, 5, 6)] == [120, 120, 3600]


# Remaining quota while others use the key.


def _answered(limiter: RateLimiter, now: float, remaining: int, reset: float = 30.0) -> None:
    events = RateLimitInfo(limit=10, remaining=remaining, reset=reset)
    limiter.answered(limiter.acquire(now), now, None, events)


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
    limiter.answered(first, 101.0, None, RateLimitInfo(limit=10, remaining=2, reset=30.0))
    assert [limiter.wait(101.0, ahead) for ahead in (0, 1)] == [0, 30]
    limiter.answered(second, 101.0, None, RateLimitInfo(limit=10, remaining=2, reset=30.0))
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
    limiter.answered(limiter.acquire(100.0), 100.0, None, events)
    assert limiter.wait(100.0, 8) == 0


# Even pace.


def _sent(limiter: RateLimiter, until: float, now: float = 0.0) -> list[float]:
    """Call whenever the limiter grants a permit."""
    sent = []
    while now + limiter.wait(now) < until:
        now += limiter.wait(now)
        limiter.answered(limiter.acquire(now), now)
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
    limiter.learn([ObservedLimit(MINUTE, 5, 0.0)])
    assert limiter.observed_limits == (ObservedLimit(MINUTE, 5, 0.0),)
    assert limiter.rate(0.0) == 5 / MINUTE


def test_unsent_call_frees_its_time_in_the_pace() -> None:
    limiter = RateLimiter((Limit(5, MINUTE),), evenly=True)
    permit = limiter.acquire(0.0)
    assert limiter.wait(1.0) == 11
    limiter.cancel(permit, 1.0)
    assert limiter.wait(1.0) == 0


# Simulations with servers.


def play(  # noqa: PLR0913 - each has a default
    configured: Sequence[Limit],
    limits: Sequence[Limit],
    *,
    slides: bool,
    tells: Tells,
    seed: int = 0,
    evenly: bool = False,
    parallel: int = 1,
    pause: float = 0.0,
    others: float = 0.0,
) -> Play:
    """A client and a server before the first call."""
    jitter = Random(seed)  # noqa: S311 - repeatable on purpose
    server = Server(limits, slides=slides, tells=tells, jitter=jitter)
    limiter = RateLimiter(configured, evenly=evenly)
    return Play(limiter, server, jitter, parallel=parallel, pause=pause, others=others)


LIMITS = st.sampled_from(
    [
        (Limit(1, MINUTE),),
        (Limit(5, MINUTE),),
        (Limit(12, MINUTE),),
        (Limit(3, MINUTE), Limit(7, 150.0)),
        (Limit(4, 10.0), Limit(10, MINUTE)),
    ]
)


CLIENTS = st.fixed_dictionaries(
    {
        "slides": st.booleans(),
        "tells": st.sampled_from(Tells),
        "seed": st.integers(0, 10**6),
        "evenly": st.booleans(),
        "parallel": st.integers(1, 6),
        "pause": st.sampled_from([0.0, 2.0, 11.0]),
    }
)


# The server rounds the time until the window of 60 s ends up to 61 s.
@example(
    limits=(Limit(3, 60.0), Limit(7, 150.0)),
    client={
        "slides": True,
        "tells": Tells.EVERYTHING,
        "seed": 1,
        "evenly": False,
        "parallel": 3,
        "pause": 0.0,
    },
)
@settings(max_examples=60)
@given(LIMITS, CLIENTS)
def test_client_within_the_limits_is_never_refused(
    limits: tuple[Limit, ...], client: dict[str, Any]
) -> None:
    """The server's windows and the durations of calls and replies are arbitrary."""
    played = play(limits, limits, **client)
    played.latency = 3.0
    played.run(8 * MINUTE)
    assert played.refused == []
    assert played.limiter.observed_limits == ()


SAID = (Tells.EVERYTHING, Tells.REFUSALS, Tells.RETRY_AFTER)
STARTS = (FIVE_AN_HOUR, range(1, 5), False)
LOGS = ((Limit(20, HOUR),), (7, 12, 19), True)


@pytest.mark.parametrize(("configured", "truths", "evenly"), [STARTS, LOGS], ids=["few", "evenly"])
@pytest.mark.parametrize("slides", [True, False], ids=["slides", "fixed"])
@pytest.mark.parametrize("tells", Tells)
def test_stricter_limit_is_inferred_from_one_refusal(
    configured: Sequence[Limit],
    truths: Sequence[int],
    evenly: bool,  # noqa: FBT001 - both ways
    slides: bool,  # noqa: FBT001 - both kinds
    tells: Tells,
) -> None:
    """Two refusals where Retry-After misleads; after them none for a day."""
    corrected = 0
    for seed in range(8):
        for truth in truths:
            limit = Limit(truth, HOUR)
            played = play(configured, [limit], slides=slides, tells=tells, seed=seed, evenly=evenly)
            # Calls before the rush may be in the same window or not.
            for _ in range(played.jitter.randint(0, 4)):
                played.run(HOUR * played.jitter.uniform(0, 0.5), calls=1)
            before = len(played.accepted)
            played.run((CLEAN_WINDOWS - 4) * HOUR)
            use = (len(played.accepted) - before) / truth / (CLEAN_WINDOWS - 4)
            assert use >= (0.95 if tells in SAID else 0.45)
            assert all(1 <= count <= configured[0].count for (count,) in played.most)
            refusals = len(played.refused)
            if tells is Tells.EVERYTHING:
                assert refusals == 0
            else:
                is_guess = tells in {Tells.RETRY_AFTER, Tells.CONSTANT} and not slides
                assert 1 <= refusals <= (2 if is_guess else 1)
                assert played.taught[0] > played.refused[0]
                corrected += refusals > 1
            if tells in {Tells.EVERYTHING, Tells.REFUSALS}:
                assert played.most[-1] == (truth,)
    assert corrected <= (16 if tells is Tells.CONSTANT else 1)


@pytest.mark.parametrize("slides", [True, False], ids=["slides", "fixed"])
@pytest.mark.parametrize("tells", Tells)
@pytest.mark.parametrize("truth", [7, 33, 99])
def test_parallel_calls_infer_the_limit_that_serial_calls_do(
    truth: int,
    slides: bool,  # noqa: FBT001 - both kinds
    tells: Tells,
) -> None:
    """Calls in flight at the first refusal may be refused, too; calls sent after it are not."""
    for seed in range(2):
        played = play(
            [Limit(100, MINUTE)],
            [Limit(truth, MINUTE)],
            slides=slides,
            tells=tells,
            seed=seed,
            evenly=True,
            parallel=5,
        )
        played.run(8 * MINUTE)
        first = played.taught[0]
        late = [at for at in played.refused if at > first]
        assert len(late) <= (0 if slides or tells not in {Tells.RETRY_AFTER, Tells.CONSTANT} else 1)
        assert len(played.accepted) / truth / 8 >= (0.95 if tells in SAID else 0.45)


TEN_AND_NINETY = (Limit(10, MINUTE), Limit(90, HOUR))


@pytest.mark.parametrize("limits", [(10, 60), (4, 90), (4, 60)], ids=["hour", "minute", "both"])
@pytest.mark.parametrize("slides", [True, False], ids=["slides", "fixed"])
@pytest.mark.parametrize("tells", SAID)
def test_stricter_of_several_windows_is_inferred(
    limits: tuple[int, int],
    slides: bool,  # noqa: FBT001 - both kinds
    tells: Tells,
) -> None:
    """While the hour's quota is used up the minute is clean: an extra call is refused."""
    minute, hour = limits
    truth = [Limit(minute, MINUTE), Limit(hour, HOUR)]
    played = play(TEN_AND_NINETY, truth, slides=slides, tells=tells).run(9 * HOUR)
    assert len(played.refused) <= 6
    assert len(played.accepted) >= 0.95 * 9 * hour
    stricter = {limit for limit in truth if limit not in TEN_AND_NINETY}
    assert {
        Limit(observed_limit.count, observed_limit.seconds)
        for observed_limit in played.limiter.observed_limits
    } == stricter


@pytest.mark.parametrize("slides", [True, False], ids=["slides", "fixed"])
@pytest.mark.parametrize(
    ("tells", "refusals"), [(Tells.EVERYTHING, 1), (Tells.REFUSALS, 1), (Tells.RETRY_AFTER, 18)]
)
def test_named_hour_window_is_observed_without_configuration(
    tells: Tells,
    refusals: int,
    slides: bool,  # noqa: FBT001 - both kinds
) -> None:
    """Otherwise one or two calls are refused each hour, each with a wait as its reply says."""
    truth = [Limit(10, MINUTE), Limit(60, HOUR)]
    played = play([Limit(10, MINUTE)], truth, slides=slides, tells=tells).run(9 * HOUR)
    assert refusals // 2 <= len(played.refused) <= refusals
    assert len(played.accepted) >= 0.95 * 9 * 60


def test_extra_calls_that_are_refused_back_off() -> None:
    played = play([Limit(5, MINUTE)], [Limit(2, MINUTE)], slides=True, tells=Tells.RETRY_AFTER)
    played.run(8 * CLEAN_WINDOWS * MINUTE)
    gaps = [
        (after - before) / MINUTE / CLEAN_WINDOWS
        for before, after in zip(played.refused, played.refused[1:], strict=False)
    ]
    assert gaps == pytest.approx([1, 2, 4], abs=0.1)
    assert {count for (count,) in played.most[5:]} == {2, 3}


def test_a_limit_that_was_raised_is_found_again_a_call_at_a_time() -> None:
    played = play([Limit(5, MINUTE)], [Limit(2, MINUTE)], slides=True, tells=Tells.RETRY_AFTER)
    played.run(5 * MINUTE)
    played.server.limits = (Limit(5, MINUTE),)
    before = played.now
    played.run(3 * CLEAN_WINDOWS * MINUTE + 5 * MINUTE)
    assert played.most[-1] == (5,)
    assert len([at for at in played.refused if at > before]) == 0


@pytest.mark.parametrize("tells", Tells)
def test_limit_that_becomes_stricter_later_is_inferred(tells: Tells) -> None:
    for seed in range(3):
        played = play([Limit(10, MINUTE)], [Limit(10, MINUTE)], slides=True, tells=tells, seed=seed)
        played.run(10 * MINUTE)
        assert played.refused == []
        played.server.limits = (Limit(6, MINUTE),)
        played.run((CLEAN_WINDOWS - 4) * MINUTE)
        is_named = tells in {Tells.EVERYTHING, Tells.REFUSALS}
        assert len(played.refused) <= (1 if is_named else 3)
        assert played.most[-1][0] <= 6


@pytest.mark.parametrize("tells", Tells)
def test_observed_limits_need_no_refusal_after_a_restart(tells: Tells) -> None:
    played = play([Limit(10, MINUTE)], [Limit(6, MINUTE)], slides=False, tells=tells)
    played.run(6 * MINUTE)
    later = Play(
        RateLimiter([Limit(10, MINUTE)]), played.server, played.jitter, now=played.now + MINUTE
    )
    later.limiter.learn(played.limiter.observed_limits)
    later.run(6 * MINUTE)
    assert later.refused == []


OTHERS = [0.06, 0.16]
"""Calls a second: about a fifth, and a half, of the key's quota."""


@pytest.mark.parametrize("others", OTHERS, ids=["few others", "many others"])
@pytest.mark.parametrize("slides", [True, False], ids=["slides", "fixed"])
@pytest.mark.parametrize("tells", Tells)
@pytest.mark.parametrize("configured", [10, 20], ids=["half", "whole"])
def test_second_client_on_the_key_causes_few_refusals(
    configured: int,
    others: float,
    slides: bool,  # noqa: FBT001 - both kinds
    tells: Tells,
) -> None:
    played = play(
        [Limit(configured, MINUTE)],
        [Limit(20, MINUTE)],
        slides=slides,
        tells=tells,
        others=others,
        evenly=True,
        parallel=2,
    ).run(120 * MINUTE)
    assert len(played.refused) < 0.04 * len(played.sent)
    if tells in {Tells.EVERYTHING, Tells.REFUSALS}:
        assert played.limiter.observed_limits == ()
        fair = min(configured, 20 - others * 60)
        assert len(played.accepted) / 120 >= 0.75 * fair


@pytest.mark.parametrize("slides", [True, False], ids=["slides", "fixed"])
@pytest.mark.parametrize("tells", [Tells.EVERYTHING, Tells.REFUSALS])
def test_named_limit_is_observed_exactly_beside_a_second_client(
    slides: bool,  # noqa: FBT001 - both kinds
    tells: Tells,
) -> None:
    played = play(
        [Limit(20, MINUTE)],
        [Limit(12, MINUTE)],
        slides=slides,
        tells=tells,
        others=0.1,
        evenly=True,
    ).run(60 * MINUTE)
    assert {observed_limit.count for observed_limit in played.limiter.observed_limits} == {12}
