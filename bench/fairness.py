"""Fairness of starts: a tenant with 500 resources beside one with 1, and a poisoned model."""

import asyncio
from functools import partial

from bench.report import Report, Table, at_most, shown
from bench.scene import HOUR, OURS, Scene, model_id
from bench.shapes import scripts
from scriptix_simulator.faults import Fault
from scriptix_simulator.scripts import ModelScript
from tests.virtual.loop import run_virtually

__all__ = ["fairness"]

MANY, ONE = 500, 500
"""Resources of the first tenant, and the number of the other tenant's model."""
ARRIVES = 1.3 * HOUR
"""In the middle of the second window."""
AFTER = 2 * HOUR
INTERVAL, SELDOM = 3600, 600
"""Poll intervals, which are long because only starts matter."""
NO_LOG = {"collect": "Never"}
LIMIT = 5
"""Starts in an hour."""
OTHERS, POISONED, HOURS = 40, 40, 8
"""Models beside the one whose start always fails, the number of that one, and the duration."""
PLAIN = "plain"
SIDES = (OURS, PLAIN)


def fairness(seed: int) -> Report:
    """Share the starts of a key."""
    ranks = run_virtually(partial(_one_beside_many, seed))
    starts = run_virtually(partial(_one_poisoned, seed))
    return Report(
        "Fairness",
        f"Two tenants with one key, {LIMIT} starts an hour: the first has {MANY} resources of "
        f"priority 1000; the other has one, which comes {ARRIVES / HOUR:g} h later. With another "
        f"key: a tenant with one model whose POST always returns 500, beside one with {OTHERS}, "
        f"for {HOURS} h.",
        Table(
            ("", "operator", "plain"),
            [
                ("starts until the one of the other tenant", *(ranks[side] for side in SIDES)),
                *(
                    (f"starts an hour for {who}", *(shown(starts[side][who]) for side in SIDES))
                    for who in ("the poisoned model", "all others")
                ),
            ],
        ),
        (
            at_most("Starts of a key until another tenant's only one", int(ranks[OURS]), 2, "d"),
            at_most("Starts an hour for a poisoned model", starts[OURS]["the poisoned model"], 1.0),
        ),
    )


async def _one_beside_many(seed: int) -> dict[str, str]:
    """Return the number of starts up to and including that of the single resource."""
    # Polls do not matter here, and there are many loops.
    scene = Scene(seed, sides=[PLAIN], namespaces=("many", "one"), limit_status=())
    for number in range(MANY):
        scene.put(number, ModelScript())
    async with scene.world.operator(), scene.baseline(PLAIN, INTERVAL) as plain:
        for number in range(MANY):
            scene.add(number, "many", priority=1000, pollIntervalSeconds=INTERVAL, log=NO_LOG)
            # Within a minute: all are there at the beginning.
            scene.follow(plain, PLAIN, number, plain.rng.uniform(0, 60))
        await asyncio.sleep(ARRIVES)
        scene.put(ONE, ModelScript())
        scene.add(ONE, "one", pollIntervalSeconds=INTERVAL, log=NO_LOG)
        scene.follow(plain, PLAIN, ONE, 0.0)
        await asyncio.sleep(AFTER)
    found = {}
    for index, side in enumerate(scene.sides):
        starts = [call.model for call in scene.calls(side, "run", ARRIVES) if call.started]
        one = model_id(index, ONE)
        found[side] = str(starts.index(one) + 1) if one in starts else f"> {len(starts)}"
    return found


async def _one_poisoned(seed: int) -> dict[str, dict[str, float]]:
    # The poisoned model has its own namespace; the queue is fair between namespaces.
    scene = Scene(seed, sides=[PLAIN], namespaces=("others", "poisoned"))
    poisoned = [model_id(side, OTHERS) for side in range(len(SIDES))]
    for number, model in enumerate([*scripts(scene.rng, OTHERS), ModelScript()]):
        scene.put(number, model)
    for one in poisoned:
        rule = Fault(fault="status", status=500, call="run", model=one, times="forever")
        scene.world.state.faults.add(rule)
    async with scene.world.operator(), scene.baseline(PLAIN, SELDOM) as plain:
        for number in range(OTHERS + 1):
            namespace = "poisoned" if number == OTHERS else "others"
            scene.add(number, namespace, pollIntervalSeconds=SELDOM, log=NO_LOG)
            scene.follow(plain, PLAIN, number)
        await asyncio.sleep(HOURS * HOUR)
    found = {}
    for side in SIDES:
        posts = scene.calls(side, "run")
        found[side] = {
            "the poisoned model": sum(call.model in poisoned for call in posts) / HOURS,
            "all others": sum(call.started is not None for call in posts) / HOURS,
        }
    return found
