"""An API that is unreachable until a time that its replies name, with a whole operator."""

import asyncio
import math
from dataclasses import dataclass
from functools import partial

import httpx
import pytest

from scriptix_operator.api.reasons import Phase
from scriptix_operator.core.model.training import Training
from scriptix_simulator import Limit, ModelScript, Scenario, SimulatorConfig
from scriptix_simulator.state import ApiRequest, endpoint
from tests.virtual.loop import boottime, run_virtually
from tests.virtual.plan import Span
from tests.virtual.wire import key_of
from tests.virtual.world import World

QUIET, AWAY = "quiet-key", "away-key"
RUNS = range(1, 13)
WAITING = range(21, 23)
"""Models that wait for their start when the maintenance begins."""
OTHERS = range(31, 33)
"""Models of the key that is always served."""
BEGIN = 600.0
STATUS = Limit(60, 60)
SPACING = STATUS.seconds / STATUS.count
IN_FLIGHT = 1.0
"""Seconds in which polls sent before the first refusal may still arrive."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call that has arrived."""

    at: float
    key: str
    kind: str
    model: int


class Maintenance(httpx.AsyncBaseTransport):
    """Refuses all calls with one key for a while, and names the end in Retry-After."""

    def __init__(self, behind: httpx.AsyncBaseTransport, span: Span, most: int) -> None:
        self._behind, self._span, self._most = behind, span, most
        self.calls: list[Call] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Refuse a call, or forward it."""
        kind, model = endpoint(ApiRequest(request.method, request.url.path))
        self.calls.append(Call(boottime(), key_of(request), kind, model or 0))
        if key_of(request) == AWAY and boottime() in self._span:
            left = min(math.ceil(self._span.end - boottime()), self._most)
            return httpx.Response(503, headers={"Retry-After": str(left)})
        return await self._behind.handle_async_request(request)

    def polls(self, key: str, span: Span) -> list[float]:
        """When models were polled with a key."""
        return [c.at for c in self.calls if c.key == key and c.kind == "model" and c.at in span]


async def _live(seconds: float, most: int) -> tuple[World, Maintenance, dict[str, float]]:
    """Let runs end during a maintenance; also returns when each end was seen."""
    ends = BEGIN + seconds / 2
    running = ModelScript(status=3, progress=0, duration=ends / 3600)
    scripts = dict.fromkeys((*RUNS, *OTHERS), running)
    scripts |= {model: ModelScript(status=1, ready_after=ends / 3600) for model in WAITING}
    config = SimulatorConfig(
        speed=1,
        keys={QUIET: "write", AWAY: "write"},
        limit_status=(STATUS,),
        scenario=Scenario(models=scripts),
    )
    world = World({"quiet": QUIET, "away": AWAY}, config, limit_status="60/1m")
    maintenance = Maintenance(world.wire, Span(BEGIN, BEGIN + seconds), most)
    world.wire = maintenance
    seen: dict[str, float] = {}

    def note(training: Training) -> None:
        if training.status.phase == Phase.SUCCEEDED:
            seen.setdefault(training.key.name, boottime())

    world.trainings.on_status = note
    for model in (*RUNS, *WAITING, *OTHERS):
        namespace = "quiet" if model in OTHERS else "away"
        spec = {"pollIntervalSeconds": 30, "log": {"collect": "Never"}}
        world.add(namespace, f"model-{model}", model, **spec)
    async with world.operator():
        await asyncio.sleep(BEGIN + seconds + 120)
    return world, maintenance, seen


@pytest.mark.parametrize(
    ("seconds", "most", "trials"),
    [
        pytest.param(120, 86_400, 0, id="two minutes"),
        pytest.param(900, 86_400, 2, id="longer than five minutes"),
        pytest.param(120, 60, 1, id="a second time is named"),
    ],
)
def test_ends_are_seen_within_seconds_of_the_named_time(
    seconds: float, most: int, trials: int
) -> None:
    _, maintenance, seen = run_virtually(partial(_live, seconds, most))
    end = BEGIN + seconds
    during = maintenance.polls(AWAY, Span(BEGIN, end))
    later = [at for at in during if at > during[0] + IN_FLIGHT]
    assert len(later) == trials, during
    trial = maintenance.polls(AWAY, Span(end, end + 120))[0]
    assert trial < end + 1
    all_polled = end + 5 + SPACING * (len(RUNS) + len(WAITING))
    assert [n for n in RUNS if not end <= seen[f"model-{n}"] < all_polled] == []
    # Resources that wait for a start continue, too.
    starts = [call.at for call in maintenance.calls if call.kind == "run"]
    assert len(starts) == len(WAITING)
    assert all(end < at < all_polled + 60 for at in starts)


def test_maintenance_affects_no_other_key() -> None:
    _, maintenance, seen = run_virtually(partial(_live, 120, 86_400))
    assert len(maintenance.polls(QUIET, Span(BEGIN, BEGIN + 30))) >= len(OTHERS)
    assert all(seen[f"model-{n}"] < BEGIN + 120 for n in OTHERS)
