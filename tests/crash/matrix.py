"""Plays cases, several at a time, each in its own scene, and keeps their outcomes."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from tests.crash.scene import Scene, Situation, Stage
from tests.crash.table import Outcome

__all__ = ["Case", "Matrix", "together"]

T = TypeVar("T")

AT_ONCE = 24
"""Concurrent cases. A case mostly waits for durations of the protocol."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row and column of the table, and how to play it.

    Args:
        situation: Conditions besides the crash.
        where: The row.
        how: The column.
        play: Plays the case and returns the seconds that the recovery took. Its assertions belong
            to the case.
    """

    situation: Situation
    where: str
    how: str
    play: Callable[[Scene], Awaitable[float]]


@dataclass(slots=True)
class Matrix:
    """Plays cases.

    Args:
        stage: Makes the scenes.
        outcomes: The outcomes of all cases so far, for the table.
    """

    stage: Stage
    outcomes: list[Outcome]
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def play(self, cases: Iterable[Case]) -> None:
        """Play the cases and append their outcomes to `outcomes`, in order.

        Raises:
            AssertionError: Names all bad outcomes.
        """
        async with asyncio.TaskGroup() as tasks:
            played = [tasks.create_task(self._play(case)) for case in cases]
        outcomes = [one.result() for one in played]
        self.outcomes += outcomes
        assert outcomes
        bad = [f"{outcome}" for outcome in outcomes if not outcome.is_good]
        assert not bad, "\n\n".join([f"{len(bad)} of {len(outcomes)} cases:", *bad])

    async def _play(self, case: Case) -> Outcome:
        name, where, how = case.situation.name, case.where, case.how
        runs: int | None = None
        try:
            async with self._slots, self.stage.scene(case.situation) as scene:
                try:
                    seconds = await case.play(scene)
                    await scene.starts()
                finally:
                    runs = scene.starts_so_far
        except Exception as error:  # noqa: BLE001 - the other cases continue after any error
            return Outcome(name, where, how, runs, problem=str(error) or repr(error))
        return Outcome(name, where, how, runs, seconds)

    async def observe(self, situation: Situation, play: Callable[[Scene], Awaitable[T]]) -> T:
        """Play a run without a fault, to find the cases."""
        async with self._slots, self.stage.scene(situation) as scene:
            return await play(scene)


async def together(*found: Awaitable[list[Case]]) -> list[Case]:
    """The cases of several kinds, discovered concurrently."""
    return [case for cases in await asyncio.gather(*found) for case in cases]
