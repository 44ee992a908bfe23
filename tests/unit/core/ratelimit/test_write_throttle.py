"""core/ratelimit/write_throttle.py: when observed limits are stored again."""

from scriptix_operator.core.ratelimit.additive_increase import ObservedLimit
from scriptix_operator.core.ratelimit.write_throttle import CONFIRM, KEEP_AGAIN, WriteThrottle

HOUR = 3600.0


def _is_due(throttle: WriteThrottle, now: float, *observed: ObservedLimit) -> bool:
    return throttle.is_due({one.seconds: one for one in observed}, now)


def test_stricter_limit_is_stored_at_once() -> None:
    throttle = WriteThrottle()
    assert not _is_due(throttle, 0.0)
    assert _is_due(throttle, 0.0, ObservedLimit(HOUR, 3, 0.0))
    assert _is_due(throttle, 1.0, ObservedLimit(HOUR, 2, 1.0))
    assert _is_due(throttle, 2.0, ObservedLimit(HOUR, 2, 1.0), ObservedLimit(60.0, 9, 2.0))


def test_refused_trial_is_stored_at_once() -> None:
    throttle = WriteThrottle()
    assert _is_due(throttle, 0.0, ObservedLimit(HOUR, 3, 0.0))
    assert _is_due(throttle, 1.0, ObservedLimit(HOUR, 3, 1.0, 48))


def test_higher_or_removed_limit_is_stored_a_minute_later() -> None:
    throttle = WriteThrottle()
    assert _is_due(throttle, 0.0, ObservedLimit(HOUR, 3, 0.0))
    for since, observed in ((0.0, [ObservedLimit(HOUR, 4, 0.0)]), (KEEP_AGAIN, [])):
        assert not _is_due(throttle, since + KEEP_AGAIN - 1, *observed)
        assert _is_due(throttle, since + KEEP_AGAIN, *observed)


def test_replies_with_different_limits_cause_few_writes() -> None:
    throttle = WriteThrottle()
    writes = sum(
        _is_due(throttle, n / 10, ObservedLimit(60.0, (80, 90)[n % 2], n / 10)) for n in range(6000)
    )
    assert writes <= 2 * 600 / KEEP_AGAIN


def test_confirmed_limit_is_stored_once_a_day() -> None:
    throttle = WriteThrottle()
    halves = [
        _is_due(throttle, n * CONFIRM / 2, ObservedLimit(HOUR, 3, n * CONFIRM / 2))
        for n in range(9)
    ]
    assert halves == [True, False, False, True, False, False, True, False, False]


def test_restored_limit_is_not_stored_again() -> None:
    throttle, limit = WriteThrottle(), ObservedLimit(HOUR, 3, 0.0)
    throttle.restore({HOUR: limit})
    assert not _is_due(throttle, 1.0, limit)
