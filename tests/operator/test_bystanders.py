"""A problem of one resource, or of one part of its work, does not affect the others."""

from pathlib import Path

import pytest
import yaml

from scriptix_operator.api.names import GROUP, LEDGER, PLURAL
from tests.controlplane.cluster import ControlPlane
from tests.operator.lab import Lab, reason_of


async def test_forbidden_model_does_not_stop_others_with_the_same_key(
    lab: Lab,
) -> None:
    lab.model(701)
    lab.model(702)
    await lab.secret()
    await lab.fault("status", call="model", model=701, status=403, times="forever")
    await lab.operator()
    await lab.train("foreign", 701)
    await lab.until_reason("foreign", "Unauthorized")
    await lab.train("mine", 702)
    await lab.until_phase("mine", "Succeeded")
    assert reason_of(await lab.get("foreign")) == "Unauthorized"
    await lab.admin("DELETE", "/faults")
    await lab.until_phase("foreign", "Succeeded")


@pytest.fixture
def without_config_maps(cluster: ControlPlane, namespace: str, tmp_path: Path) -> Path:
    """Write the kubeconfig of a user with the operator's permissions, except for ConfigMaps."""
    kubectl, account = cluster.kubectl, f"--serviceaccount={namespace}:confined"
    trainings, crds = f"{PLURAL}.{GROUP}", "customresourcedefinitions.apiextensions.k8s.io"
    resources = f"{trainings},{trainings}/status,secrets,events,leases.coordination.k8s.io"
    verbs = "--verb=get,list,watch,create,update,patch"
    kubectl("-n", namespace, "create", "serviceaccount", "confined")
    kubectl("-n", namespace, "create", "role", "confined", verbs, f"--resource={resources}")
    kubectl("-n", namespace, "create", "configmap", LEDGER)
    ledger = ("--verb=get,update", "--resource=configmaps", f"--resource-name={LEDGER}")
    kubectl("-n", namespace, "create", "role", "ledger", *ledger)
    kubectl("-n", namespace, "create", "rolebinding", "confined", "--role=confined", account)
    kubectl("create", "clusterrole", namespace, "--verb=get", f"--resource={crds}")
    kubectl("create", "clusterrolebinding", namespace, f"--clusterrole={namespace}", account)
    document = yaml.safe_load(cluster.kubeconfig.read_text())
    token = kubectl("-n", namespace, "create", "token", "confined").strip()
    document["users"][0]["user"] = {"token": token}
    path = tmp_path / "confined.kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


async def test_forbidden_ledger_is_reported_and_nothing_is_started(
    lab: Lab, without_config_maps: Path
) -> None:
    lab.model(704)
    await lab.secret()
    operator = await lab.operator({"KUBECONFIG": str(without_config_maps)})
    await lab.train("unstarted", 704)
    await lab.until_reason("unstarted", "StartLedgerNotWritable")
    await operator.printed("starts are disabled: get ledger")
    assert lab.posts() == []


async def test_failed_log_write_delays_neither_polls_nor_the_outcome(
    lab: Lab, without_config_maps: Path
) -> None:
    lab.model(703, outcome="poor_transcripts")
    await lab.secret()
    account = f"--serviceaccount={lab.namespace}:confined"
    lab.control_plane.kubectl(
        "-n", lab.namespace, "create", "rolebinding", "ledger", "--role=ledger", account
    )
    operator = await lab.operator({"KUBECONFIG": str(without_config_maps)})
    await lab.train("unstored", 703)
    await lab.until_phase("unstored", "Failed")
    await operator.printed("the log is not stored: ")
    assert "reconcile postponed" not in operator.log
