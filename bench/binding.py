"""How soon the end of a run is known, when the quota allows a third of the requested polls."""

import asyncio
from itertools import count

from bench.baseline import FixedInterval
from bench.delays import HEAD, late, ratio_row, row
from bench.report import Report, Table, at_most
from bench.scene import HOUR, OURS, Scene, model_id, refused
from bench.shapes import EARLY, script, under_way
from tests.virtual.loop import boottime, run_virtually

__all__ = ["binding"]

RUNNING = 300
INTERVAL = 60
FITTING = 183
"""Poll interval of each run, for 98 polls a minute: with the full 100, some would be refused again
and again."""
HORIZON = 3 * HOUR
LATE = 0.5 * HOUR
"""Seconds before the horizon in which ends do not count: they may become known after it."""
PLAIN, FITTED = "plain", "fitted"


def binding(seed: int) -> Report:
    """Follow more runs than the quota allows for."""
    return run_virtually(lambda: _binding(seed))


async def _binding(seed: int) -> Report:
    # Without Retry-After, a loop waits its interval. With it, each loop would retry after a second:
    # 200 refusals a second, for hours.
    scene = Scene(seed, sides=[PLAIN, FITTED], retry_hint="none")
    ends: dict[int, float] = {}
    for slot in range(RUNNING):
        scene.background(_renew(scene, slot, ends))
    async with (
        scene.world.operator(),
        scene.baseline(PLAIN, INTERVAL) as plain,
        scene.baseline(FITTED, FITTING) as fitted,
    ):
        for slot in range(RUNNING):
            phase = plain.rng.uniform(0, INTERVAL)
            scene.background(_follow(scene, plain, PLAIN, slot, phase))
            # Evenly spaced, for the fewest refusals.
            scene.background(_follow(scene, fitted, FITTED, slot, FITTING * slot / RUNNING))
        await asyncio.sleep(HORIZON)
        ended = {number: end for number, end in ends.items() if end < HORIZON - LATE}
        delays = {
            OURS: late(scene, OURS, scene.over_at, ended),
            PLAIN: late(scene, PLAIN, plain.ended, ended),
            FITTED: late(scene, FITTED, fitted.ended, ended),
        }
    models = scene.world.state.models
    failed = {one for one in ended if models[model_id(0, one)].script.fail_at is not None}
    polls = {side: scene.calls(side, "model") for side in delays}
    names = {
        OURS: f"operator, {INTERVAL} s requested",
        PLAIN: f"fixed interval of {INTERVAL} s",
        FITTED: f"fixed interval of {FITTING} s",
    }
    rows = [row(names[side], polls[side], delays[side], failed) for side in delays]
    calls = {side: len(polls[OURS]) / len(polls[side]) for side in (PLAIN, FITTED)}
    ratio = {side: delays[OURS].mean / delays[side].mean for side in (PLAIN, FITTED)}
    rows += [ratio_row(f"operator ÷ {names[one]}", calls[one], ratio[one]) for one in ratio]
    return Report(
        "Polling with a binding quota",
        f"{RUNNING} runs under way at any time for {HORIZON / HOUR:g} h, 100 polls a minute "
        f"allowed; a new run replaces each that ends. {len(ended)} ends count; the delay of an end "
        "that never became known lasts to the end of the scene.",
        Table(HEAD, rows),
        (
            at_most("Delay of an end ÷ fixed interval's, binding quota", ratio[FITTED], 0.5),
            at_most("… calls ÷ fixed interval's", calls[FITTED], 1.1),
            at_most("… refused", refused(polls[OURS]), 0, ".0f"),
        ),
    )


async def _renew(scene: Scene, slot: int, ends: dict[int, float]) -> None:
    """Keep a run under way: when one ends, another model and resource replace it."""
    for number in count(slot, RUNNING):
        model = script(scene.rng, fails=scene.rng.random() < EARLY)
        scene.put(number, under_way(model, scene.rng.random() if number == slot else 0.0))
        scene.add(number, pollIntervalSeconds=INTERVAL)
        ends[number] = scene.ends(OURS, [number])[number]
        await asyncio.sleep(ends[number] - boottime())


async def _follow(
    scene: Scene, baseline: FixedInterval, side: str, slot: int, phase: float
) -> None:
    """Follow each run of a slot, the next one in the phase of the one that has ended."""
    index = scene.sides.index(side)
    for number in count(slot, RUNNING):
        await baseline.follow(model_id(index, number), phase)
        phase = baseline.interval
