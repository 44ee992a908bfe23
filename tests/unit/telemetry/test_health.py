"""telemetry/health.py: late heartbeats, on a clock that the test sets."""

import asyncio

import pytest

from scriptix_operator.telemetry.health import UNREACHABLE_AFTER, Heartbeat, Problems, Readiness


class Clock:
    """Monotonic seconds that the test advances."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the seconds."""
        return self.now


def test_heartbeat_in_time_is_healthy() -> None:
    clock = Clock()
    heartbeat = Heartbeat(15.0, clock)
    with heartbeat.watching("The timer") as beat:
        clock.now += 15.0
        assert heartbeat.complaints() == []
        beat()
        clock.now += 15.0
        assert heartbeat.complaints() == []


def test_late_heartbeat_is_named_until_the_next_one() -> None:
    clock = Clock()
    heartbeat = Heartbeat(15.0, clock)
    with heartbeat.watching("The timer") as beat, heartbeat.watching("The resync", limit=60.0):
        clock.now += 15.5
        assert heartbeat.complaints() == [
            "The timer has shown no sign of life for 15.5 s (limit 15 s)."
        ]
        beat()
        assert heartbeat.complaints() == []


def test_ended_heartbeat_is_not_missed() -> None:
    clock = Clock()
    heartbeat = Heartbeat(15.0, clock)
    with heartbeat.watching("The timer"):
        pass
    clock.now += 1000.0
    assert heartbeat.complaints() == []
    with heartbeat.watching("The timer"):
        assert heartbeat.complaints() == []


def test_two_cannot_beat_under_one_name() -> None:
    heartbeat = Heartbeat()
    with heartbeat.watching("The timer"), pytest.raises(ValueError, match="being watched already"):
        heartbeat.watching("The timer").__enter__()


async def test_a_running_event_loop_beats_until_it_is_cancelled() -> None:
    clock = Clock()
    heartbeat = Heartbeat(15.0, clock)
    task = asyncio.create_task(heartbeat.follow_event_loop(interval=0.001))
    await asyncio.sleep(0)
    clock.now += 16.0
    assert heartbeat.complaints() == [
        "The event loop has shown no sign of life for 16.0 s (limit 15 s)."
    ]
    async with asyncio.timeout(10):
        while heartbeat.complaints():  # noqa: ASYNC110 - it is asked, it does not tell
            await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    clock.now += 16.0
    assert heartbeat.complaints() == []


def test_readiness_names_missing_conditions() -> None:
    readiness = Readiness("Waiting for the first list.")
    assert readiness.reason == "Waiting for the first list."
    readiness.set()
    assert readiness.reason is None
    readiness.unset("Stopping.")
    assert readiness.reason == "Stopping."


def test_problem_keeps_its_first_time_until_cleared() -> None:
    clock = Clock()
    problems = Problems(clock)
    problems.report("Watch", "It fails: 404.")
    clock.now += 75.0
    problems.report("Watch", "It fails: 500.")
    problems.report("Namespaces", "Namespace b is not listed.", subject="b")
    assert problems.sentences() == [
        "For 1m15s: It fails: 500.",
        "For 0s: Namespace b is not listed.",
    ]
    assert problems.seconds() == {"Watch": 75.0, "Namespaces": 0.0}
    problems.clear("Watch")
    problems.clear("Namespaces", "a")
    assert problems.sentences() == ["For 0s: Namespace b is not listed."]
    problems.report("Watch", "It fails again.")
    assert problems.seconds()["Watch"] == 0.0


def test_outage_fails_readiness_after_a_minute() -> None:
    clock = Clock()
    problems = Problems(clock)
    problems.report("Namespaces", "One of them fails.", subject="b")
    clock.now += 3600.0
    problems.report("Watch", "It fails.", is_outage=True)
    clock.now += UNREACHABLE_AFTER - 1.0
    assert not problems.outage()
    clock.now += 1.0
    assert problems.outage()
    problems.report("Watch", "It fails for one namespace.")
    assert not problems.outage()


def test_outage_counts_from_its_own_beginning() -> None:
    clock = Clock()
    problems = Problems(clock)
    problems.report("Watch", "It fails for one namespace.")
    clock.now += 3600.0
    problems.report("Watch", "It fails.", is_outage=True)
    assert not problems.outage()
    clock.now += UNREACHABLE_AFTER
    problems.report("Watch", "It fails.", is_outage=True)
    assert problems.outage()
    assert problems.seconds()["Watch"] == 3600.0 + UNREACHABLE_AFTER


def test_problem_text_is_bounded() -> None:
    problems = Problems()
    problems.report("Watch", "x" * 10_000)
    assert len(problems.outstanding()[0].text) == 512
