"""core/ratelimit/effective_limits.py: the limits of a key from call to call.

test_limiter.py simulates whole clients and servers.
"""

from collections.abc import Sequence

import pytest

from scriptix_operator.core.model.remote import CallFailure, FailureKind, RateLimitInfo
from scriptix_operator.core.ratelimit.effective_limits import (
    BELIEVED,
    KEEP_AGAIN,
    LEARNING,
    MAX_HOLD,
    MAX_REMEMBERED,
    SHORTEST_HOLD,
    EffectiveLimits,
)
from scriptix_operator.core.ratelimit.inference import (
    CLEAN_WINDOWS,
    MAX_CLEAN_WINDOWS,
    ObservedLimit,
)
from scriptix_operator.core.ratelimit.limits import Limit

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
FIVE_AN_HOUR = Limit(5, HOUR)


class Story:
    """The calls under some limits; a call takes no time unless the test sets one."""

    def __init__(self, *limits: Limit) -> None:
        self.limiter = EffectiveLimits(limits or [FIVE_AN_HOUR])

    def passes(self, *times: float, events: RateLimitInfo | None = None) -> bool:
        """Accepted calls; returns whether the observed limits are to be saved."""
        return [self.limiter.let_through(at, at, events) for at in times][-1]

    def is_refused(
        self,
        at: float,
        wait: float | None = None,
        limit: int | None = None,
        *,
        sent_at: float | None = None,
        events: RateLimitInfo | None = None,
    ) -> bool:
        """A refused call; returns whether the observed limits are to be saved."""
        failure = CallFailure(FailureKind.RATE_LIMITED, "HTTP 429", 429, retry_after=wait)
        events = events if limit is None else RateLimitInfo(limit=limit, remaining=0, reset=wait)
        return self.limiter.refused(at if sent_at is None else sent_at, failure, events, at)

    def counts(self, at: float) -> list[int]:
        """The effective limits, by window."""
        return [limit.count for limit in self.limiter.limits(at)]


def _observed_limits(story: Story) -> Sequence[ObservedLimit]:
    return story.limiter.observed_limits


# Effective limits.


def test_configured_limits_apply_without_observed_limits() -> None:
    hour, minute = Limit(100, HOUR), Limit(10, MINUTE)
    assert EffectiveLimits([hour, minute]).limits(0.0) == (minute, hour)


@pytest.mark.parametrize(
    ("observed_limits", "kept"),
    [
        pytest.param([ObservedLimit(HOUR, 3, 0.0)], [Limit(3, HOUR)], id="stricter"),
        pytest.param([ObservedLimit(HOUR, 5, 0.0)], [FIVE_AN_HOUR], id="as configured"),
        pytest.param(
            [ObservedLimit(HOUR, 9, 0.0)], [FIVE_AN_HOUR], id="never more than configured"
        ),
        pytest.param(
            [ObservedLimit(DAY, 20, 0.0), ObservedLimit(MINUTE, 1, 0.0)],
            [Limit(1, MINUTE), FIVE_AN_HOUR, Limit(20, DAY)],
            id="of windows that are not configured",
        ),
    ],
)
def test_observed_limits_of_another_process_apply(
    observed_limits: list[ObservedLimit], kept: list[Limit]
) -> None:
    story = Story()
    story.limiter.learn(observed_limits)
    assert list(story.limiter.limits(0.0)) == kept


def test_one_more_call_is_tried_after_clean_windows() -> None:
    story = Story()
    story.limiter.learn([ObservedLimit(HOUR, 3, 0.0)])
    days = [0.0, CLEAN_WINDOWS - 0.01, CLEAN_WINDOWS, 2 * CLEAN_WINDOWS, 99 * CLEAN_WINDOWS]
    assert [story.counts(windows * HOUR)[0] for windows in days] == [3, 3, 4, 4, 4]


def test_accepted_calls_that_refute_a_limit_raise_it_by_one() -> None:
    story = Story()
    story.limiter.learn([ObservedLimit(HOUR, 1, 0.0)])
    begin = CLEAN_WINDOWS * HOUR
    # In four windows a server with a limit of one accepts five calls at most.
    assert not story.passes(*(begin + n * HOUR / 2 for n in range(5)))
    assert _observed_limits(story) == (ObservedLimit(HOUR, 1, 0.0),)
    at = begin + 5 * HOUR / 2
    assert story.passes(at)
    assert _observed_limits(story) == (ObservedLimit(HOUR, 2, at),)
    assert story.counts(at) == [2]
    assert story.counts(at + CLEAN_WINDOWS * HOUR) == [3]


