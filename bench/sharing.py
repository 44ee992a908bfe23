"""Two clients with one key: the other client's calls cause no false observed limit."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from bench.baseline import PATH
from bench.report import Report, Table, exactly, shown
from bench.scene import HOUR, OURS, Scene, model_id, refused
from bench.shapes import scripts, under_way
from scriptix_operator.core.model.api_key import ApiKey
from scriptix_operator.core.scheduling.calls import Call
from scriptix_simulator.scripts import ModelScript
from scriptix_simulator.units import Limit
from tests.virtual.loop import run_virtually
from tests.virtual.wire import Wire

__all__ = ["sharing"]

SHARES = (0.3, 0.6, 0.9)
HINTS: Mapping[str, Mapping[str, Any]] = {
    "always": {},
    "Retry-After": {"rate_headers": "never", "retry_hint": "seconds"},
    "none": {"rate_headers": "never", "retry_hint": "none"},
}
"""Rate-limit hints of the server; the first includes its limit."""
RUNNING, INTERVAL, POLLING = 60, 60, HOUR / 3
"""Runs under way, their poll interval, and the duration."""
QUEUED, STARTING = 20, 6 * HOUR
SELDOM = 600
"""Poll interval where only starts matter."""
OTHERS = 9_000
"""Number of the other client's model, which has been trained."""
AGAIN = 0.02
"""Fraction of a window after which the other client retries."""
METHODS = {Call.STATUS: "GET", Call.START: "POST"}
TOO_MANY = 429
LIMITS = {Call.STATUS: Limit(100, 60), Call.START: Limit(5, HOUR)}
PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a case."""

    sent: int
    refused: int
    observed: tuple[str, ...]
    """The observed limits of the operator."""
    plain_sent: int
    plain_refused: int


def sharing(seed: int) -> Report:
    """Poll and start beside another client."""
    cases = list(product((Call.STATUS, Call.START), HINTS, SHARES))
    found = {case: run_virtually(partial(_beside_another, seed, *case)) for case in cases}
    false = sum(len(outcome.observed) for case, outcome in found.items() if case[1] == "always")
    return Report(
        "Two clients on one key",
        "Another client uses a share of the key's quota at random times. Polls: "
        f"{RUNNING} runs under way for {POLLING / 60:g} min, a poll of each every {INTERVAL} s "
        f"requested, 100 a minute allowed. Starts: {QUEUED} in the queue for "
        f"{STARTING / HOUR:g} h, 5 an hour allowed.",
        Table(
            (
                *("calls, hint, other's share", "sent", "refused %", "observed"),
                *("plain: sent", "refused %"),
            ),
            [_row(call, hint, share, o) for (call, hint, share), o in found.items()],
        ),
        (
            exactly(
                "False observed limits beside another client, where the API names its own", false, 0
            ),
        ),
    )


def _row(call: Call, hint: str, share: float, outcome: Outcome) -> Sequence[str]:
    return (
        f"{call}, {hint}, {share:.0%}",
        str(outcome.sent),
        shown(100 * outcome.refused / outcome.sent),
        ", ".join(outcome.observed) or "nothing",
        str(outcome.plain_sent),
        shown(100 * outcome.plain_refused / outcome.plain_sent),
    )


async def _beside_another(seed: int, call: Call, hint: str, share: float) -> Outcome:
    scene = Scene(seed, sides=[PLAIN], **HINTS[hint])
    wire = Wire(scene.world)
    is_polling = call is Call.STATUS
    for number, model in enumerate(scripts(scene.rng, RUNNING if is_polling else QUEUED)):
        scene.put(number, under_way(model, scene.rng.uniform(0, 0.9)) if is_polling else model)
    scene.put(OTHERS, ModelScript(status=4))
    for side in scene.sides:
        scene.background(_take(scene, side, call, share))
    await asyncio.sleep(LIMITS[call].seconds)
    interval = INTERVAL if is_polling else SELDOM
    async with scene.world.operator() as engine, scene.baseline(PLAIN, interval) as plain:
        for number in range(RUNNING if is_polling else QUEUED):
            scene.add(number, pollIntervalSeconds=interval, log={"collect": "Never"})
            scene.follow(plain, PLAIN, number)
        await asyncio.sleep(POLLING if is_polling else STARTING)
        limiter = engine.schedulers.of(ApiKey(OURS, "").fingerprint).limiters[call]
        observed = tuple(f"{one.count}/{one.seconds:g}s" for one in limiter.observed_limits)
    ours = [one for one in wire.sent if one.kind is call]
    others = model_id(scene.sides.index(PLAIN), OTHERS)
    theirs = scene.calls(PLAIN, "model" if is_polling else "run")
    theirs = [record for record in theirs if record.model != others]
    return Outcome(
        sent=len(ours),
        refused=sum(one.is_refused for one in ours),
        observed=observed,
        plain_sent=len(theirs),
        plain_refused=refused(theirs),
    )


async def _take(scene: Scene, side: str, call: Call, share: float) -> None:
    """Be the other client: call at random times; after a refusal, retry until accepted."""
    limit, model = LIMITS[call], model_id(scene.sides.index(side), OTHERS)
    rng = random.Random(scene.rng.random())  # noqa: S311 - repeatable on purpose
    path = f"{PATH}/{model}" if call is Call.STATUS else f"{PATH}/{model}/run"
    async with scene.client(side) as client:
        while True:
            await asyncio.sleep(rng.expovariate(share * limit.count / limit.seconds))
            # A start is rejected because the model is trained, but it counts.
            while (await client.request(METHODS[call], path)).status_code == TOO_MANY:  # noqa: ASYNC110 - there is no event
                await asyncio.sleep(limit.seconds * AGAIN)
