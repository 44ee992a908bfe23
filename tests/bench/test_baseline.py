"""The baseline client behaves as documented: no better and no worse."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import httpx
import pytest

from bench.baseline import FixedInterval
from scriptix_simulator import Fault, ModelScript, SimulatorConfig, SimulatorState
from scriptix_simulator import Limit as ServerLimit
from scriptix_simulator.faults import FaultName
from scriptix_simulator.inprocess import InProcess
from scriptix_simulator.replies import RetryHint
from tests.virtual.loop import EPOCH, VirtualClock, run_virtually

MODEL = 7
MINUTE = 1 / 60
"""Hours."""
RUNNING = ModelScript(status=3, progress=0, duration=1.4 * MINUTE)


@dataclass(frozen=True, slots=True)
class Served:
    """A baseline and what it meets."""

    state: SimulatorState
    client: httpx.AsyncClient
    baseline: FixedInterval

    @property
    def calls(self) -> list[tuple[str, float, int | None]]:
        """All calls: kind, time and status of the reply."""
        return [(call.kind, call.at - EPOCH, call.status) for call in self.state.calls]


@asynccontextmanager
async def serve(
    script: ModelScript, config: SimulatorConfig | None = None, seed: int = 1
) -> AsyncIterator[Served]:
    clock = VirtualClock()
    state = SimulatorState(config or SimulatorConfig(speed=1), clock.now())
    state.put(MODEL, script, clock.now())
    headers = {"Authorization": "Bearer demo-key"}
    async with httpx.AsyncClient(
        transport=InProcess(state, clock), base_url="http://simulator", headers=headers
    ) as client:
        jitter = random.Random(seed)  # noqa: S311 - repeatable on purpose
        yield Served(state, client, FixedInterval(client, 60, jitter))


def test_baseline_starts_ready_model_and_polls_each_interval() -> None:
    async def main() -> None:
        async with serve(ModelScript(duration=3 * MINUTE)) as served:
            await served.baseline.follow(MODEL, 30)
            assert served.calls == [
                *(("model", 30, 200), ("run", 30, 200)),
                *(("model", at, 200) for at in (90, 150, 210)),
            ]
            assert served.baseline.started == {MODEL: 30}
            assert served.baseline.ended == {MODEL: 210}

    run_virtually(main)


def test_failure_ends_the_polling() -> None:
    async def main() -> None:
        async with serve(ModelScript(status=5)) as served:
            await served.baseline.follow(MODEL, 30)
            assert served.calls == [("model", 30, 200)]
            assert served.baseline.ended == {MODEL: 30}

    run_virtually(main)


@pytest.mark.parametrize(
    ("hint", "again"),
    [("seconds", 40), ("date", 40), ("all", 40), ("body", 90), ("none", 90)],
)
def test_refused_call_waits_for_retry_after_or_the_interval(hint: RetryHint, again: float) -> None:
    async def main() -> None:
        limits = (ServerLimit(1, 40),)
        config = SimulatorConfig(speed=1, limit_status=limits, retry_hint=hint)
        async with serve(ModelScript(status=4), config) as served:
            await served.client.get(f"/api/v3/custom_models/{MODEL}")
            await served.baseline.follow(MODEL, 30)
            assert served.calls == [
                *(("model", 0, 200), ("model", 30, 429)),
                ("model", again, 200),
            ]

    run_virtually(main)


@pytest.mark.parametrize("fault", ["drop_before", "status"])
def test_failed_call_is_repeated_after_the_interval(fault: FaultName) -> None:
    async def main() -> None:
        async with serve(RUNNING) as served:
            served.state.faults.add(Fault(fault=fault))
            await served.baseline.follow(MODEL, 30)
            assert [at for _, at, _ in served.calls] == [30, 90]

    run_virtually(main)


def test_first_poll_is_jittered_within_the_interval() -> None:
    async def begun(seed: int) -> float:
        async with serve(ModelScript(status=4), seed=seed) as served:
            await served.baseline.follow(MODEL)
            return served.baseline.ended[MODEL]

    first, second, again = (run_virtually(partial(begun, seed)) for seed in (1, 2, 1))
    assert first == again != second
    assert 0 <= min(first, second) <= max(first, second) <= 60