# Proved limits.


@pytest.mark.parametrize(
    ("times", "is_proved"),
    [
        pytest.param([0, 1, 2, 3], False, id="one is missing"),
        pytest.param([0, 1, 2, 3, 4], True, id="a whole window's"),
        pytest.param([0, 1, 2, 3, 3599.9], True, id="just within one"),
        pytest.param([0, 1, 2, 3, 3600], False, id="the first has aged"),
        pytest.param([0, 1, 2, 3, 4, 9999], True, id="once is enough"),
    ],
)
def test_accepted_full_window_proves_the_limit(
    times: list[float],
    is_proved: bool,  # noqa: FBT001 - the expected value
) -> None:
    story = Story()
    story.passes(*times)
    assert story.limiter.is_proved == is_proved


def test_stricter_limit_must_be_proved_again() -> None:
    story = Story()
    story.passes(0, 1, 2, 3, 4)
    assert story.is_refused(4000.0, wait=3590.0, limit=2)
    assert not story.limiter.is_proved
    story.passes(8000.0, 8001.0)
    assert story.limiter.is_proved


def test_refusal_for_others_calls_keeps_the_proved_limit() -> None:
    story = Story()
    story.passes(0, 1, 2, 3, 4)
    assert not story.is_refused(4000.0, wait=3590.0)
    assert story.limiter.is_proved


# Rate-limit info of accepted calls.


@pytest.mark.parametrize(
    ("events", "kept", "is_change"),
    [
        pytest.param(
            RateLimitInfo(limit=3, reset=3000), [10, 3], True, id="of the window it fits into"
        ),
        pytest.param(
            RateLimitInfo(limit=3, reset=61), [3, 100], True, id="the shorter window's last"
        ),
        pytest.param(
            RateLimitInfo(limit=3, reset=62), [10, 3], True, id="the longer window's first"
        ),
        pytest.param(RateLimitInfo(limit=3), [3, 100], True, id="without a reset, the shortest"),
        pytest.param(
            RateLimitInfo(limit=3, reset=3602), [10, 100], False, id="of no window we know"
        ),
        pytest.param(RateLimitInfo(limit=100, reset=3000), [10, 100], False, id="as configured"),
        pytest.param(
            RateLimitInfo(limit=100, reset=30), [10, 100], False, id="of the longer, at its end"
        ),
        pytest.param(RateLimitInfo(remaining=3), [10, 100], False, id="not the limit"),
        pytest.param(None, [10, 100], False, id="nothing"),
    ],
)
def test_limit_named_by_a_reply_applies_at_once(
    events: RateLimitInfo | None,
    kept: list[int],
    is_change: bool,  # noqa: FBT001 - the expected value
) -> None:
    story = Story(Limit(10, MINUTE), Limit(100, HOUR))
    assert story.passes(0.0, events=events) == is_change
    assert story.counts(0.0) == kept
    assert not story.passes(1.0, events=events)  # the second time nothing changes


def test_reply_raises_and_removes_an_observed_limit() -> None:
    story = Story()
    story.limiter.learn([ObservedLimit(HOUR, 2, 0.0)])
    assert story.passes(0.0, events=RateLimitInfo(limit=4, reset=60))
    assert story.counts(0.0) == [4]
    assert not story.passes(KEEP_AGAIN - 1, events=RateLimitInfo(limit=5, reset=60))  # not so soon
    assert (story.counts(KEEP_AGAIN - 1), _observed_limits(story)) == ([5], ())
    assert story.passes(KEEP_AGAIN)


def test_replies_with_different_limits_cause_few_writes() -> None:
    story = Story(Limit(100, MINUTE))
    events = [RateLimitInfo(limit=limit, reset=30) for limit in (80, 90)]
    writes = sum(story.passes(at / 10, events=events[at % 2]) for at in range(6000))
    assert writes <= 2 * 600 / KEEP_AGAIN


def test_repeatedly_named_limit_stays_current() -> None:
    story = Story()
    assert story.passes(0.0, events=RateLimitInfo(limit=3, reset=60))
    days = [
        story.passes(day * DAY / 2, events=RateLimitInfo(limit=3, reset=60)) for day in range(1, 9)
    ]
    assert days == [False, False, True] * 2 + [False, False]


