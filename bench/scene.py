"""A scene: the operator and baselines on one simulator.

Each side has its own API key, with the same limits, and its own models, with the same scripts.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import httpx

from bench.baseline import FixedInterval
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_simulator.calls import Record
from scriptix_simulator.config import SimulatorConfig, fingerprint
from scriptix_simulator.scripts import ModelScript
from tests.virtual.loop import EPOCH, boottime, end_all
from tests.virtual.world import World

__all__ = ["DAY", "HOUR", "OURS", "Scene", "model_id", "refused"]

HOUR, DAY = 3600.0, 86400.0
OURS = "ours"
NAMESPACE = "speech"
SPACE = 10_000
"""Number of model ids for each side."""
KEEP = 10_000_000
"""Number of calls that the simulator records: all of them."""

Kind = Literal["run", "model", "log"]


def model_id(side: int, number: int) -> int:
    """Return the id of a side's model; sides are counted from 0, the operator's is the first."""
    return (side + 1) * SPACE + number


class Scene:
    """The operator and baselines on one simulator. Create it inside the virtual loop.

    Args:
        seed: The seed of all random numbers.
        sides: Names of the baselines, which are also their API keys.
        namespaces: Namespaces of the operator's resources; all have the operator's key.
        settings: Settings of the operator, as environment variables without their prefix.
        config: The configuration of the simulator.
    """

    def __init__(
        self,
        seed: int,
        sides: Sequence[str] = (),
        namespaces: Sequence[str] = (NAMESPACE,),
        settings: dict[str, str] | None = None,
        **config: Any,  # noqa: ANN401 - SimulatorConfig's
    ) -> None:
        self.sides = (OURS, *sides)
        self.rng = random.Random(f"scene {seed}")  # noqa: S311 - repeatable on purpose
        set_up = SimulatorConfig(
            speed=1, keys=dict.fromkeys(self.sides, "write"), keep_calls=KEEP, **config
        )
        keys = dict.fromkeys(namespaces, OURS)
        self.world = World(keys, set_up, seed, **(settings or {}))
        self.over_at: dict[int, float] = {}
        """By model, when the status of its resource first showed the end of the run."""
        self.listeners = [self._note_end]
        """Called with each status when it is written."""
        self.world.trainings.on_status = self._written
        self._loops: list[asyncio.Task[None]] = []

    def _written(self, training: Training) -> None:
        for listener in self.listeners:
            listener(training)

    def _note_end(self, training: Training) -> None:
        if training.status.finished_at is not None:
            self.over_at.setdefault(training.spec.model_id, boottime())

    def put(self, number: int, script: ModelScript) -> None:
        """Give each side a model of this script."""
        for side in range(len(self.sides)):
            self.world.state.put(model_id(side, number), script, self.world.clock.now())

    def add(self, number: int, namespace: str = NAMESPACE, **spec: Any) -> TrainingKey:  # noqa: ANN401
        """Create the operator's resource for a model."""
        return self.world.add(namespace, f"model-{number}", model_id(0, number), **spec)

    def client(self, side: str) -> httpx.AsyncClient:
        """Return a client with a side's key."""
        headers = {"Authorization": f"Bearer {side}"}
        return httpx.AsyncClient(
            transport=self.world.api, base_url="https://simulator", headers=headers
        )

    @asynccontextmanager
    async def baseline(self, side: str, interval: float) -> AsyncIterator[FixedInterval]:
        """Run a baseline for the duration of the block."""
        async with self.client(side) as client:
            rng = random.Random(self.rng.random())  # noqa: S311 - repeatable on purpose
            try:
                yield FixedInterval(client, interval, rng)
            finally:
                await self._end_background()

    def follow(
        self, baseline: FixedInterval, side: str, number: int, phase: float | None = None
    ) -> None:
        """Let a baseline train a model, until the scene is over."""
        model = model_id(self.sides.index(side), number)
        self.background(baseline.follow(model, phase))

    def background(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task beside the operator, until the scene is over."""
        self._loops.append(asyncio.create_task(work))

    async def _end_background(self) -> None:
        loops, self._loops = self._loops, []
        await end_all(loops)

    # Results.

    def calls(
        self, side: str, kind: Kind, since: float = 0.0, until: float = float("inf")
    ) -> list[Record]:
        """Return the calls with a side's key, received between two times of the loop's."""
        key = fingerprint(side)
        return [
            record
            for record in self.world.state.calls
            if record.key == key and record.kind == kind and since <= record.at - EPOCH < until
        ]

    def ends(self, side: str, numbers: Iterable[int]) -> dict[int, float]:
        """Return when the last run of each model ends, in the loop's time."""
        models, index = self.world.state.models, self.sides.index(side)
        found = {number: models[model_id(index, number)].last for number in numbers}
        return {number: run.ends - EPOCH for number, run in found.items() if run is not None}


def refused(calls: Iterable[Record]) -> int:
    """Return how many of the calls were refused for their rate."""
    return sum(record.status == 429 for record in calls)  # noqa: PLR2004 - Too Many Requests
