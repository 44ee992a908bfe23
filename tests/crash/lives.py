"""Cases: somebody suspends, deletes or re-creates a resource while its start is in the balance."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from tests.crash.awaits import Await
from tests.crash.kills import Blow, Found
from tests.crash.matrix import Case
from tests.crash.scene import NAME, Scene, Situation

__all__ = ["SUCCESSOR", "lives"]

SUCCESSOR = "heir"

Trial = Callable[[Scene], Awaitable[None]]
"""What somebody does, with or without an operator there."""


async def suspend(scene: Scene) -> None:
    """Suspend it."""
    await scene.lab.edit(NAME, suspend=True)


async def recreate(scene: Scene) -> None:
    """Delete it, and create another with its name."""
    scene.may_adopt = True
    await scene.lab.delete(NAME)
    await scene.ask()


async def replace(scene: Scene) -> None:
    """Delete it, and create another with another name for the same model."""
    scene.may_adopt = True
    await scene.lab.delete(NAME)
    await scene.ask(SUCCESSOR)


DEEDS: dict[str, Trial] = {
    "suspended, resumed": suspend,
    "deleted, made anew": recreate,
    "deleted, an heir": replace,
}


def lives(situations: Iterable[Situation], found: Found) -> list[Case]:
    """Each deed in each situation, the operator killed before it, or at work."""
    return [
        Case(situation, name, how, play)
        for situation in situations
        for name, trial in DEEDS.items()
        for how, play in (
            ("killed before", partial(_after_a_kill, found.awaits[found.post], trial)),
            ("alive", partial(_under_its_eyes, trial)),
        )
    ]


async def _after_a_kill(post: Await, trial: Trial, scene: Scene) -> float:
    blow = Blow(post, "within")
    subject = await scene.subject(scene.orders(blow.at, mode="within", suspension=blow.suspension))
    await subject.ended()
    assert scene.is_struck
    await trial(scene)
    await scene.successor()
    return await _outlived(trial, scene)


async def _under_its_eyes(trial: Trial, scene: Scene) -> float:
    await scene.subject(scene.orders())
    await scene.lab.until_reason(NAME, "StartOutcomeUnknown")
    await trial(scene)
    return await _outlived(trial, scene)


async def _outlived(trial: Trial, scene: Scene) -> float:
    if trial is suspend:
        await scene.lab.until_phase(NAME, "Suspended")
        await scene.lab.edit(NAME, suspend=False)
    return await scene.recovered(SUCCESSOR if trial is replace else NAME)