def test_no_extra_call_is_tried_while_replies_name_the_limit() -> None:
    story = Story()
    for hour in range(3 * CLEAN_WINDOWS):
        story.passes(hour * HOUR, events=RateLimitInfo(limit=3, reset=60))
    assert story.counts((3 * CLEAN_WINDOWS) * HOUR) == [3]


# Limits inferred from refusals.


def test_named_limit_replaces_an_inferred_one() -> None:
    story = Story()
    story.passes(0, 1, 2)
    assert story.is_refused(3.0, wait=3597.0, limit=3)
    assert _observed_limits(story) == (ObservedLimit(HOUR, 3, 3.0),)
    story.passes(*(hour * HOUR for hour in range(1, 20)))
    assert story.is_refused(20 * HOUR, wait=60.0, limit=2)
    # From this time on: the next extra call waits for all clean windows.
    assert _observed_limits(story) == (ObservedLimit(HOUR, 2, 20 * HOUR),)


def test_same_limit_again_causes_no_write() -> None:
    story = Story()
    story.passes(0, 1, 2)
    assert story.is_refused(3.0, wait=3597.0, limit=3)
    assert not story.is_refused(9999.0, wait=3597.0, limit=3)


@pytest.mark.parametrize("events", [None, RateLimitInfo(remaining=0)], ids=["nothing", "no limit"])
def test_unnamed_limit_is_inferred_from_the_first_refusal(
    events: RateLimitInfo | None,
) -> None:
    story = Story(Limit(20, HOUR))
    assert not story.is_refused(0.0, events=events)  # no call of this client to infer a limit from
    story.limiter.passed.extend([9000.0] * 4)
    assert not story.is_refused(9001.0, events=events)
    story.passes(20_000.0, 20_001.0, 20_002.0, 20_003.0)
    assert story.is_refused(20_004.0, events=events)
    assert [observed_limit.count for observed_limit in _observed_limits(story)] == [2]


@pytest.mark.parametrize(
    ("at", "count"),
    [
        pytest.param(LEARNING * HOUR, 2, id="soon: it may be corrected"),
        pytest.param(LEARNING * HOUR + 1, 4, id="later: it was right, and others use the key"),
        pytest.param(CLEAN_WINDOWS * HOUR - 1, 4, id="as long as no more was tried"),
        pytest.param(CLEAN_WINDOWS * HOUR, 4, id="one more was tried, and is too much"),
    ],
)
def test_inferred_limit_is_corrected_soon_or_after_more_calls(at: float, count: int) -> None:
    story = Story(Limit(20, HOUR))
    story.limiter.learn([ObservedLimit(HOUR, 4, 0.0)])
    story.passes(at - 4, at - 3, at - 2, at - 1)
    news = story.is_refused(at, wait=HOUR - 4)
    (observed_limit,) = _observed_limits(story)
    assert news == (observed_limit != ObservedLimit(HOUR, 4, 0.0))
    is_retried = at == CLEAN_WINDOWS * HOUR
    assert observed_limit.count == count
    assert observed_limit.at == (at if is_retried else 0.0)
    assert observed_limit.clean_windows == CLEAN_WINDOWS * (2 if is_retried else 1)


def test_refused_extra_call_doubles_the_wait_for_the_next() -> None:
    story, at, patience = Story(Limit(20, HOUR)), 0.0, float(CLEAN_WINDOWS)
    story.limiter.learn([ObservedLimit(HOUR, 1, 0.0)])
    patiences = []
    for _ in range(8):
        assert story.counts(at + patience * HOUR - 1) == [1]
        at += patience * HOUR
        assert story.counts(at) == [2]
        story.passes(at - 1)
        assert story.is_refused(at, wait=HOUR - 1)  # the next process waits as long
        patience = _observed_limits(story)[0].clean_windows
        patiences.append(patience / CLEAN_WINDOWS)
    assert patiences == [2, 4, 8, 16, 32, 64, 64, 64]
    assert patience == MAX_CLEAN_WINDOWS


def test_correction_does_not_shorten_the_wait_for_more() -> None:
    story = Story(Limit(20, HOUR))
    story.limiter.learn([ObservedLimit(HOUR, 4, 0.0, 4 * CLEAN_WINDOWS)])
    story.passes(0, 1, 2, 3)
    assert story.is_refused(4.0)
    assert _observed_limits(story) == (ObservedLimit(HOUR, 2, 0.0, 4 * CLEAN_WINDOWS),)
    assert story.is_refused(9999.0, limit=1)
    assert _observed_limits(story) == (ObservedLimit(HOUR, 1, 9999.0, 4 * CLEAN_WINDOWS),)


