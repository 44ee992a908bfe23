"""core/ratelimit/sublimiter.py: a share of a quota."""

import pytest

from scriptix_operator.core.model.remote import CallFailure, FailureKind
from scriptix_operator.core.ratelimit.additive_increase import ObservedLimit
from scriptix_operator.core.ratelimit.limiter import RateLimiter
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.ratelimit.sublimiter import SubLimit
from scriptix_operator.core.ratelimit.window import Permit

MINUTE, HOUR = 60.0, 3600.0
NOT_SENT = CallFailure(FailureKind.NOT_SENT, "no connection")
LOST = CallFailure(FailureKind.AMBIGUOUS, "no reply")


def a_part(*limits: Limit, part: float = 0.2) -> tuple[RateLimiter, SubLimit]:
    whole = RateLimiter(limits)
    return whole, SubLimit(whole, part)


def acquire(whole: RateLimiter, part: SubLimit, now: float) -> Permit:
    permit = whole.acquire(now)
    part.acquire(permit)
    return permit


def test_share_is_used_from_sending_to_a_window_after_the_reply() -> None:
    whole, part = a_part(Limit(10, HOUR))
    first, second = acquire(whole, part, 0.0), acquire(whole, part, 1.0)
    assert part.wait(2.0) == HOUR
    part.complete(first, 10.0, None)
    assert part.wait(20.0) == HOUR - 10
    part.complete(second, 30.0, LOST)
    assert part.wait(40.0) == HOUR - 30
    assert part.wait(HOUR + 10) == 0
    assert part.in_flight == 0


def test_each_of_several_windows_has_its_share() -> None:
    whole, part = a_part(Limit(5, MINUTE), Limit(10, HOUR))
    part.complete(acquire(whole, part, 0.0), 0.0, None)
    assert part.wait(0.0) == MINUTE
    part.complete(acquire(whole, part, MINUTE), MINUTE, None)
    assert part.wait(2 * MINUTE) == HOUR - 2 * MINUTE


def test_share_is_of_the_effective_limit_and_one_call_at_least() -> None:
    whole, part = a_part(Limit(100, HOUR))
    for _ in range(3):
        part.complete(acquire(whole, part, 0.0), 0.0, None)
    assert part.wait(1.0) == 0
    whole.restore_limits([ObservedLimit(HOUR, 5, 0.0)])
    assert part.wait(1.0) == HOUR - 1
    assert part.wait(HOUR) == 0


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "given back"])
def test_unsent_call_costs_nothing(answered: bool) -> None:  # noqa: FBT001 - both ways
    whole, part = a_part(Limit(5, HOUR))
    permit = acquire(whole, part, 0.0)
    if answered:
        part.complete(permit, 1.0, NOT_SENT)
    else:
        part.cancel(permit)
    assert part.wait(1.0) == 0


def test_calls_of_others_do_not_count_toward_the_share() -> None:
    whole, part = a_part(Limit(5, HOUR))
    permit = whole.acquire(0.0)
    part.complete(permit, 1.0, None)
    part.cancel(permit)
    assert part.wait(1.0) == 0
