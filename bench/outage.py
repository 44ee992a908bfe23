"""The API is unreachable for twenty minutes: calls meanwhile, and the recovery of all models."""

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
"""Together, the polls that are allowed."""
BEGIN, LENGTH, AFTER = 900.0, 1200.0, 1200.0
"""Seconds before, in and after the outage."""
BACK = BEGIN + LENGTH
ALLOWED, MINUTE = 100, 60.0
PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one side."""

    meanwhile: int
    """Calls while the API was unreachable."""
    longest: float
    """Maximum seconds between two of these calls."""
    second: int
    """Calls in the busiest second of the minute after the first successful reply."""
    minute: int
    """Calls in that minute."""
    refused: int
    """Calls that were refused for their rate."""
    fresh: Sequence[float]
    """By model, seconds from the end of the outage to the first successful reply."""


def outage(seed: int) -> Report:
    """Run the outage and compare both sides."""
    found = run_virtually(lambda: _measure_outage(seed))
    ours = found[OURS]
    return Report(
        f"The API unreachable for {LENGTH / MINUTE:g} min",
        f"{RUNNING} runs under way, a poll every {INTERVAL} s requested, {ALLOWED} a minute "
        "allowed; 503 for all calls meanwhile. Back: the minute after the first successful reply. "
        "Fresh: from the end of the outage to the first successful reply for each model.",
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
            at_most("Polls in the minute after an outage ÷ allowed", ours.minute / ALLOWED, 1.0),
            at_most("Polls refused before, in and after an outage", ours.refused, 0, "d"),
        ),
    )


async def _measure_outage(seed: int) -> dict[str, Outcome]:
    scene = Scene(seed, sides=[PLAIN])
    for number, model in enumerate(scripts(scene.rng, RUNNING)):
        scene.put(number, under_way(model, scene.rng.uniform(0, 0.8)))
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
    """Return the outcome of a side.

    Args:
        calls: The polls of the side.
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
