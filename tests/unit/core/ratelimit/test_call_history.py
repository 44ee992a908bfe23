"""core/ratelimit/call_history.py: how many accepted calls are remembered."""

from scriptix_operator.core.ratelimit.call_history import MAX_REMEMBERED, AcceptedCalls


def test_accepted_calls_are_kept_within_bounds() -> None:
    calls = AcceptedCalls()
    for at in range(2 * MAX_REMEMBERED + 1):
        calls.add(float(at))
    times = calls.since(-1.0)
    assert list(times) == list(range(MAX_REMEMBERED, 2 * MAX_REMEMBERED + 1))
    assert calls.count(MAX_REMEMBERED) == len(times) - 1
