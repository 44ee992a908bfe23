"""Limits inferred from refusals and headers, compared with servers of either kind."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scriptix_operator.core.model.remote import RateLimitInfo
from scriptix_operator.core.ratelimit.inference import (
    CLEAN_WINDOWS,
    KEPT_WINDOWS,
    ObservedLimit,
    courtesy_of,
    known_use,
    limit_after_reply,
    observed_from,
    refutes,
    smallest_limit,
)
from scriptix_operator.core.ratelimit.limits import Limit

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
FIVE_AN_HOUR = Limit(5, HOUR)

# An observed limit through time.


@pytest.mark.parametrize(
    ("windows", "count"),
    [
        pytest.param(-1, 3, id="a clock that seems to go back"),
        pytest.param(0, 3, id="at once"),
        pytest.param(CLEAN_WINDOWS - 0.001, 3, id="just before"),
        pytest.param(CLEAN_WINDOWS, 4, id="long enough"),
        pytest.param(99 * CLEAN_WINDOWS, 4, id="ever so long: it was not made use of"),
    ],
)
def test_one_more_call_is_tried_after_clean_windows(windows: float, count: int) -> None:
    assert ObservedLimit(MINUTE, 3, 100.0).allows(100.0 + windows * MINUTE) == count
    patient = ObservedLimit(MINUTE, 3, 100.0, 2 * CLEAN_WINDOWS)
    assert patient.allows(100.0 + 2 * windows * MINUTE) == count


@pytest.mark.parametrize("seconds", [MINUTE, HOUR])
@pytest.mark.parametrize("count", [1, 2, 6])
def test_limit_is_refuted_by_calls_it_would_not_accept(seconds: float, count: int) -> None:
    windows = 2 * (count + 1)
    # The most that fixed windows accept: all calls of each at once, in one window more.
    most = sorted(begin * seconds for begin in range(windows + 1) for _ in range(count))
    most = [at + (seconds - 1 if at == 0 else 0) for at in most]
    assert not refutes(most, seconds, count)
    assert refutes([*most, most[-1]], seconds, count)
    # Calls accepted long ago do not count.
    assert not refutes([most[-1] - windows * seconds, *most[count:], most[-1]], seconds, count)


# Accepted calls.


@pytest.mark.parametrize(
    ("passed", "use"),
    [
        pytest.param((), 0, id="nothing"),
        pytest.param((7,), 1, id="one"),
        pytest.param((0, 59.9), 2, id="within a window"),
        pytest.param((0, 60), 1, id="a window apart"),
        pytest.param((0, 1, 2, 60.5, 61.5), 3, id="the fuller of two"),
        pytest.param((0, 0, 0), 3, id="all at once"),
    ],
)
def test_the_known_use_is_the_most_in_any_one_window(passed: Sequence[float], use: int) -> None:
    assert known_use(passed, MINUTE) == use


# The smallest limit that is consistent with all calls.


@pytest.mark.parametrize(
    ("passed", "count"),
    [
        pytest.param((), 1, id="nothing was ever let through"),
        pytest.param((-60,), 1, id="what has aged says nothing"),
        pytest.param((-59,), 1, id="one"),
        pytest.param((-3, -2, -1), 2, id="a fixed window may have begun within a burst"),
        pytest.param((-4, -3, -2, -1), 2, id="half of them before, half after"),
        pytest.param((-63, -62, -61, -3), 1, id="no window fits: others have used it up"),
        pytest.param((-43, -42, -41, -3), 2, id="the window before would have had three of one"),
        pytest.param((-100, -80, -60.5, -59, -3, -2), 2, id="two of each window"),
        pytest.param((-3, -3, -3, -3), 2, id="answered at the same moment"),
    ],
)
def test_both_kinds_of_window_are_assumed_without_headers(
    passed: Sequence[float], count: int
) -> None:
    assert smallest_limit(passed, MINUTE, 0.0) == count


@pytest.mark.parametrize(
    ("passed", "wait", "count"),
    [
        # The oldest call expires next, in 30 seconds.
        pytest.param((-30, -20, -10), 30, 3, id="slides"),
        pytest.param((-30, -20, -10), 31, 3, id="slides, rounded up"),
        pytest.param((-30, -20, -10), 29, 3, id="slides, a reply that took long"),
        # A window that resets in 45 seconds began 15 seconds ago.
        pytest.param((-30, -10), 45, 1, id="fixed, began before the last"),
        pytest.param((-30, -20, -10), 35, 2, id="fixed, began before the second"),
        pytest.param((-30, -20, -10), 20, 3, id="fixed, began before all"),
        # A limit of one would have refused the second.
        pytest.param((-12, -11, -10), 51, 2, id="a word that cannot be true is none"),
        pytest.param((), 50, 1, id="nothing to go by"),
    ],
)
def test_reset_time_gives_the_begin_of_the_window(
    passed: Sequence[float], wait: float, count: int
) -> None:
    assert smallest_limit(passed, MINUTE, 0.0, wait) == count


def _played(
    limit: int, gaps: Sequence[int], begin: float | None
) -> tuple[list[float], float, float] | None:
    """Call a server until it refuses; returns the accepted calls, the refusal and its end.

    Args:
        limit: In a window of a minute.
        gaps: Seconds between the calls.
        begin: Of a fixed window; None: it slides.
    """
    passed: list[float] = []
    now = 0.0
    for gap in gaps:
        now += gap
        since = now - MINUTE
        if begin is not None:
            since = begin + math.floor((now - begin) / MINUTE) * MINUTE
        window = [at for at in passed if at > since]
        if len(window) >= limit:
            more_at = (window[0] if begin is None else since) + MINUTE
            return passed, now, more_at
        passed.append(now)
    return None


# Calls are three seconds apart at least, and windows begin in the middle between two.
GAPS = st.lists(st.integers(1, 12).map(lambda n: 3 * n), min_size=40, max_size=80)
BEGINS = st.none() | st.integers(0, 19).map(lambda n: 3 * n + 1.5)


@given(st.integers(1, 9), GAPS, BEGINS)
def test_inferred_limit_is_never_too_high_nor_below_half(
    limit: int, gaps: list[int], begin: float | None
) -> None:
    played = _played(limit, gaps, begin)
    assume(played is not None)
    assert played is not None
    passed, refused_at, _ = played
    assert limit / 2 <= smallest_limit(passed, MINUTE, refused_at) <= limit


@given(st.integers(1, 9), GAPS, BEGINS)
def test_limit_inferred_with_a_reset_time_is_exact(
    limit: int, gaps: list[int], begin: float | None
) -> None:
    played = _played(limit, gaps, begin)
    assume(played is not None)
    assert played is not None
    passed, refused_at, more_at = played
    wait = math.ceil(more_at - refused_at)
    assert smallest_limit(passed, MINUTE, refused_at, wait) == limit


# Limits inferred from refusals.


def _passed(count: int, ago: float = 10.0) -> list[float]:
    """So many calls that were accepted together before the refusal at noon."""
    return [-ago] * count


def _rate_info(limit: int | None) -> RateLimitInfo:
    return RateLimitInfo(limit=limit, remaining=0)


TWO_WINDOWS = (Limit(100, MINUTE), Limit(1000, HOUR))


@pytest.mark.parametrize(
    ("limits", "passed", "events", "wait", "observed_limits"),
    [
        pytest.param([FIVE_AN_HOUR], _passed(3), 3, 3590, (HOUR, 3), id="named"),
        pytest.param(
            [FIVE_AN_HOUR], _passed(2), 3, 3590, (HOUR, 3), id="named, others use the key too"
        ),
        pytest.param([FIVE_AN_HOUR], [], 3, 3590, (HOUR, 3), id="named, all calls of others"),
        pytest.param([FIVE_AN_HOUR], _passed(5), 5, 3590, None, id="named, as configured"),
        pytest.param([FIVE_AN_HOUR], _passed(5), 6, 3590, None, id="named, more than configured"),
        pytest.param(
            TWO_WINDOWS, _passed(60), 60, 50, (MINUTE, 60), id="named, of the window that fits"
        ),
        pytest.param(
            TWO_WINDOWS,
            _passed(60),
            60,
            3000,
            (HOUR, 60),
            id="named, of a window that is long enough",
        ),
        pytest.param(
            TWO_WINDOWS, [*_passed(40, 100), *_passed(50)], 90, 50, (HOUR, 90), id="of the one full"
        ),
        pytest.param(
            TWO_WINDOWS, _passed(20), 90, 50, (MINUTE, 90), id="of the shorter if none is"
        ),
        pytest.param(
            TWO_WINDOWS, _passed(90), 1000, 50, None, id="named, the longer, as configured"
        ),
        pytest.param(
            [Limit(100, MINUTE)], _passed(60, 100), 60, 3000, (HOUR, 60), id="a plan's hour"
        ),
        pytest.param(
            [Limit(100, MINUTE)], _passed(60, 4000), 60, 3000, (DAY, 60), id="a plan's day"
        ),
        pytest.param(
            [Limit(100, MINUTE)], _passed(53, 100), 60, 3000, None, id="a plan that is not used up"
        ),
        pytest.param(
            [Limit(100, MINUTE)], _passed(121, 100), 60, 3000, None, id="more was let through"
        ),
        pytest.param(
            [Limit(100, MINUTE)], _passed(100, 100), 100, 120, None, id="the one of the minute"
        ),
        pytest.param([FIVE_AN_HOUR], _passed(5), 5, 80_000, (DAY, 5), id="a day's, the same"),
        pytest.param(
            [FIVE_AN_HOUR], _passed(54, 40_000), 60, 40_000, (DAY, 60), id="a day's, replies lost"
        ),
        pytest.param(
            [Limit(100, MINUTE)], _passed(60, 100), 60, 90_000, None, id="longer than any plan"
        ),
    ],
)
def test_named_limit_is_used_exactly(
    limits: Sequence[Limit],
    passed: list[float],
    events: int,
    wait: float,
    observed_limits: tuple[float, int] | None,
) -> None:
    observed_limit = observed_from(passed, limits, {}, 0.0, _rate_info(events), wait)
    assert observed_limit == (
        None if observed_limits is None else ObservedLimit(*observed_limits, 0.0)
    )


@pytest.mark.parametrize("events", [None, _rate_info(None)], ids=["no info", "not the limit"])
@pytest.mark.parametrize(
    ("limits", "passed", "wait", "observed_limits"),
    [
        pytest.param([FIVE_AN_HOUR], _passed(4), 3590, (HOUR, 4), id="the first leaves next"),
        pytest.param([FIVE_AN_HOUR], _passed(4), None, (HOUR, 2), id="without a word"),
        pytest.param([FIVE_AN_HOUR], [], None, None, id="none of ours: others'"),
        pytest.param([FIVE_AN_HOUR], _passed(3), 90_000, None, id="longer than any window"),
        pytest.param(
            [FIVE_AN_HOUR], _passed(6), 3590, (HOUR, 4), id="always less than was kept to"
        ),
        pytest.param([Limit(1, HOUR)], _passed(1), 3590, (HOUR, 1), id="but one at least"),
        pytest.param(TWO_WINDOWS, _passed(60), 50, (MINUTE, 60), id="the fuller of two windows"),
        pytest.param(
            TWO_WINDOWS,
            [*_passed(900, 1800), *_passed(40)],
            1800,
            (HOUR, 940),
            id="the fuller one, if it is the longer",
        ),
        pytest.param(
            TWO_WINDOWS,
            _passed(60),
            63,
            (HOUR, 60),
            id="the longer, if it is to wait longer than the shorter takes",
        ),
        pytest.param(
            TWO_WINDOWS, _passed(60, 0), 62, (MINUTE, 60), id="but for what is rounded up"
        ),
    ],
)
def test_unnamed_limit_is_inferred_for_the_fullest_window(
    limits: Sequence[Limit],
    passed: list[float],
    wait: float | None,
    observed_limits: tuple[float, int] | None,
    events: RateLimitInfo | None,
) -> None:
    observed_limit = observed_from(passed, limits, {}, 0.0, events, wait)
    assert observed_limit == (
        None if observed_limits is None else ObservedLimit(*observed_limits, 0.0)
    )


@pytest.mark.parametrize(
    ("observed_limits", "observed_limit"),
    [
        pytest.param({}, ObservedLimit(HOUR, 85, 0.0), id="nothing: the hour is fuller"),
        pytest.param(
            {MINUTE: 4}, ObservedLimit(MINUTE, 4, 0.0), id="four a minute: a fifth was tried"
        ),
        pytest.param({MINUTE: 4, HOUR: 80}, ObservedLimit(HOUR, 85, 0.0), id="both were tried"),
    ],
)
def test_refusal_of_the_extra_call_confirms_the_observed_limit(
    observed_limits: dict[float, int], observed_limit: ObservedLimit
) -> None:
    limits = [Limit(5, MINUTE), Limit(90, HOUR)]
    passed = [*_passed(81, 1000), *_passed(4)]
    assert observed_from(passed, limits, observed_limits, 0.0, None, 50) == observed_limit


@pytest.mark.parametrize(
    ("before", "now", "is_observed"),
    [
        pytest.param(8, 4, True, id="half: a fixed window may have begun between"),
        pytest.param(9, 4, False, id="less than half"),
    ],
)
@pytest.mark.parametrize("ago", [1.5, KEPT_WINDOWS - 0.01])
def test_refusal_below_half_of_past_use_is_load_of_others(
    before: int,
    now: int,
    is_observed: bool,  # noqa: FBT001 - the expected value
    ago: float,
) -> None:
    passed = [*_passed(before, ago * HOUR), *_passed(now)]
    observed_limit = observed_from(passed, [Limit(20, HOUR)], {}, 0.0, None, None)
    assert (observed_limit is not None) == is_observed


def test_calls_accepted_long_ago_are_ignored() -> None:
    passed = [*_passed(20, KEPT_WINDOWS * HOUR), *_passed(1)]
    assert observed_from(passed, [Limit(20, HOUR)], {}, 0.0, None, None) == ObservedLimit(
        HOUR, 1, 0.0
    )


@given(
    st.integers(2, 9),
    GAPS,
    st.none() | st.integers(0, 100),
    st.none() | st.integers(-1, 12),
)
def test_inferred_limit_is_stricter_but_never_zero(
    limit: int, gaps: list[int], wait: int | None, events: int | None
) -> None:
    passed = [float(sum(gaps[:n])) for n in range(len(gaps))]
    limits = [Limit(limit, MINUTE)]
    observed_limit = observed_from(passed, limits, {}, passed[-1] + 1, _rate_info(events), wait)
    if events is None and observed_limit is not None:
        assert 1 <= observed_limit.count < limit
    elif observed_limit is not None:
        assert observed_limit.count == events


# Quota used by other clients.


@pytest.mark.parametrize(
    ("passed", "limits", "wait", "courtesy"),
    [
        pytest.param(_passed(50), [Limit(100, MINUTE)], None, (MINUTE, 45, 0.4), id="a tenth less"),
        pytest.param(_passed(1), [Limit(100, MINUTE)], None, (MINUTE, 1, 0.4), id="one at least"),
        pytest.param([], [Limit(100, MINUTE)], None, (MINUTE, 1, 0.4), id="without any of ours"),
        pytest.param(_passed(4), [FIVE_AN_HOUR], 60, (HOUR, 3, 1.0), id="one more in a window"),
        pytest.param(_passed(50), TWO_WINDOWS, 62, (MINUTE, 45, 0.4), id="shortest that fits"),
        pytest.param(_passed(50), TWO_WINDOWS, 63, (HOUR, 45, 0.04), id="longer than the shorter"),
        pytest.param(_passed(50), TWO_WINDOWS, 9999, (HOUR, 45, 0.04), id="longer than any"),
    ],
)
def test_load_of_others_lowers_the_limit_below_our_use(
    passed: list[float],
    limits: Sequence[Limit],
    wait: float | None,
    courtesy: tuple[float, int, float],
) -> None:
    seconds, count, recovery = courtesy
    expected = ObservedLimit(seconds, count, 0.0, recovery, is_courtesy=True)
    assert courtesy_of(passed, limits, 0.0, wait) == expected


@pytest.mark.parametrize(("count", "windows"), [(5, 5), (40, 40), (100, 40), (1000, 40)])
def test_whole_limit_is_tried_again_within_forty_windows(count: int, windows: int) -> None:
    courtesy = courtesy_of([], [Limit(count, MINUTE)], 0.0, None)
    assert courtesy.allows((windows - 1) * MINUTE - 0.001) < count
    assert courtesy.allows(windows * MINUTE) >= count


# Rate-limit info of accepted calls.

KNOWN = ObservedLimit(HOUR, 3, 7.0)


@pytest.mark.parametrize(
    ("events", "known"),
    [
        pytest.param(None, KNOWN, id="nothing"),
        pytest.param(6, KNOWN, id="more than configured is another window's"),
        pytest.param(5, None, id="as configured"),
        pytest.param(4, ObservedLimit(HOUR, 4, 99.0), id="less, and more than was thought"),
        pytest.param(3, ObservedLimit(HOUR, 3, 99.0), id="as thought, and still so"),
        pytest.param(1, ObservedLimit(HOUR, 1, 99.0), id="less than was thought"),
    ],
)
def test_the_limit_on_a_reply_holds_from_now_on(
    events: int | None, known: ObservedLimit | None
) -> None:
    assert limit_after_reply(KNOWN, FIVE_AN_HOUR, RateLimitInfo(limit=events), 99.0) == known
