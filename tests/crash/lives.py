"""Cases: somebody suspends, deletes or re-creates a resource while its start is in the balance."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from tests.crash.awaits import Await
from tests.crash.kills import Blow, Found
from tests.crash.matrix import Case
from tests.crash.scene import NAME, Scene, Situation

__all__ = ["HEIR", "lives"]

HEIR = "heir"

Deed = Callable[[Scene], Awaitable[None]]
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
    await scene.ask(HEIR)


DEEDS: dict[str, Deed] = {
    "suspended, resumed": suspend,
    "deleted, made anew": recreate,
    "deleted, an heir": replace,
}


def lives(situations: Iterable[Situation], found: Found) -> list[Case]:
    """Each deed in each situation, the operator killed before it, or at work."""
    return [
        Case(situation, name, how, play)
        for situation in situations
        for name, deed in DEEDS.items()
        for how, play in (
            ("killed before", partial(_after_a_kill, found.awaits[found.post], deed)),
            ("alive", partial(_under_its_eyes, deed)),
        )
    ]


async def _after_a_kill(post: Await, deed: Deed, scene: Scene) -> float:
    blow = Blow(post, "within")
    victim = await scene.victim(scene.orders(blow.at, mode="within", suspension=blow.suspension))
    await victim.ended()
    assert scene.is_struck
    await deed(scene)
    await scene.successor()
    return await _outlived(deed, scene)


async def _under_its_eyes(deed: Deed, scene: Scene) -> float:
    await scene.victim(scene.orders())
    await scene.lab.until_reason(NAME, "StartOutcomeUnknown")
    await deed(scene)
    return await _outlived(deed, scene)


async def _outlived(deed: Deed, scene: Scene) -> float:
    if deed is suspend:
        await scene.lab.until_phase(NAME, "Suspended")
        await scene.lab.edit(NAME, suspend=False)
    return await scene.recovered(HEIR if deed is replace else NAME)