def test_misleading_retry_after_is_not_believed_again() -> None:
    """Retry-After is always a minute: the window seems to have begun before all calls."""
    story = Story(Limit(20, HOUR))
    story.passes(0, 1000, 1001, 1002, 1003)
    assert story.is_refused(1004.0, wait=MINUTE)
    assert story.counts(1004.0) == [5]
    assert story.is_refused(1064.0, wait=MINUTE)  # the second refusal in a row
    assert story.counts(1064.0) == [3]
    assert not story.is_refused(1200.0, wait=MINUTE)  # the third
    assert _observed_limits(story) == (ObservedLimit(HOUR, 3, 1004.0),)


# Calls in flight at a refusal.


def test_refusals_of_in_flight_calls_add_nothing() -> None:
    story = Story(Limit(20, MINUTE))
    story.passes(0, 1, 2, 3)
    assert story.is_refused(4.0, wait=56.0)
    before = _observed_limits(story)
    for number in range(1, 4):
        assert not story.is_refused(4.0 + number, wait=56.0 - number, sent_at=3.5)
    assert _observed_limits(story) == before
    assert story.limiter.held_until == 60.0


@pytest.mark.parametrize(("limit", "counts"), [(20, [2, 3, 4]), (4, [2, 3, 3])])
def test_accepted_in_flight_calls_raise_the_inferred_limit(limit: int, counts: list[int]) -> None:
    """The limit is never raised to the refused count."""
    story = Story(Limit(limit, MINUTE))
    story.passes(0.1, 0.2)
    assert story.is_refused(0.3, wait=60.0, sent_at=0.0)
    for before, after, at in zip(counts, counts[1:], (0.4, 0.5), strict=False):
        assert story.counts(at) == [before]
        assert not story.limiter.let_through(0.0, at, None)
        assert story.counts(at) == [after]
    assert story.passes(61.0) == (counts[-1] != counts[0])  # the limit is saved a minute later
    assert story.counts(61.0) == counts[-1:]


def test_named_limit_is_not_inferred_again() -> None:
    story = Story(Limit(20, MINUTE))
    story.passes(0.1, 0.2)
    assert story.is_refused(0.3, wait=60.0, sent_at=0.0)
    story.limiter.let_through(0.0, 0.4, RateLimitInfo(limit=20, reset=30.0))
    story.limiter.let_through(0.0, 0.5, None)
    assert story.counts(0.5) == [20]


def test_calls_in_flight_at_a_later_refusal_raise_no_limit() -> None:
    story = Story(Limit(20, MINUTE))
    story.passes(0.1, 0.2)
    story.is_refused(0.3, wait=60.0)
    story.passes(*(MINUTE * LEARNING + n for n in (1, 2)))
    assert not story.is_refused(MINUTE * LEARNING + 3, wait=57.0)
    assert not story.limiter.let_through(MINUTE * LEARNING, MINUTE * LEARNING + 4, None)
    assert story.counts(MINUTE * LEARNING + 4) == [1]  # leaves quota for other clients
    assert [observed_limit.count for observed_limit in _observed_limits(story)] == [2]


def test_in_flight_calls_do_not_change_a_named_limit() -> None:
    story = Story(Limit(20, MINUTE))
    story.passes(0.1, 0.2)
    assert story.is_refused(0.3, wait=60.0, limit=3, sent_at=0.0)
    assert not story.limiter.let_through(0.0, 0.4, None)
    assert not story.limiter.let_through(0.0, 0.5, None)
    assert story.counts(0.5) == [3]


# Load of other clients.


def test_refusal_for_others_calls_lowers_the_limit_for_a_while() -> None:
    story = Story(Limit(100, MINUTE))
    story.passes(*(n / 10 for n in range(100)))
    assert not story.is_refused(100.0)
    assert _observed_limits(story) == ()
    assert story.counts(100.0) == [1]
    assert story.counts(100.0 + 20 * MINUTE) == [51]
    assert story.counts(100.0 + 40 * MINUTE) == [100]


