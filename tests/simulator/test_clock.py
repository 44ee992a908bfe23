"""The clocks."""

import asyncio

from scriptix_simulator import ManualClock, SystemClock


async def test_a_manual_clock_wakes_sleepers_in_their_order() -> None:
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


async def test_a_cancelled_sleeper_is_not_woken() -> None:
    clock = ManualClock(0)
    sleeper = asyncio.create_task(clock.sleep(1))
    await clock.wait_for_sleepers()
    sleeper.cancel()
    await asyncio.gather(sleeper, return_exceptions=True)
    clock.advance(1)
    assert sleeper.cancelled()


async def test_sleeping_for_nothing_returns_at_once() -> None:
    await ManualClock(0).sleep(0)


async def test_the_system_clock_moves_by_itself() -> None:
    clock = SystemClock()
    before = clock.now()
    await clock.sleep(0)
    assert clock.now() >= before
