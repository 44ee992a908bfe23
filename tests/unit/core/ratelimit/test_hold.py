"""core/ratelimit/hold.py: how long a refusal stops a key."""

import pytest

from scriptix_operator.core.ratelimit.hold import BELIEVED, MAX_HOLD, SHORTEST_HOLD, Hold
from scriptix_operator.core.ratelimit.limits import Limit

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
TEN_A_MINUTE = Limit(10, MINUTE)


def _holds(
    times: int, wait: float | None, *limits: Limit, is_explained: bool = False
) -> list[float]:
    """The holds of so many refusals in a row."""
    hold, now, holds = Hold(), 100.0, list[float]()
    for _ in range(times):
        hold.in_a_row += 1
        hold.extend(now, wait, limits or [TEN_A_MINUTE], is_explained=is_explained)
        holds.append(round(hold.until - now, 6))
        now = hold.until
    return holds


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
    assert _holds(1, wait) == [seconds]


def test_repeated_wait_is_believed_up_to_a_day() -> None:
    assert _holds(6, 1e9) == [HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR, MAX_HOLD]


def test_wait_within_the_longest_window_is_believed_at_once() -> None:
    assert _holds(1, DAY, TEN_A_MINUTE, Limit(100, DAY / 2)) == [DAY / 2]


@pytest.mark.parametrize(
    ("limits", "longest"),
    [
        pytest.param([TEN_A_MINUTE], [3600, 3600], id="an hour"),
        pytest.param([TEN_A_MINUTE, Limit(99, 6000.0)], [3840, 6000], id="the longest window"),
    ],
)
def test_unexplained_refusal_holds_for_a_window_and_doubles(
    limits: list[Limit], longest: list[float]
) -> None:
    assert _holds(8, None, *limits) == [60, 120, 240, 480, 960, 1920, *longest]


def test_explained_refusal_adds_no_wait() -> None:
    assert _holds(1, None, is_explained=True) == [SHORTEST_HOLD * MINUTE]


def test_repeated_refusals_with_zero_retry_after_back_off() -> None:
    assert _holds(9, 0.0) == [0.6, 1.2, 2.4, 4.8, 9.6, 19.2, 38.4, 60, 60]


def test_a_shorter_wait_does_not_cut_a_longer_one() -> None:
    hold = Hold()
    for now, wait, until in ((100.0, 50.0, 150.0), (101.0, 1.0, 150.0), (102.0, 50.0, 152.0)):
        hold.extend(now, wait, [TEN_A_MINUTE], is_explained=False)
        assert hold.until == until
