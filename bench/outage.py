"""The API is away for twenty minutes: what is sent meanwhile, and how all become fresh again."""

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean

from bench.report import Report, Table, at_most, shown
from bench.scene import OURS, Scene, model_id, refused
from bench.shapes import scripts, under_way
from scriptix_simulator.calls import Record
from scriptix_simulator.faults import Fault
from tests.virtual.loop import EPOCH, run_virtually

__all__ = ["outage"]

RUNNING, INTERVAL = 200, 120
"""Together just what is allowed in a minute."""
BEGIN, LENGTH, AFTER = 900.0, 1200.0, 1200.0
"""Seconds: before it, of it, and after it."""
BACK = BEGIN + LENGTH
ALLOWED, MINUTE = 100, 60.0
PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it for one side."""

    meanwhile: int
    """Calls while the API was away."""
    longest: float
    """Seconds between two of them, at most."""
    second: int
    """Calls in the fullest second of the minute after the first good answer."""
    minute: int
    """Calls in that minute."""
    refused: int
    """Calls refused for their rate, at all."""
    fresh: Sequence[float]
    """Seconds from the end of the outage to the first good answer, for each model."""


def outage(seed: int) -> Report:
    """Be away, and come back."""
    found = run_virtually(lambda: _measure_outage(seed))
    ours = found[OURS]
    return Report(
        f"The API away for {LENGTH / MINUTE:g} min",
        f"{RUNNING} runs under way, a look each {INTERVAL} s asked for, {ALLOWED} a minute "
        "allowed; 503 for all calls meanwhile. Back: the minute from the first good answer on. "
        "Fresh: from the end of the outage to the first good answer for each model.",
        Table(
            (
                *("", "calls meanwhile", "farthest apart s", "refused", "back: calls"),
                *("in one second", "fresh: mean s", "last"),
            ),
            [
                (
                    name,
                    str(one.meanwhile),
                    shown(one.longest),
                    str(one.refused),
                    str(one.minute),
                    str(one.second),
                    shown(fmean(one.fresh)),
                    shown(max(one.fresh)),
                )
                for name, one in (("operator", ours), ("fixed interval", found[PLAIN]))
            ],
        ),
        (
            at_most("Looks in the minute after an outage ÷ allowed", ours.minute / ALLOWED, 1.0),
            at_most("Looks refused before, in and after an outage", ours.refused, 0, "d"),
        ),
    )


async def _measure_outage(seed: int) -> dict[str, Outcome]:
    scene = Scene(seed, sides=[PLAIN])
    for number, model in enumerate(scripts(scene.jitter, RUNNING)):
        scene.put(number, under_way(model, scene.jitter.uniform(0, 0.8)))
    async with scene.world.operator(), scene.baseline(PLAIN, INTERVAL) as plain:
        for number in range(RUNNING):
            scene.add(number, pollIntervalSeconds=INTERVAL, log={"collect": "Never"})
            scene.follow(plain, PLAIN, number)
        await asyncio.sleep(BEGIN)
        scene.world.state.faults.add(Fault(fault="status", status=503, times="forever"))
        await asyncio.sleep(LENGTH)
        scene.world.state.faults.clear()
        await asyncio.sleep(AFTER)
    found = {}
    for index, side in enumerate(scene.sides):
        ends = scene.ends(side, range(RUNNING))
        alive = {model_id(index, number) for number, end in ends.items() if end >= BEGIN}
        found[side] = _outcome(scene.calls(side, "model"), alive)
    return found


def _outcome(calls: Sequence[Record], alive: set[int]) -> Outcome:
    """Judge a side.

    Args:
        calls: Its looks.
        alive: Models whose runs had not ended before the outage.
    """
    times = [BEGIN, *(at for at in map(_at, calls) if BEGIN <= at < BACK), BACK]
    good = [call for call in calls if call.status == 200 and _at(call) >= BACK]  # noqa: PLR2004 - OK
    first = _at(good[0])
    minute = [_at(call) for call in calls if first <= _at(call) < first + MINUTE]
    seconds = Counter(int(at - first) for at in minute)
    fresh = dict.fromkeys(alive, math.inf)
    for call in reversed(good):
        if call.model in fresh:
            fresh[call.model] = _at(call) - BACK
    return Outcome(
        meanwhile=len(times) - 2,
        longest=max(later - earlier for earlier, later in pairwise(times)),
        second=max(seconds.values()),
        minute=len(minute),
        refused=refused(calls),
        fresh=[*fresh.values()],
    )


def _at(call: Record) -> float:
    return call.at - EPOCH
