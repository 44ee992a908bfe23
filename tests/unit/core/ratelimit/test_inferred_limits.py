"""core/ratelimit/inferred_limits.py: limits that no reply names."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scriptix_operator.core.ratelimit.additive_increase import CLEAN_WINDOWS, ObservedLimit
from scriptix_operator.core.ratelimit.call_history import AcceptedCalls, RefusedCall
from scriptix_operator.core.ratelimit.inferred_limits import (
    LEARNING,
    REMEMBERED,
    InferredLimits,
    smallest_limit,
)
from scriptix_operator.core.ratelimit.limits import Limit

MINUTE, HOUR = 60.0, 3600.0
FIVE_AN_HOUR = Limit(5, HOUR)
TWENTY = Limit(20, HOUR)
TWO_WINDOWS = (Limit(100, MINUTE), Limit(1000, HOUR))


# The smallest limit that is consistent with all calls.


@pytest.mark.parametrize(
    ("passed", "count"),
    [
        pytest.param((), 1, id="no call"),
        pytest.param((-60,), 1, id="an old call says nothing"),
        pytest.param((-3, -2, -1), 2, id="the window may have begun within a burst"),
        pytest.param((-80, -70, -40, -20, -16, -10, -5), 3, id="as drawn in the module"),
        pytest.param((-63, -62, -61, -3), 1, id="no begin is possible"),
        pytest.param((-3, -3, -3, -3), 2, id="answered at the same moment"),
    ],
)
def test_smallest_limit_without_a_wait_fits_both_kinds_of_window(
    passed: Sequence[float], count: int
) -> None:
    assert smallest_limit(passed, MINUTE, 0.0) == count


@pytest.mark.parametrize(
    ("passed", "wait", "count"),
    [
        # The oldest call expires next, in 30 seconds.
        pytest.param((-30, -20, -10), 31, 3, id="slides, rounded up"),
        pytest.param((-30, -20, -10), 29, 3, id="slides, a reply that took long"),
        # A window that resets in 45 seconds began 15 seconds ago.
        pytest.param((-30, -10), 45, 1, id="fixed, began before the last"),
        pytest.param((-30, -20, -10), 20, 3, id="fixed, began before all"),
        # A limit of one would have refused the second.
        pytest.param((-12, -11, -10), 51, 2, id="a wait that cannot be true is ignored"),
        pytest.param((), 50, 1, id="no call"),
    ],
)
def test_wait_gives_the_begin_of_the_window(
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
def test_limit_inferred_with_a_wait_is_exact(
    limit: int, gaps: list[int], begin: float | None
) -> None:
    played = _played(limit, gaps, begin)
    assume(played is not None)
    assert played is not None
    passed, refused_at, more_at = played
    wait = math.ceil(more_at - refused_at)
    assert smallest_limit(passed, MINUTE, refused_at, wait) == limit


# The window.


def _passed(count: int, ago: float = 10.0) -> list[float]:
    """So many calls that were accepted together before 0."""
    return [-ago] * count


def _refused(
    inferred: InferredLimits,
    at: float,
    passed: Sequence[float],
    *limits: Limit,
    wait: float | None = None,
    in_a_row: int = 1,
) -> bool:
    """A refusal after these accepted calls; returns whether a limit explains it."""
    refused = RefusedCall(at, limits or (TWENTY,), AcceptedCalls(passed), wait, in_a_row)
    return inferred.refused(refused, ())


def _counts(inferred: InferredLimits) -> dict[float, int]:
    return {seconds: one.count for seconds, one in inferred.observed.items()}


@pytest.mark.parametrize(
    ("limits", "passed", "wait", "expected"),
    [
        pytest.param([FIVE_AN_HOUR], _passed(4), 3590, {HOUR: 4}, id="the first leaves next"),
        pytest.param([FIVE_AN_HOUR], _passed(4), None, {HOUR: 2}, id="without a wait"),
        pytest.param([FIVE_AN_HOUR], [], None, {}, id="none of ours: others'"),
        pytest.param([FIVE_AN_HOUR], _passed(3), 90_000, {}, id="longer than any window"),
        pytest.param([FIVE_AN_HOUR], _passed(6), 3590, {HOUR: 4}, id="less than what applied"),
        pytest.param([Limit(1, HOUR)], _passed(1), 3590, {HOUR: 1}, id="but one at least"),
        pytest.param(TWO_WINDOWS, _passed(60), 50, {MINUTE: 60}, id="the fuller of two windows"),
        pytest.param(
            TWO_WINDOWS, [*_passed(900, 1800), *_passed(40)], 1800, {HOUR: 940}, id="the longer"
        ),
        pytest.param(TWO_WINDOWS, _passed(60), 63, {HOUR: 60}, id="the one that fits the wait"),
        pytest.param(TWO_WINDOWS, _passed(60, 0), 62, {MINUTE: 60}, id="which is rounded up"),
    ],
)
def test_limit_is_inferred_for_the_fullest_window(
    limits: Sequence[Limit], passed: list[float], wait: float | None, expected: dict[float, int]
) -> None:
    inferred = InferredLimits()
    assert _refused(inferred, 0.0, passed, *limits, wait=wait) == bool(expected)
    assert _counts(inferred) == expected


def test_trial_of_one_window_is_refused_not_of_a_fuller_one() -> None:
    limits = (Limit(5, MINUTE), Limit(90, HOUR))
    inferred = InferredLimits()
    inferred.restore([ObservedLimit(MINUTE, 4, -HOUR)])
    assert _refused(inferred, 0.0, [*_passed(81, 1000), *_passed(4)], *limits, wait=50)
    assert inferred.observed == {MINUTE: ObservedLimit(MINUTE, 4, 0.0, 2 * CLEAN_WINDOWS)}


def test_nothing_is_inferred_for_a_window_whose_limit_is_named() -> None:
    inferred = InferredLimits()
    refused = RefusedCall(0.0, (FIVE_AN_HOUR,), AcceptedCalls(_passed(4)))
    assert not inferred.refused(refused, {HOUR: ObservedLimit(HOUR, 5, -1.0)})
    assert inferred.observed == {}


@pytest.mark.parametrize(
    ("before", "now", "is_inferred"),
    [
        pytest.param(8, 4, True, id="half: a fixed window may have begun between"),
        pytest.param(9, 4, False, id="less than half"),
    ],
)
@pytest.mark.parametrize("ago", [1.5, REMEMBERED - 0.01])
def test_refusal_below_half_of_past_use_is_load_of_others(
    before: int,
    now: int,
    is_inferred: bool,  # noqa: FBT001 - the expected value
    ago: float,
) -> None:
    passed = [*_passed(before, ago * HOUR), *_passed(now)]
    assert _refused(InferredLimits(), 0.0, passed) == is_inferred


def test_calls_accepted_long_ago_are_ignored() -> None:
    passed = [*_passed(20, REMEMBERED * HOUR), *_passed(1)]
    assert _refused(InferredLimits(), 0.0, passed)


# Later refusals.


def test_limit_is_inferred_from_the_first_refusal_in_a_row_only() -> None:
    inferred = InferredLimits()
    assert not _refused(inferred, 0.0, _passed(4), in_a_row=2)
    assert _refused(inferred, 0.0, _passed(4))
    assert _counts(inferred) == {HOUR: 2}


PATIENT = 2 * CLEAN_WINDOWS


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        pytest.param(
            LEARNING * HOUR, ObservedLimit(HOUR, 2, 0.0, PATIENT), id="soon: it is corrected"
        ),
        pytest.param(LEARNING * HOUR + 1, None, id="later: it was right, and others use the key"),
        pytest.param(PATIENT * HOUR - 1, None, id="as long as no more is tried"),
        pytest.param(
            PATIENT * HOUR,
            ObservedLimit(HOUR, 4, PATIENT * HOUR, 2 * PATIENT),
            id="one more was tried, and is too much",
        ),
    ],
)
def test_inferred_limit_is_corrected_soon_or_tried_later(
    at: float, expected: ObservedLimit | None
) -> None:
    inferred, limit = InferredLimits(), ObservedLimit(HOUR, 4, 0.0, PATIENT)
    inferred.restore([limit])
    passed = [at - 4, at - 3, at - 2, at - 1]
    applied = Limit(limit.allows(at), HOUR)
    assert _refused(inferred, at, passed, applied, wait=HOUR - 4) == (expected is not None)
    assert inferred.observed == {HOUR: expected or limit}


def test_misleading_wait_is_not_believed_again() -> None:
    """Retry-After is always a minute: the window seems to have begun before all calls."""
    inferred, passed = InferredLimits(), [0.0, 1000.0, 1001.0, 1002.0, 1003.0]
    assert _refused(inferred, 1004.0, passed, wait=MINUTE)
    assert _counts(inferred) == {HOUR: 5}
    assert _refused(inferred, 1064.0, passed, Limit(5, HOUR), wait=MINUTE, in_a_row=2)
    assert not _refused(inferred, 1200.0, passed, Limit(3, HOUR), wait=MINUTE, in_a_row=3)
    assert inferred.observed == {HOUR: ObservedLimit(HOUR, 3, 1004.0)}


# Calls in flight at a refusal.


@pytest.mark.parametrize(("limit", "counts"), [(20, [3, 4]), (4, [3, 3])])
def test_accepted_in_flight_calls_raise_the_inferred_limit(limit: int, counts: list[int]) -> None:
    """The limit is never raised to the refused count."""
    inferred, calls = InferredLimits(), AcceptedCalls([0.1, 0.2])
    assert inferred.refused(RefusedCall(0.0, (Limit(limit, MINUTE),), calls, 60.0), ())
    for at, count in zip((0.4, 0.5), counts, strict=True):
        calls.add(at)
        inferred.accepted(calls, at, was_in_flight=True)
        assert _counts(inferred) == {MINUTE: count}
    calls.add(61.0)
    inferred.accepted(calls, 61.0, was_in_flight=False)
    assert _counts(inferred) == {MINUTE: counts[-1]}


def test_calls_in_flight_raise_no_limit_that_was_named_meanwhile() -> None:
    inferred, calls = InferredLimits(), AcceptedCalls([0.1, 0.2])
    assert inferred.refused(RefusedCall(0.0, (TWENTY,), calls, HOUR), ())
    inferred.forget(HOUR)
    inferred.accepted(calls, 0.4, was_in_flight=True)
    assert inferred.observed == {}


def test_calls_in_flight_at_a_refusal_due_to_others_raise_no_limit() -> None:
    inferred, calls = InferredLimits(), AcceptedCalls([0.1, 0.2])
    assert inferred.refused(RefusedCall(0.0, (TWENTY,), calls, HOUR), ())
    later = LEARNING * HOUR + 1
    assert not inferred.refused(RefusedCall(later, (Limit(2, HOUR),), calls, HOUR), ())
    calls.add(later)
    inferred.accepted(calls, later, was_in_flight=True)
    assert _counts(inferred) == {HOUR: 2}
