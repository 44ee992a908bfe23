"""Many resources side by side: each gets its own run, and one start."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.operator.lab import QUIET, laboratory, phase_of

RESOURCES = 100


@pytest.mark.timeout(400)
async def test_hundred_resources_start_one_run_each(
    cluster: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    config = replace(QUIET, any_model=True)
    async with laboratory(cluster, namespace, tmp_path, config) as lab:
        await lab.secret()
        await lab.operator()
        models = range(1001, 1001 + RESOURCES)
        await asyncio.gather(
            *(lab.train(f"training-{n}", n, pollIntervalSeconds=5) for n in models)
        )
        items = await lab.until_all(
            lambda items: (
                len(items) == RESOURCES
                and all(phase_of(item) in {"Succeeded", "Failed"} for item in items.values())
            ),
            seconds=300,
        )
        assert Counter(phase_of(item) for item in items.values()) == {"Succeeded": RESOURCES}
        started = Counter(call.model for call in lab.posts() if call.started is not None)
        assert started == dict.fromkeys(models, 1)
        assert len(lab.posts()) == RESOURCES
        assert len({item["status"]["run"]["id"] for item in items.values()}) == RESOURCES
