"""Cases: the operator is killed at an await of a start.

A run without a crash finds the awaits: `subject` observes each reconcile.
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
"""Each await in all modes, or in one mode, alternating."""

KILLED = -9


@dataclass(frozen=True, slots=True)
class Found:
    """The awaits of a start, in order."""

    awaits: Sequence[Await]
    post: int
    """Index of the await that sends the POST."""


@dataclass(frozen=True, slots=True)
class Blow:
    """An injected signal: at which await, and in which mode."""

    at: Await
    mode: Mode

    @property
    def suspension(self) -> int:
        """For `within`, the last suspension: the request is sent, and none of the reply is read."""
        return self.at.suspensions if self.mode == "within" else 1


async def discover(matrix: Matrix, situation: Situation) -> Found:
    """Find the awaits of a start in this situation, in a run without a crash."""

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
        matrix: Runs the discovery of the awaits.
        situations: Conditions besides the kill.
        sample: All modes for each await, or one.
        faulty: Only awaits from the POST on, because the fault changes nothing before it; all modes
            for the POST itself.
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
    """The signals to inject."""
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
    """Have the subject kill itself, start a successor, and wait for the success of the run."""
    subject = await scene.subject(scene.orders(blow.at, mode=blow.mode, suspension=blow.suspension))
    assert await subject.ended() == KILLED, (
        f"the subject ended before the kill:\n{subject.log[-3000:]}"
    )
    assert scene.is_struck
    await scene.successor()
    return await scene.recovered()
