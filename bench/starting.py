"""Twenty starts with one key: how many are refused, and how much of the allowance is used."""

import asyncio
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Literal

from bench.report import Report, Table, at_least, at_most, shown
from bench.scene import DAY, HOUR, OURS, Scene, model_id, refused
from bench.shapes import script
from scriptix_operator.core.scheduling.key_scheduler import Call
from scriptix_simulator.units import Limit
from tests.virtual.loop import EPOCH, boottime, run_virtually
from tests.virtual.wire import Wire, is_kept

__all__ = ["starting"]

RESOURCES = 20
CONFIGURED, STRICTER = 5, 3
"""Starts in a window: as the operator was told, and as it is to find out."""
WINDOWS = {HOUR: ("1h", 600), 30.0: ("30s", 10)}
"""Lengths of windows, as settings spell them, and seconds between the baseline's calls."""
SELDOM = 3600
"""Seconds between the operator's looks: it is starts that matter."""
BEGIN = 1000.0
"""In the midst of a fixed window, and so of any length."""
HINTS = ("always", "refused", "seconds", "date", "body", "none")
MOST = 2 * DAY
PLAIN = "plain"
Style = Literal["sliding", "fixed"]
STYLES: tuple[Style, ...] = "sliding", "fixed"


@dataclass(frozen=True, slots=True)
class Case:
    """What a server has, and tells."""

    limit: Limit
    style: Style
    hint: str

    @property
    def replies(self) -> dict[str, str]:
        """How the simulator says it."""
        if self.hint in {"always", "refused"}:
            return {"rate_headers": self.hint, "retry_hint": "none"}
        return {"rate_headers": "never", "retry_hint": self.hint}


@dataclass(frozen=True, slots=True)
class Use:
    """What came of it for one side."""

    part: float
    """Of the starts that the server allowed while work waited."""
    late: float
    """Seconds between the earliest time at which the last start was possible, and when it was."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it."""

    untaught: int
    """Refusals of the operator's starts that were sent before it kept to the limit."""
    taught: int
    """After."""
    ours: Use
    refused: int
    """Refusals of the baseline's starts."""
    plain: Use


def starting(seed: int) -> Report:
    """Start twenty runs at each kind of server."""
    cases = [
        Case(Limit(count, seconds), style, hint)
        for seconds, count, style, hint in product(WINDOWS, (CONFIGURED, STRICTER), STYLES, HINTS)
        # Hours take their time, and where nothing is refused the operator is told nothing.
        if (seconds, count) != (HOUR, CONFIGURED) or hint in {"seconds", "none"}
    ]
    found = {case: run_virtually(partial(_start, seed, case)) for case in cases}
    hinted = [outcome for case, outcome in found.items() if case.hint != "none"]
    return Report(
        "Starting",
        f"{RESOURCES} resources at once; the operator was told of {CONFIGURED} starts in a window. "
        "Hints: X-RateLimit always or on refusals, Retry-After in seconds, as a date or in the "
        "body, or none. Refused: before and after the operator knew the limit. Used: of what was "
        "allowed while work waited. Late: the last start, against the earliest possible.",
        Table(
            (
                *("limit, window, hint", "refused", "after", "used %", "late s"),
                *("plain: refused", "used %", "late s"),
            ),
            [_row(case, outcome) for case, outcome in found.items()],
        ),
        (
            at_most(
                "Starts refused after the limit was known",
                sum(o.taught for o in found.values()),
                0,
                ".0f",
            ),
            at_least(
                "Use of the start allowance while work waits, hinted, the least",
                min(outcome.ours.part for outcome in hinted),
                0.95,
            ),
        ),
    )


def _row(case: Case, outcome: Outcome) -> Sequence[str]:
    return (
        f"{case.limit.count}/{WINDOWS[case.limit.seconds][0]} {case.style}, {case.hint}",
        str(outcome.untaught),
        str(outcome.taught),
        shown(100 * outcome.ours.part, ".0f"),
        shown(outcome.ours.late),
        str(outcome.refused),
        shown(100 * outcome.plain.part, ".0f"),
        shown(outcome.plain.late),
    )


async def _start(seed: int, case: Case) -> Outcome:
    spelled, interval = WINDOWS[case.limit.seconds]
    scene = Scene(
        seed,
        sides=[PLAIN],
        settings={"limit_starts": f"{CONFIGURED}/{spelled}"},
        limit_starts=(case.limit,),
        window=case.style,
        **case.replies,
    )
    wire = Wire(scene.world)
    await asyncio.sleep(BEGIN)
    numbers = range(RESOURCES)
    for number in numbers:
        scene.put(number, script(scene.jitter))
    async with scene.world.operator(), scene.baseline(PLAIN, interval) as plain:
        for number in numbers:
            scene.add(number, pollIntervalSeconds=SELDOM, log={"collect": "Never"})
            scene.follow(plain, PLAIN, number)
        await _all_started(scene, case.limit.seconds / 60)
        starts = {side: _starts(scene, side) for side in scene.sides}
    refusals = [one for one in wire.sent if one.kind is Call.START and one.is_refused]
    taught = sum(is_kept(one.limits, [case.limit]) for one in refusals)
    return Outcome(
        untaught=len(refusals) - taught,
        taught=taught,
        ours=_use(starts[OURS], case),
        refused=refused(scene.calls(PLAIN, "run")),
        plain=_use(starts[PLAIN], case),
    )


async def _all_started(scene: Scene, patience: float) -> None:
    """Wait until each side has started all."""
    models = [model_id(side, n) for side in range(len(scene.sides)) for n in range(RESOURCES)]
    while boottime() < MOST and not all(scene.world.state.models[one].runs for one in models):  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(patience)


def _starts(scene: Scene, side: str) -> list[float]:
    return [call.at - EPOCH for call in scene.calls(side, "run") if call.started is not None]


def _use(starts: Sequence[float], case: Case) -> Use:
    if len(starts) < RESOURCES:
        return Use(math.nan, math.inf)
    begins = list(_windows(starts[0], starts[-1], case))
    whole = [at for at in starts if at < begins[-1]]
    allowed = case.limit.count * (len(begins) - 1)
    needed = math.ceil(RESOURCES / case.limit.count)
    earliest = starts[0] if needed == 1 else list(_windows(starts[0], math.inf, case, needed))[-1]
    return Use(len(whole) / allowed, starts[-1] - earliest)


def _windows(first: float, last: float, case: Case, most: int | None = None) -> Iterator[float]:
    """The beginnings of windows, each with a whole allowance for whoever uses them up at once.

    Args:
        first: The first start.
        last: No window that begins later.
        case: What the server has.
        most: No more windows than these.
    """
    begin, number, length = first, 0, case.limit.seconds
    while begin <= last and (most is None or number < most):
        yield begin
        number += 1
        begin = first + number * length
        if case.style == "fixed":
            begin -= (EPOCH + first) % length
