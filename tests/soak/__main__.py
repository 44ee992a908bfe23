"""Runs a soak: `python -m tests.soak --minutes 2 --seed 7`.

Trainings are created and deleted all the time, with faults of the API by chance. In the first fifth
of the time, the operator is killed and replaced twice; the figures are those of the last process.
"""

import argparse
import asyncio
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

from tests.controlplane.build import find_or_build
from tests.controlplane.cluster import ControlPlane
from tests.operator.installation import install_crd
from tests.operator.lab import QUIET, Lab, laboratory, phase_of
from tests.operator.process import Operator, spawn
from tests.soak.verdict import Sample, table

FAULTS: tuple[Mapping[str, object], ...] = (
    {"fault": "drop_after", "call": "run"},
    {"fault": "drop_before", "call": "run"},
    {"fault": "late", "call": "run", "after": 1, "hold": 0.5},
    {"fault": "status", "status": 500, "call": "run", "act": True},
    {"fault": "status", "status": 503, "call": "model"},
    {"fault": "truncated", "call": "model"},
    {"fault": "html", "call": "model"},
    {"fault": "delay", "delay": 1, "call": "any"},
    {"fault": "cut", "call": "log"},
)
KILLS = 2
EACH = 1.0
"""Seconds between two trainings."""
AT_ONCE = 12
"""Trainings in the cluster, at most; the oldest that has ended is deleted."""
FIRST_MODEL = 5000
FIGURES = {"memory MiB": "process_resident_memory_bytes", "descriptors": "process_open_fds"}


class Soak:
    """The trainings of a soak, and the figures."""

    def __init__(self, lab: Lab, seconds: float, rng: random.Random) -> None:
        self._lab, self._seconds, self._rng = lab, seconds, rng
        self._begin = time.monotonic()
        self._kills = 0
        self._models: dict[str, int] = {}
        self.ended = 0
        self.samples: list[Sample] = []
        self.wrong: list[str] = []

    async def run(self) -> None:
        """Create, delete and watch trainings until the time is over; then wait for the last."""
        await self._lab.secret()
        operator, number = await self._start(), FIRST_MODEL
        while (elapsed := time.monotonic() - self._begin) < self._seconds:
            if self._kills < KILLS and elapsed > (self._kills + 1) * self._seconds / 5 / KILLS:
                self._kills += 1
                operator.kill()
                await operator.ended()
                operator = await self._start()
            if len(self._models) < AT_ONCE:
                number += 1
                await self._train(number)
            await self._delete_ended(most=AT_ONCE - 1)
            if self._kills == KILLS:
                await self._measure(operator, elapsed)
            await asyncio.sleep(EACH)
        await self._lab.until_all(lambda items: all(map(_is_over, items.values())))
        await self._delete_ended(most=0)
        operator.terminate()
        await operator.ended()

    async def _start(self) -> Operator:
        return await self._lab.operator(leader_election="false")

    async def _train(self, number: int) -> None:
        self._lab.model(number, outcome=self._rng.choice(("success", "mismatch")))
        if self._rng.random() < 0.5:
            await self._lab.fault(**self._rng.choice(FAULTS), model=number)  # type: ignore[arg-type] # values of several types
        name = f"training-{number}"
        await self._lab.train(name, number)
        self._models[name] = number

    async def _delete_ended(self, most: int) -> None:
        """Delete trainings that have ended, the oldest first, until `most` are left."""
        for name, model in tuple(self._models.items()):
            if len(self._models) > most and _is_over(await self._lab.get(name)):
                if (starts := self._lab.starts(model)) != 1:
                    self.wrong.append(f"{name} was started {starts} times")
                self.ended += 1
                await self._lab.delete(name)
                del self._models[name]

    async def _measure(self, operator: Operator, elapsed: float) -> None:
        async with httpx.AsyncClient(base_url=await operator.url()) as client:
            text = (await client.get("/metrics")).text
        figures = {name: _metric(text, metric) for name, metric in FIGURES.items()}
        figures["memory MiB"] /= 2**20
        reply = await self._lab.client.get(f"/api/v1/namespaces/{self._lab.namespace}/configmaps")
        figures["config maps"] = float(len(reply.json()["items"]))
        self.samples.append(Sample(elapsed, figures))


def _is_over(item: dict[str, object]) -> bool:
    return phase_of(item) in {"Succeeded", "Failed"}


def _metric(text: str, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    if found is None:
        raise LookupError(f"/metrics has no {name}")
    return float(found[1])


async def _soak(seconds: float, seed: int) -> Soak:
    assets = find_or_build(os.environ, sys.stderr)
    with (
        tempfile.TemporaryDirectory(prefix="soak-") as folder,
        ControlPlane(assets, Path(folder) / "controlplane") as cluster,
    ):
        install_crd(cluster)
        async with laboratory(cluster, "default", Path(folder), QUIET, spawn) as lab:
            rng = random.Random(seed)  # noqa: S311 - repeatable on purpose
            soak = Soak(lab, seconds, rng)
            await soak.run()
            return soak


def main() -> int:
    """Run a soak, and print the verdict."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)  # noqa: T201 - for the terminal
    soak = asyncio.run(_soak(60 * options.minutes, options.seed))
    nothing = [] if soak.ended else ["no training has ended"]
    lines = table(soak.samples, [*soak.wrong, *nothing])
    print(f"trainings that have ended: {soak.ended}")  # noqa: T201 - for the terminal
    print("\n".join(lines))  # noqa: T201 - for the terminal
    return "FAILED" in lines[-1]


if __name__ == "__main__":
    sys.exit(main())
