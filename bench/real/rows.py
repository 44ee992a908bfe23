"""The rows: what happens in each, phase by phase."""

import asyncio
from collections.abc import Mapping

from bench.real.clock import until
from bench.real.figures import Figures
from bench.real.row import UNLIMITED, Row
from bench.real.scene import Scene
from bench.real.simulator import Shares, drawn_faults
from bench.real.subject import BASELINE, OPERATOR

__all__ = ["ROWS", "TINY"]

Phases = dict[str, Figures]

LATE = 4.0
"""Seconds until a start acts whose client has gone; a restart and a repetition take less."""
FLAKY: Shares = {"status": (0.3, {"status": 500}), "truncated": (0.1, {})}
LOST: Shares = {"drop_after": (0.3, {}), "drop_before": (0.2, {}), "late": (0.2, {"after": LATE})}
CALLS = 5_000
"""Calls whose fault is drawn; more than a row makes."""
ADOPTION_SECONDS = {OPERATOR: 600.0, BASELINE: 240.0}
"""At most, until all models have been polled; the baseline has no bar to meet."""
LENIENT = ("--server=lenient",)
"""The simulator starts a model that runs or has run: a second start is a second run."""
UNCHANGED = {"status": 3, "progress": 20, "duration": "8000h"}
"""A run whose progress does not change while the row lasts."""
DOCUMENTED = ("5/1h", "100/1m")
SCALED = {
    "SCRIPTIX_POST_TIMEOUT": "2s",
    "SCRIPTIX_START_GRACE_PERIOD": "500ms",
}
"""Durations of the start protocol, scaled as the run is: with the defaults, a start whose reply is
lost is repeated 45 s later at the earliest, which is longer than the run."""


def _ready(seconds: int) -> dict[str, object]:
    return {"duration": f"{seconds}s"}


async def _to_the_end(scene: Scene, seconds: float) -> Phases:
    await scene.mark()
    await scene.create_resources()
    await scene.until_ended(seconds)
    return {"": await scene.figures()}


async def _plain(scene: Scene) -> Phases:
    return await _to_the_end(scene, 170)


async def _tiny(scene: Scene) -> Phases:
    return await _to_the_end(scene, 60)


async def _flaky(scene: Scene) -> Phases:
    await scene.simulator.add_faults(drawn_faults(FLAKY, CALLS, seed=1))
    return await _to_the_end(scene, 150)


async def _lost_replies(scene: Scene) -> Phases:
    await scene.simulator.add_faults(drawn_faults(LOST, CALLS, seed=1, call="run"))
    return await _to_the_end(scene, 170)


async def _killed(scene: Scene) -> Phases:
    """Kill the process three times while a start is under way, each time with more runs."""
    await scene.simulator.add_faults(
        [{"fault": "delay", "delay": LATE, "call": "run", "times": "forever"}]
    )
    await scene.mark()
    creating = asyncio.create_task(scene.create_resources())
    for _ in range(3):
        async with asyncio.timeout(60):
            await until(scene.simulator.has_open_start, 0.02)
        scene.subject.kill()
        await scene.subject.wait_until_ready()
    await creating
    await scene.until_ended(170)
    return {"": await scene.figures()}


async def _away(scene: Scene, seconds: float) -> Phases:
    """Kill the API server in mid-run for some seconds."""
    await scene.mark()
    await scene.create_resources()
    await asyncio.sleep(30)
    await scene.until_started(30)
    await scene.kill_api_server()
    await asyncio.sleep(seconds)
    await scene.revive_api_server()
    await scene.until_ended(60)
    return {"": await scene.figures()}


async def _away_short(scene: Scene) -> Phases:
    return await _away(scene, 75)


async def _away_long(scene: Scene) -> Phases:
    return await _away(scene, 600)


async def _idle(scene: Scene) -> Phases:
    """Adopt runs whose polls bring no news, poll them, and restart the process."""
    await scene.mark()
    await scene.until_polled(ADOPTION_SECONDS[scene.subject.side])
    phases = {"adoption": await scene.figures()}
    await asyncio.sleep(30)
    await scene.mark()
    await asyncio.sleep(120)
    phases["idle"] = await scene.figures()
    await scene.mark_restart()
    await scene.until_scheduled(120)
    await scene.until_polled(120)
    phases["restart"] = await scene.figures()
    return phases


TINY = Row(
    about="5 resources, runs of 2 s, a poll each second, no limits.",
    play=_tiny,
    resources=5,
    interval=1,
    script=_ready(2),
)
"""The row of the project's tests."""

ROWS: Mapping[str, Row[Scene]] = {
    "plain": Row(
        about="100 resources, runs of 60 s, a poll every 5 s, no limits.",
        play=_plain,
        resources=100,
        interval=5,
        script=_ready(60),
    ),
    "start-limited": Row(
        about="20 resources, runs of 10 s, a poll every 2 s, 5 starts in 20 s.",
        play=_plain,
        resources=20,
        interval=2,
        script=_ready(10),
        limits=("5/20s", UNLIMITED),
    ),
    "status-limited": Row(
        about="100 running models, 60 s to their end, a poll every 5 s, 100 polls a minute.",
        play=_plain,
        resources=100,
        interval=5,
        script={"status": 3, "progress": 0, "duration": "60s"},
        limits=(UNLIMITED, "100/1m"),
    ),
    "flaky": Row(
        about="30 resources, runs of 30 s, a poll every 2 s; 30 % 500, 10 % truncated JSON.",
        play=_flaky,
        resources=30,
        interval=2,
        script=_ready(30),
        options=LENIENT,
        settings=SCALED,
    ),
    "lost-replies": Row(
        about="30 resources, runs of 20 s, a poll every 2 s; no reply to 70 % of the starts: 30 % "
        "have acted, 20 % act 4 s later, 20 % are lost.",
        play=_lost_replies,
        resources=30,
        interval=2,
        script=_ready(20),
        options=LENIENT,
    ),
    "killed": Row(
        about="40 resources, runs of 20 s, a poll every 2 s; three times SIGKILL while a start "
        "is under way that acts 4 s after its arrival.",
        play=_killed,
        resources=40,
        interval=2,
        script=_ready(20),
        options=LENIENT,
    ),
    "away-75s": Row(
        about="100 resources, runs of 60 s, a poll every 5 s; no API server for 75 s in mid-run.",
        play=_away_short,
        resources=100,
        interval=5,
        script=_ready(60),
    ),
    "away-10m": Row(
        about="100 resources, runs of 60 s, a poll every 5 s; no API server for 10 min in mid-run.",
        play=_away_long,
        resources=100,
        interval=5,
        script=_ready(60),
        runs=1,
        is_optional=True,
    ),
    "1000": Row(
        about="1,000 running models over 10 keys, a poll every 60 s, documented quotas; the polls "
        "bring no news.",
        play=_idle,
        resources=1_000,
        interval=60,
        script=UNCHANGED,
        keys=10,
        has_resources_first=True,
        limits=DOCUMENTED,
        runs=1,
    ),
    "10000": Row(
        about="10,000 running models over 100 keys, a poll every 60 s, documented quotas; the "
        "polls bring no news.",
        play=_idle,
        resources=10_000,
        interval=60,
        script=UNCHANGED,
        keys=100,
        has_resources_first=True,
        limits=DOCUMENTED,
        runs=1,
        is_optional=True,
    ),
}
