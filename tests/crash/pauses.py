"""Cases: of two operators with a Lease, the leader is paused until its Lease has expired.

The paused operator is resumed when the other one has finished the run. It must not start a second
run, and it ends because it is not the leader any more.
"""

from collections.abc import Iterable
from functools import partial

from tests.crash.kills import Blow, Found, blows
from tests.crash.matrix import Case
from tests.crash.orders import Orders
from tests.crash.scene import Scene, Situation

__all__ = ["pauses"]

CHECKED = "between the check and the first byte"


def pauses(situations: Iterable[Situation], found: Found) -> list[Case]:
    """A pause at each await of a start, and between the check and the first byte."""
    cases = []
    for situation in situations:
        cases.append(Case(situation, CHECKED, "paused", _between_check_and_send))
        for blow in blows(found, "one each", faulty=False):
            where, how = blow.at.name, f"paused, {blow.mode}"
            cases.append(Case(situation, where, how, partial(_at_await, blow)))
    return cases


def between_check_and_send(situation: Situation) -> Case:
    """The worst moment for a pause: all checks have passed, and nothing is sent."""
    return Case(situation, CHECKED, "paused", _between_check_and_send)


async def _between_check_and_send(scene: Scene) -> float:
    return await _pause(scene, scene.orders(before_bytes=True, signal="SIGSTOP"))


async def _at_await(blow: Blow, scene: Scene) -> float:
    orders = scene.orders(blow.at, mode=blow.mode, suspension=blow.suspension, signal="SIGSTOP")
    return await _pause(scene, orders)


async def _pause(scene: Scene, orders: Orders) -> float:
    paused = await scene.subject(orders, leader_election="true")
    await scene.struck(paused)
    successor = await scene.successor(leader_election="true")
    await successor.printed("leading")
    seconds = await scene.recovered()
    paused.resume()
    await paused.ended()
    return seconds
