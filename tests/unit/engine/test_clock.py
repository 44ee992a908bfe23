"""engine/clock.py: a wall clock that is set does not move the operator's own time."""

from datetime import UTC, datetime, timedelta

from scriptix_operator.engine.clock import Clock

NOON = datetime(2026, 1, 16, 12, tzinfo=UTC)


def test_time_is_monotonic_whatever_the_wall_clock_is_set_to() -> None:
    wall, seconds = [NOON], [1000.0]
    clock = Clock(lambda: wall[0], lambda: seconds[0])
    assert clock.now() == NOON
    wall[0] += timedelta(minutes=10)
    seconds[0] += 2.5
    assert clock.now() == NOON + timedelta(seconds=2.5)
    assert clock.monotonic() == 1002.5


def test_the_machine_s_own_clocks_are_the_default() -> None:
    clock = Clock()
    before = clock.now()
    assert before.tzinfo is UTC
    assert clock.now() >= before
