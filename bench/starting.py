"""Twenty starts with one key: refusals, and use of the start quota."""

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
from scriptix_operator.core.scheduling.calls import Call
from scriptix_simulator.units import Limit
from tests.virtual.loop import EPOCH, boottime, run_virtually
from tests.virtual.wire import Wire, is_kept

__all__ = ["starting"]

RESOURCES = 20
CONFIGURED, STRICTER = 5, 3
"""Starts in a window: the configured limit, and the lower limit that the operator observes."""
WINDOWS = {HOUR: ("1h", 600), 30.0: ("30s", 10)}
"""By length of the window: its spelling in settings, and the baseline's interval."""
SELDOM = 3600
"""Poll interval of the operator, which is long because only starts matter."""
BEGIN = 1000.0
"""In the middle of a fixed window of either length."""
HINTS = ("always", "refused", "seconds", "date", "body", "none")
MOST = 2 * DAY
PLAIN = "plain"
Style = Literal["sliding", "fixed"]
STYLES: tuple[Style, ...] = "sliding", "fixed"


@dataclass(frozen=True, slots=True)
class Case:
    """The limit of a server, and its hints."""

    limit: Limit
    style: Style
    hint: str

    @property
    def replies(self) -> dict[str, str]:
        """The hints as a configuration of the simulator."""
        if self.hint in {"always", "refused"}:
            return {"rate_headers": self.hint, "retry_hint": "none"}
        return {"rate_headers": "never", "retry_hint": self.hint}


@dataclass(frozen=True, slots=True)
class Use:
    """The use of the quota by one side."""

    part: float
    """Fraction of the starts that the server allowed while resources waited."""
    late: float
    """Seconds from the earliest possible time of the last start to the actual one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a case."""

    before_observed: int
    """Refused starts of the operator that were sent before it had observed the limit."""
    after_observed: int
    """Refused starts of the operator that were sent afterwards."""
    ours: Use
    refused: int
    """Refusals of the baseline's starts."""
    plain: Use


def starting(seed: int) -> Report:
    """Start twenty runs at each kind of server."""
    cases = [
        Case(Limit(count, seconds), style, hint)
        for seconds, count, style, hint in product(WINDOWS, (CONFIGURED, STRICTER), STYLES, HINTS)
        # Hours take long to simulate, and where nothing is refused there are no hints.
        if (seconds, count) != (HOUR, CONFIGURED) or hint in {"seconds", "none"}
    ]
    found = {case: run_virtually(partial(_start, seed, case)) for case in cases}
    hinted = [outcome for case, outcome in found.items() if case.hint != "none"]
    return Report(
        "Starting",
        f"{RESOURCES} resources at once; {CONFIGURED} starts in a window are configured. "
        "Hints: X-RateLimit always or on refusals, Retry-After in seconds, as a date or in the "
        "body, or none. Refused: before and after the operator observed the limit. Used: of the "
        "allowed starts while resources waited. Late: the last start, after the earliest possible.",
        Table(
            (
                *("limit, window, hint", "refused", "after", "used %", "late s"),
                *("plain: refused", "used %", "late s"),
            ),
            [_row(case, outcome) for case, outcome in found.items()],
        ),
        (
            at_most(
                "Starts refused after the limit was observed",
                sum(o.after_observed for o in found.values()),
                0,
                ".0f",
            ),
            at_least(
                "Least use of the start quota while resources wait, with hints",
                min(outcome.ours.part for outcome in hinted),
                0.95,
            ),
        ),
    )


def _row(case: Case, outcome: Outcome) -> Sequence[str]:
    return (
        f"{case.limit.count}/{WINDOWS[case.limit.seconds][0]} {case.style}, {case.hint}",
        str(outcome.before_observed),
        str(outcome.after_observed),
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
        scene.put(number, script(scene.rng))
    async with scene.world.operator(), scene.baseline(PLAIN, interval) as plain:
        for number in numbers:
            scene.add(number, pollIntervalSeconds=SELDOM, log={"collect": "Never"})
            scene.follow(plain, PLAIN, number)
        await _all_started(scene, case.limit.seconds / 60)
        starts = {side: _starts(scene, side) for side in scene.sides}
    refusals = [one for one in wire.sent if one.kind is Call.START and one.is_refused]
    after_observed = sum(is_kept(one.limits, [case.limit]) for one in refusals)
    return Outcome(
        before_observed=len(refusals) - after_observed,
        after_observed=after_observed,
        ours=_use(starts[OURS], case),
        refused=refused(scene.calls(PLAIN, "run")),
        plain=_use(starts[PLAIN], case),
    )


async def _all_started(scene: Scene, patience: float) -> None:
    """Wait until each side has started all models."""
    models = [model_id(side, n) for side in range(len(scene.sides)) for n in range(RESOURCES)]
    while boottime() < MOST and not all(scene.world.state.models[one].runs for one in models):  # noqa: ASYNC110 - there is no event
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
    """The begins of windows, each with a full quota, if the quota is used up at once.

    Args:
        first: The first start.
        last: The latest begin of a window.
        case: The limit of the server.
        most: The maximum number of windows.
    """
    begin, number, length = first, 0, case.limit.seconds
    while begin <= last and (most is None or number < most):
        yield begin
        number += 1
        begin = first + number * length
        if case.style == "fixed":
            begin -= (EPOCH + first) % length
