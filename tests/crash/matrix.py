"""Kills an operator at each await of a start, and sees what its successor makes of it."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from tests.crash.awaits import Await
from tests.crash.orders import Mode
from tests.crash.scene import Scene, Situation, Stage
from tests.crash.table import Outcome

__all__ = ["AT_ONCE", "Case", "Matrix", "Sample"]

AT_ONCE = 6
"""Cases at work at the same time. Most of a case is waiting: for durations of the protocol."""

Sample = Literal["all", "one each"]
"""Each await in each mode, or each in one, in turn."""

KILLED = -9


@dataclass(frozen=True, slots=True)
class Case:
    """A kill: at which await, and when exactly."""

    at: Await
    mode: Mode

    @property
    def suspension(self) -> int:
        """For `within` the last one: the request is out, and nothing of the reply is read."""
        return self.at.suspensions if self.mode == "within" else 1


@dataclass(slots=True)
class Matrix:
    """Runs cases, several at a time, and keeps what came of them.

    Args:
        stage: Where.
        outcomes: Of all cases so far; the table is made of them.
    """

    stage: Stage
    outcomes: list[Outcome]
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def discover(self, situation: Situation, *, whole: bool) -> list[Await]:
        """Where a start waits in this situation, while nobody is killed.

        Args:
            situation: What there is besides.
            whole: From the first await; else from the one that sends the POST. What is before it
                is the same in every situation.
        """
        async with self.stage.scene(situation) as scene:
            await scene.victim(scene.orders())
            await scene.recovered()
            assert await scene.starts() == 1
            found, post = scene.itinerary(), scene.sent_from()
        names = [one.name for one in found]
        return found if whole else found[names.index(post.name) :]

    async def kill_everywhere(
        self, situation: Situation, *, sample: Sample = "all", whole: bool = True
    ) -> list[Outcome]:
        """Try each await of a start in this situation; returns the outcomes in their order."""
        cases = _cases(await self.discover(situation, whole=whole), sample)
        async with asyncio.TaskGroup() as tasks:
            tried = [tasks.create_task(self._try(situation, case)) for case in cases]
        outcomes = [one.result() for one in tried]
        self.outcomes += outcomes
        return outcomes

    async def _try(self, situation: Situation, case: Case) -> Outcome:
        where, how = case.at.name, case.mode
        async with self._slots, self.stage.scene(situation) as scene:
            try:
                seconds = await _kill(scene, case)
                return Outcome(situation.name, where, how, await scene.starts(), seconds)
            except (AssertionError, TimeoutError) as error:
                runs = scene.lab.starts() - scene.before
                return Outcome(situation.name, where, how, runs, problem=str(error) or repr(error))


def _cases(found: Iterable[Await], sample: Sample) -> Iterator[Case]:
    for number, at in enumerate(found):
        modes: list[Mode] = (
            ["enter", "within", "leave"] if at.suspensions > 1 else ["enter", "leave"]
        )
        if sample == "one each":
            modes = [modes[number % len(modes)]]
        yield from (Case(at, mode) for mode in modes)


async def _kill(scene: Scene, case: Case) -> float:
    """Have the victim kill itself, start its successor, and wait until all is well.

    Returns:
        The seconds until the run was recorded.
    """
    orders = scene.orders(case.at, mode=case.mode, suspension=case.suspension)
    victim = await scene.victim(orders)
    assert await victim.ended() == KILLED, f"the victim ended by itself:\n{victim.log[-3000:]}"
    assert scene.is_struck
    await scene.successor()
    return await scene.recovered()
