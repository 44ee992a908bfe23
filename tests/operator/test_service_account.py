"""The main job under the operator's own ServiceAccount, with exactly the rights in deploy/."""

from pathlib import Path

import pytest
import yaml

from tests.controlplane.cluster import ControlPlane
from tests.operator.lab import Lab

SYSTEM = "scriptix-system"
DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def kubeconfig(cluster: ControlPlane, tmp_path: Path) -> Path:
    """Write a kubeconfig with a token of the ServiceAccount that `kubectl apply -k` makes."""
    cluster.kubectl("apply", "-k", str(DEPLOY))
    token = cluster.kubectl("-n", SYSTEM, "create", "token", "scriptix-operator").strip()
    document = yaml.safe_load(cluster.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": token}
    path = tmp_path / "operator.kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


async def test_the_shipped_rights_are_enough_for_the_main_job(lab: Lab, kubeconfig: Path) -> None:
    lab.model(401)
    lab.model(402, outcome="poor_transcripts")
    await lab.secret()
    operator = await lab.operator(
        {"KUBECONFIG": str(kubeconfig), "POD_NAMESPACE": SYSTEM}, watch_namespaces=""
    )
    await lab.train("allowed", 401)
    await lab.train("failing", 402)
    await lab.until(
        "allowed", lambda item: item.get("status", {}).get("log", {}).get("state") == "Complete"
    )
    await lab.until_phase("failing", "Failed")
    await lab.until_event("allowed", "TrainingSucceeded")
    await lab.until_event("failing", "TrainingFailed")
    assert await lab.config_map("allowed-result") is not None
    await lab.delete("failing")
    operator.terminate()
    assert await operator.ended() == 0
    assert "released the Lease" in operator.log
    # Of other tests' namespaces, which are being deleted, it may be told that they are.
    ours = [line for line in operator.log.splitlines() if lab.namespace in line or SYSTEM in line]
    assert not [line for line in ours if "forbidden" in line.lower()]
    assert len(ours) > 1
