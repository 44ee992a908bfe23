"""Cases: a user suspends, deletes or re-creates a resource while its start outcome is unknown."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from tests.crash.awaits import Await
from tests.crash.kills import Blow, Found
from tests.crash.matrix import Case
from tests.crash.scene import NAME, Scene, Situation

__all__ = ["SUCCESSOR", "lifecycle_cases"]

SUCCESSOR = "successor"

UserAction = Callable[[Scene], Awaitable[None]]
"""An action of a user, while an operator runs or none."""


async def suspend(scene: Scene) -> None:
    """Suspend the resource."""
    await scene.lab.edit(NAME, suspend=True)


async def recreate(scene: Scene) -> None:
    """Delete the resource, and create another one with the same name."""
    scene.may_adopt = True
    await scene.lab.delete(NAME)
    await scene.ask()


async def replace(scene: Scene) -> None:
    """Delete the resource, and create one with another name for the same model."""
    scene.may_adopt = True
    await scene.lab.delete(NAME)
    await scene.ask(SUCCESSOR)


USER_ACTIONS: dict[str, UserAction] = {
    "suspended, resumed": suspend,
    "deleted, re-created": recreate,
    "deleted, replaced": replace,
}


def lifecycle_cases(situations: Iterable[Situation], found: Found) -> list[Case]:
    """Each user action in each situation, after a kill of the operator or while it runs."""
    return [
        Case(situation, name, how, play)
        for situation in situations
        for name, action in USER_ACTIONS.items()
        for how, play in (
            ("killed before", partial(_after_a_kill, found.awaits[found.post], action)),
            ("alive", partial(_while_running, action)),
        )
    ]


async def _after_a_kill(post: Await, action: UserAction, scene: Scene) -> float:
    blow = Blow(post, "within")
    subject = await scene.subject(scene.orders(blow.at, mode="within", suspension=blow.suspension))
    await subject.ended()
    assert scene.is_struck
    await action(scene)
    await scene.successor()
    return await _recovered(action, scene)


async def _while_running(action: UserAction, scene: Scene) -> float:
    await scene.subject(scene.orders())
    await scene.lab.until_reason(NAME, "StartOutcomeUnknown")
    await action(scene)
    return await _recovered(action, scene)


async def _recovered(action: UserAction, scene: Scene) -> float:
    if action is suspend:
        await scene.lab.until_phase(NAME, "Suspended")
        await scene.lab.edit(NAME, suspend=False)
    return await scene.recovered(SUCCESSOR if action is replace else NAME)
