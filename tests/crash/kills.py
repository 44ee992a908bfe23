"""Cases: the operator is struck at an await of a start, killed or paused.

The awaits are those of a run in which nobody is struck, found by watching the step.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from tests.crash.awaits import Await
from tests.crash.matrix import Case, Matrix
from tests.crash.orders import Mode
from tests.crash.scene import Scene, Situation

__all__ = ["Blow", "Found", "Sample", "blows", "discover", "kills", "kills_at_post"]

Sample = Literal["all", "one each"]
"""Each await in each mode, or in one of them, in turn."""

KILLED = -9


@dataclass(frozen=True, slots=True)
class Found:
    """The awaits of a start, in order."""

    awaits: Sequence[Await]
    post: int
    """The one that sends the POST."""


@dataclass(frozen=True, slots=True)
class Blow:
    """A strike: at which await, and when exactly."""

    at: Await
    mode: Mode

    @property
    def suspension(self) -> int:
        """For `within` the last one: the request is out, and nothing of the reply is read."""
        return self.at.suspensions if self.mode == "within" else 1


async def discover(matrix: Matrix, situation: Situation) -> Found:
    """Find where a start waits in this situation, while nobody is struck."""

    async def play(scene: Scene) -> Found:
        await scene.subject(scene.orders())
        await scene.recovered()
        assert await scene.starts() == 1
        names = [one.name for one in scene.itinerary()]
        return Found(scene.itinerary(), names.index(scene.sent_from().name))

    return await matrix.observe(situation, play)


async def kills(
    matrix: Matrix, situations: Iterable[Situation], sample: Sample = "all", *, faulty: bool = False
) -> list[Case]:
    """A kill at each await of a start, in each of these situations.

    Args:
        matrix: Where to find out about the awaits.
        situations: What there is besides.
        sample: How many modes for each await.
        faulty: From the POST on only, as what is before it is the same without the fault; for the
            POST itself all modes.
    """
    situations = list(situations)
    async with asyncio.TaskGroup() as tasks:
        found = [tasks.create_task(discover(matrix, one)) for one in situations]
    return [
        Case(situation, blow.at.name, blow.mode, partial(kill, blow))
        for situation, one in zip(situations, found, strict=True)
        for blow in blows(one.result(), sample, faulty=faulty)
    ]


def kills_at_post(situation: Situation, found: Found) -> list[Case]:
    """Kills at the await that sends the POST; `found` may be of a situation without faults."""
    at = found.awaits[found.post]
    return [Case(situation, at.name, mode, partial(kill, Blow(at, mode))) for mode in _modes(at)]


def blows(found: Found, sample: Sample, *, faulty: bool) -> list[Blow]:
    """Where and when to strike."""
    chosen: list[Blow] = []
    for number, at in enumerate(found.awaits):
        modes = _modes(at)
        if faulty and number < found.post:
            continue
        if sample == "one each" and not (faulty and number == found.post):
            modes = [modes[number % len(modes)]]
        chosen += [Blow(at, mode) for mode in modes]
    return chosen


def _modes(at: Await) -> list[Mode]:
    return ["enter", "within", "leave"] if at.suspensions > 1 else ["enter", "leave"]


async def kill(blow: Blow, scene: Scene) -> float:
    """Have the victim kill itself, start its successor, and wait until all is well."""
    subject = await scene.subject(scene.orders(blow.at, mode=blow.mode, suspension=blow.suspension))
    assert await subject.ended() == KILLED, f"it ended by itself:\n{subject.log[-3000:]}"
    assert scene.is_struck
    await scene.successor()
    return await scene.recovered()
