"""core/ratelimit/shared_key_backoff.py: the limit while other clients use the key."""

from collections.abc import Sequence

import pytest

from scriptix_operator.core.ratelimit.call_history import AcceptedCalls, RefusedCall
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.shared_key_backoff import SharedKeyBackoff

MINUTE, HOUR = 60.0, 3600.0
A_HUNDRED = Limit(100, MINUTE)


def _refused(use: int, limits: Sequence[Limit], wait: float | None) -> SharedKeyBackoff:
    backoff = SharedKeyBackoff()
    backoff.refused(RefusedCall(0.0, tuple(limits), AcceptedCalls([-10.0] * use), wait))
    return backoff


@pytest.mark.parametrize(
    ("use", "limits", "wait", "limit"),
    [
        pytest.param(50, [A_HUNDRED], None, Limit(45, MINUTE), id="a tenth less"),
        pytest.param(1, [A_HUNDRED], None, Limit(1, MINUTE), id="one at least"),
        pytest.param(0, [A_HUNDRED], None, Limit(1, MINUTE), id="without any of ours"),
        pytest.param(50, [A_HUNDRED, Limit(1000, HOUR)], 62, Limit(45, MINUTE), id="shortest"),
        pytest.param(50, [A_HUNDRED, Limit(1000, HOUR)], 63, Limit(45, HOUR), id="that fits"),
        pytest.param(50, [A_HUNDRED, Limit(1000, HOUR)], 9999, Limit(45, HOUR), id="or longest"),
    ],
)
def test_refusal_lowers_the_limit_below_our_use(
    use: int, limits: Sequence[Limit], wait: float | None, limit: Limit
) -> None:
    assert _refused(use, limits, wait).limits(0.0) == (limit,)


@pytest.mark.parametrize(("count", "windows"), [(5, 5), (40, 40), (100, 40), (1000, 40)])
def test_whole_limit_is_tried_again_within_forty_windows(count: int, windows: int) -> None:
    backoff = _refused(0, [Limit(count, MINUTE)], None)
    (before,), (after,) = (backoff.limits((n * MINUTE) - 0.001) for n in (windows - 1, windows + 1))
    assert before.count < count <= after.count


def test_there_is_no_limit_before_a_refusal() -> None:
    assert SharedKeyBackoff().limits(0.0) == ()
