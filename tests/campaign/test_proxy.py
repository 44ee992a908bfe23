"""Lost and late watch events, and an older list after a restart, with a real API server.

tests/campaign/test_stale.py has the many cases, in virtual time.
"""

import os
import random
from pathlib import Path

import pytest

from scriptix_operator.api.names import GROUP, PLURAL, VERSION
from tests.campaign.stale_proxy import StaleProxy
from tests.controlplane.cluster import ControlPlane
from tests.crash.proxy import proxied_as
from tests.operator.installation import install_crd
from tests.operator.lab import laboratory, phase_of

SEED = int(os.environ.get("SEED", "1"))
MODEL = 960
KILLED_IN = [
    pytest.param("Running", id="running"),
    pytest.param("Succeeded", id="succeeded"),
    pytest.param("Starting", id="starting", marks=pytest.mark.whole),
    pytest.param("Pending", id="pending", marks=pytest.mark.whole),
]


@pytest.mark.parametrize("phase", KILLED_IN)
async def test_lost_events_and_an_old_list_start_nothing_twice(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, phase: str
) -> None:
    install_crd(control_plane)
    async with (
        proxied_as(StaleProxy, control_plane, tmp_path) as proxy,
        laboratory(control_plane, namespace, tmp_path) as lab,
    ):
        proxy.rng = random.Random(f"{phase} {SEED}")  # noqa: S311 - repeatable on purpose
        proxy.lost, proxy.delay = 0.5, 0.3
        environment = {"KUBECONFIG": str(proxy.kubeconfig)}
        settings = {"leader_election": "false", "resync_interval": "10s"}
        is_waiting = phase == "Pending"
        lab.model(MODEL, status=1 if is_waiting else 2)
        await lab.secret()
        await lab.train("training", MODEL)
        listed = await lab.client.get(
            f"/apis/{GROUP}/{VERSION}/namespaces/{lab.namespace}/{PLURAL}"
        )
        operator = await lab.operator(environment, **settings)
        await lab.until("training", lambda item: phase_of(item) in {phase, "Succeeded"})
        operator.kill()
        await operator.ended()
        proxy.old = listed.content, 3  # as the resource was before it had any status
        if is_waiting:
            await lab.admin("PATCH", f"/models/{MODEL}", {"status": 2})
        await lab.operator(environment, **settings)
        await lab.until("training", lambda item: phase_of(item) == "Succeeded")
        await lab.edit("training", priority=1)
        await lab.until("training", lambda item: item["status"]["observedGeneration"] == 2)
        assert lab.starts(MODEL) == 1
        assert proxy.versions == {None}, "a list from the API server's cache may be old"