# Holds.


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [
        pytest.param(0, SHORTEST_HOLD * MINUTE, id="at once is not meant"),
        pytest.param(0.7, 0.7, id="as it says"),
        pytest.param(HOUR, HOUR, id="as long as any window"),
        pytest.param(BELIEVED + 1, BELIEVED, id="longer than is believed"),
    ],
)
def test_refusal_holds_for_a_bounded_retry_after(wait: float, seconds: float) -> None:
    story = Story(Limit(10, MINUTE))
    story.is_refused(100.0, wait=wait)
    assert story.limiter.held_until == 100.0 + seconds


def test_repeated_wait_is_believed_up_to_a_day() -> None:
    story, holds, now = Story(Limit(10, MINUTE)), [], 0.0
    for _ in range(6):
        story.is_refused(now, wait=1e9)
        holds.append(story.limiter.held_until - now)
        now = story.limiter.held_until
    assert holds == [HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR, MAX_HOLD]


def test_wait_within_an_observed_window_is_believed_at_once() -> None:
    # Otherwise a call whose reply was lost, which may not count, would be missing.
    story = Story()
    story.passes(*(720.0 * number for number in range(58)))
    story.is_refused(43_000.0, wait=43_400.0, limit=60)
    assert story.counts(43_000.0) == [5, 60]
    assert story.limiter.held_until == 86_400


def test_the_longest_configured_window_is_believed_at_once() -> None:
    story = Story(Limit(10, MINUTE), Limit(100, DAY / 2))
    story.is_refused(0.0, wait=DAY)
    assert story.limiter.held_until == DAY / 2


@pytest.mark.parametrize(
    ("limits", "longest"),
    [
        pytest.param([Limit(10, MINUTE)], [3600, 3600], id="an hour"),
        pytest.param([Limit(10, MINUTE), Limit(99, 6000.0)], [3840, 6000], id="the longest window"),
    ],
)
def test_unexplained_refusal_holds_for_a_window_and_doubles(
    limits: list[Limit], longest: list[float]
) -> None:
    story, holds, now = Story(*limits), [], 0.0
    for _ in range(8):
        story.is_refused(now)
        holds.append(story.limiter.held_until - now)
        now = story.limiter.held_until
    assert holds == [60, 120, 240, 480, 960, 1920, *longest]


def test_refusal_that_infers_a_limit_adds_no_wait() -> None:
    story = Story(Limit(10, MINUTE))
    story.passes(0, 1, 2)
    assert story.is_refused(3.0)
    assert story.limiter.held_until == 3.0 + SHORTEST_HOLD * MINUTE
    story.is_refused(3.3, sent_at=2.9)  # calls in flight do not add to the hold
    assert story.limiter.held_until == 3.3 + SHORTEST_HOLD * MINUTE


def test_repeated_refusals_with_zero_retry_after_back_off() -> None:
    story, holds, now = Story(Limit(10, MINUTE)), [], 0.0
    for _ in range(9):
        story.is_refused(now, wait=0.0)
        holds.append(round(story.limiter.held_until - now, 6))
        now = story.limiter.held_until
    assert holds == [0.6, 1.2, 2.4, 4.8, 9.6, 19.2, 38.4, 60, 60]


def test_accepted_call_ends_the_series_of_refusals() -> None:
    story = Story(Limit(10, MINUTE))
    for now in (100.0, 200.0, 300.0):
        story.is_refused(now, wait=0.0)
    assert story.limiter.held_until == 300.0 + 4 * SHORTEST_HOLD * MINUTE
    story.passes(story.limiter.held_until)
    story.is_refused(500.0, wait=0.0)
    assert story.limiter.held_until == 500.0 + SHORTEST_HOLD * MINUTE


def test_a_shorter_wait_does_not_cut_a_longer_one() -> None:
    story = Story(Limit(10, MINUTE))
    story.is_refused(100.0, wait=50.0)
    story.is_refused(101.0, wait=1.0, sent_at=99.0)
    assert story.limiter.held_until == 150.0
    story.is_refused(102.0, wait=50.0, sent_at=99.0)
    assert story.limiter.held_until == 152.0


def test_accepted_calls_are_kept_within_bounds() -> None:
    story = Story(Limit(10, MINUTE))
    story.passes(*map(float, range(2 * MAX_REMEMBERED + 1)))
    assert len(story.limiter.passed) == MAX_REMEMBERED + 1
    assert story.limiter.passed[0] == MAX_REMEMBERED
    assert story.limiter.passed[-1] == 2 * MAX_REMEMBERED
