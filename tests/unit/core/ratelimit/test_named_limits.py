"""core/ratelimit/named_limits.py: limits that replies name, and the windows that they are of."""

from collections.abc import Sequence

import pytest

from scriptix_operator.core.model.remote import RateLimitInfo
from scriptix_operator.core.ratelimit.additive_increase import CLEAN_WINDOWS, ObservedLimit
from scriptix_operator.core.ratelimit.call_history import AcceptedCalls, RefusedCall
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.named_limits import NamedLimits

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
FIVE_AN_HOUR = Limit(5, HOUR)
TWO_WINDOWS = (Limit(100, MINUTE), Limit(1000, HOUR))


def _passed(count: int, ago: float = 10.0) -> list[float]:
    """So many calls that were accepted together before the refusal at 0."""
    return [-ago] * count


@pytest.mark.parametrize(
    ("limits", "passed", "limit", "wait", "window"),
    [
        pytest.param([FIVE_AN_HOUR], _passed(3), 3, 3590, HOUR, id="used up"),
        pytest.param([FIVE_AN_HOUR], [], 3, 3590, HOUR, id="used up by others"),
        pytest.param([FIVE_AN_HOUR], _passed(5), 5, 3590, None, id="as configured"),
        pytest.param([FIVE_AN_HOUR], _passed(6), 6, 3590, None, id="more than configured"),
        pytest.param(TWO_WINDOWS, _passed(60), 60, 50, MINUTE, id="of the window that fits"),
        pytest.param(TWO_WINDOWS, _passed(60), 60, 3000, HOUR, id="of one that is long enough"),
        pytest.param(
            TWO_WINDOWS, [*_passed(40, 100), *_passed(50)], 90, 50, HOUR, id="of the one full"
        ),
        pytest.param(TWO_WINDOWS, _passed(20), 90, 50, MINUTE, id="of the shorter if none is"),
        pytest.param(TWO_WINDOWS, _passed(90), 1000, 50, None, id="the longer, as configured"),
        pytest.param(TWO_WINDOWS[:1], _passed(60, 100), 60, 3000, HOUR, id="a plan's hour"),
        pytest.param(TWO_WINDOWS[:1], _passed(60, 4000), 60, 3000, DAY, id="a plan's day"),
        pytest.param(TWO_WINDOWS[:1], _passed(53, 100), 60, 3000, None, id="a plan not used up"),
        pytest.param(TWO_WINDOWS[:1], _passed(121, 100), 60, 3000, None, id="more was accepted"),
        pytest.param(TWO_WINDOWS[:1], _passed(100, 100), 100, 120, None, id="the minute's"),
        pytest.param([FIVE_AN_HOUR], _passed(5), 5, 80_000, DAY, id="a day's, the same"),
        pytest.param([FIVE_AN_HOUR], _passed(54, 4e4), 60, 40_000, DAY, id="a day's, replies lost"),
        pytest.param(TWO_WINDOWS[:1], _passed(60, 100), 60, 90_000, None, id="beyond any plan"),
    ],
)
def test_limit_of_a_refusal_is_of_the_shortest_window_that_fits(
    limits: Sequence[Limit], passed: list[float], limit: int, wait: float, window: float | None
) -> None:
    named = NamedLimits()
    refused = RefusedCall(0.0, tuple(limits), AcceptedCalls(passed), wait)
    assert named.refused(refused, limit, {}) == (window is not None)
    expected = {} if window is None else {window: ObservedLimit(window, limit, 0.0)}
    assert named.observed == expected


def test_named_limit_whose_trial_is_refused_is_tried_later() -> None:
    named, at = NamedLimits(), CLEAN_WINDOWS * HOUR
    known = ObservedLimit(HOUR, 3, 0.0)
    refused = RefusedCall(at, (Limit(4, HOUR),), AcceptedCalls())
    assert named.refused(refused, 3, {HOUR: known})
    assert named.observed == {HOUR: ObservedLimit(HOUR, 3, at, 2 * CLEAN_WINDOWS)}


def test_named_limit_is_raised_by_calls_that_refute_it() -> None:
    named = NamedLimits()
    named.refused(RefusedCall(0.0, (FIVE_AN_HOUR,), AcceptedCalls()), 1, {})
    now = CLEAN_WINDOWS * HOUR
    named.accepted(AcceptedCalls([now] * 6), None, [FIVE_AN_HOUR], now)
    assert named.observed == {HOUR: ObservedLimit(HOUR, 2, now)}


@pytest.mark.parametrize(
    ("rate_info", "window"),
    [
        pytest.param(RateLimitInfo(limit=3, reset=3000), HOUR, id="of the window it fits into"),
        pytest.param(RateLimitInfo(limit=3, reset=61), MINUTE, id="the shorter window's last"),
        pytest.param(RateLimitInfo(limit=3, reset=62), HOUR, id="the longer window's first"),
        pytest.param(RateLimitInfo(limit=3), MINUTE, id="without a reset, the shortest"),
        pytest.param(RateLimitInfo(limit=3, reset=3602), None, id="of no window we know"),
        pytest.param(RateLimitInfo(limit=1000, reset=30), None, id="of the longer, at its end"),
        pytest.param(RateLimitInfo(remaining=3), None, id="not the limit"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_limit_of_an_accepted_call_is_of_the_shortest_window_that_fits(
    rate_info: RateLimitInfo | None, window: float | None
) -> None:
    named = NamedLimits()
    assert named.accepted(AcceptedCalls([7.0]), rate_info, TWO_WINDOWS, 7.0) == window
    assert named.observed == ({} if window is None else {window: ObservedLimit(window, 3, 7.0)})


@pytest.mark.parametrize(
    ("limit", "known"),
    [
        pytest.param(6, ObservedLimit(HOUR, 3, 7.0), id="more than configured: another window's"),
        pytest.param(5, None, id="as configured"),
        pytest.param(4, ObservedLimit(HOUR, 4, 99.0), id="less, and more than was thought"),
        pytest.param(3, ObservedLimit(HOUR, 3, 99.0), id="as thought, and still so: no trial"),
        pytest.param(1, ObservedLimit(HOUR, 1, 99.0), id="less than was thought"),
    ],
)
def test_limit_of_the_last_reply_holds(limit: int, known: ObservedLimit | None) -> None:
    named = NamedLimits()
    for now, one in ((7.0, 3), (99.0, limit)):
        named.accepted(AcceptedCalls([now]), RateLimitInfo(limit=one), [FIVE_AN_HOUR], now)
    assert named.observed == ({} if known is None else {HOUR: known})
