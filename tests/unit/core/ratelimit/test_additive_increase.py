"""core/ratelimit/additive_increase.py: an observed limit grows again, one call at a time."""

import pytest

from scriptix_operator.core.ratelimit.additive_increase import (
    CLEAN_WINDOWS,
    MAX_CLEAN_WINDOWS,
    ObservedLimit,
)
from scriptix_operator.core.ratelimit.call_history import AcceptedCalls

MINUTE, HOUR = 60.0, 3600.0


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
def test_calls_that_a_limit_would_not_accept_raise_it_by_one(seconds: float, count: int) -> None:
    limit = ObservedLimit(seconds, count, -CLEAN_WINDOWS * seconds)
    windows = 2 * (count + 1)
    now = windows * seconds
    # The most that fixed windows accept: all calls of each at once, in one window more.
    most = sorted(begin * seconds for begin in range(windows + 1) for _ in range(count))
    most = [at + (seconds - 1 if at == 0 else 0) for at in most]
    assert limit.accepted(AcceptedCalls(most), now) == limit
    raised = ObservedLimit(seconds, count + 1, now)
    assert limit.accepted(AcceptedCalls([*most, now]), now) == raised
    # Calls accepted long ago do not count.
    assert limit.accepted(AcceptedCalls([0.0, *most[count:], now]), now) == limit


def test_limit_that_is_not_on_trial_is_not_raised() -> None:
    limit = ObservedLimit(MINUTE, 1, 0.0)
    assert limit.accepted(AcceptedCalls([1.0] * 99), 1.0) == limit


def test_each_refused_trial_doubles_the_wait_for_the_next() -> None:
    limit, patiences = ObservedLimit(HOUR, 1, 0.0), []
    for now in range(8):
        limit = limit.trial_refused(float(now))
        assert (limit.count, limit.at) == (1, now)
        patiences.append(limit.clean_windows / CLEAN_WINDOWS)
    assert patiences == [2, 4, 8, 16, 32, 64, 64, 64]
    assert limit.clean_windows == MAX_CLEAN_WINDOWS
