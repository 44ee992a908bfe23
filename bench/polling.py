"""How soon the end of a run is known, when the quota allows all requested polls."""

import asyncio

from bench.delays import HEAD, late, ratio_row, row
from bench.report import Report, Table, at_most
from bench.scene import HOUR, OURS, Scene, refused
from bench.shapes import scripts
from tests.virtual.loop import run_virtually

__all__ = ["polling"]

RUNS = 60
INTERVAL = 60
LAST = 12.5 * HOUR
PLAIN = "plain"


def polling(seed: int) -> Report:
    """Follow runs from their start to their end."""
    return run_virtually(lambda: _polling(seed))


async def _polling(seed: int) -> Report:
    scene = Scene(
        seed,
        sides=[PLAIN],
        settings={"limit_starts": "1000/1h"},
        limit_starts=(),
    )
    numbers, models = range(RUNS), scripts(scene.rng, RUNS)
    for number, model in zip(numbers, models, strict=True):
        scene.put(number, model)
    async with scene.world.operator(), scene.baseline(PLAIN, INTERVAL) as plain:
        for number in numbers:
            scene.add(number, pollIntervalSeconds=INTERVAL)
            scene.follow(plain, PLAIN, number)
        await asyncio.sleep(LAST)
        ours = late(scene, OURS, scene.over_at, scene.ends(OURS, numbers))
        theirs = late(scene, PLAIN, plain.ended, scene.ends(PLAIN, numbers))
    polls = {side: scene.calls(side, "model") for side in (OURS, PLAIN)}
    failed = {number for number, model in enumerate(models) if model.fail_at is not None}
    ratio, calls = ours.mean / theirs.mean, len(polls[OURS]) / len(polls[PLAIN])
    rows = [
        row("operator", polls[OURS], ours, failed),
        row("fixed interval", polls[PLAIN], theirs, failed),
        ratio_row("ratio", calls, ratio),
    ]
    return Report(
        "Polling with a sufficient quota",
        f"{RUNS} runs of 6 to 12 h, {len(failed)} of which fail on the way; a poll every "
        f"{INTERVAL} s requested, 100 a minute allowed. "
        "Delay: from the end of the run to the status.",
        Table(HEAD, rows),
        (
            at_most("Delay of an end ÷ fixed interval's, sufficient quota", ratio, 0.5),
            at_most("… calls ÷ fixed interval's", calls, 1.1),
            at_most("… refused", refused(polls[OURS]), 0, ".0f"),
        ),
    )
