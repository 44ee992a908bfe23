"""The clocks."""

import asyncio
from email.utils import parsedate_to_datetime

import pytest

from scriptix_simulator import Limit, ManualClock, ShiftedClock, SimulatorConfig, SystemClock

from .support import Start


async def test_manual_clock_resumes_sleepers_in_their_order() -> None:
    clock = ManualClock(0)
    woken = []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as group:
        group.create_task(sleep(2))
        group.create_task(sleep(1))
        await clock.wait_for_sleepers(2)
        clock.advance(0.5)
        assert woken == []
        clock.advance(2)
    assert woken == [1, 2]
    assert clock.now() == 2.5


async def test_cancelled_sleeper_is_not_resumed() -> None:
    clock = ManualClock(0)
    sleeper = asyncio.create_task(clock.sleep(1))
    await clock.wait_for_sleepers()
    sleeper.cancel()
    await asyncio.gather(sleeper, return_exceptions=True)
    clock.advance(1)
    assert sleeper.cancelled()


async def test_sleeping_for_nothing_returns_at_once() -> None:
    await ManualClock(0).sleep(0)


async def test_system_clock_advances() -> None:
    clock = SystemClock()
    before = clock.now()
    await clock.sleep(0)
    assert clock.now() >= before


async def test_a_shifted_clock_shows_another_time_and_sleeps_as_long() -> None:
    clock = ManualClock(1000)
    shifted = ShiftedClock(clock, -600)
    assert shifted.now() == 400
    sleeper = asyncio.create_task(shifted.sleep(1))
    await clock.wait_for_sleepers()
    clock.advance(1)
    await sleeper
    assert shifted.now() == 401


@pytest.mark.parametrize(
    ("offset", "shown"),
    [(600, "2025-01-16T08:10:00Z"), (-600, "2025-01-16T07:50:00Z")],
    ids=["ahead", "behind"],
)
async def test_shifted_clock_applies_to_the_whole_reply(
    start: Start, offset: float, shown: str
) -> None:
    config = SimulatorConfig(clock_offset=offset, speed=1, limit_starts=(Limit(1, 3600),))
    served = await start(config)
    served.sim.put(1)
    reply = await served.run(1)
    assert reply.json()["started_training_at"] == shown
    date = parsedate_to_datetime(reply.headers["Date"])
    assert f"{date:%Y-%m-%dT%H:%M:%SZ}" == shown
    refused = await served.run(1)
    assert int(refused.headers["X-RateLimit-Reset"]) - date.timestamp() == 3600
