"""A release in a real cluster, and the operator that its Deployment would run.

There are no nodes: the operator runs as a process, with the environment, the namespace and the
ServiceAccount's token of the pod.
"""

import time
from collections.abc import Mapping
from pathlib import Path

import yaml

from scriptix_operator.api import names
from tests.chart.helm import Document, documents
from tests.controlplane.cluster import ControlPlane
from tests.operator.installation import CRD_PATH

__all__ = ["await_no_crd", "environment_of", "kubeconfig_of", "remove_crd", "training", "variables"]

DEADLINE = 30.0
PAUSE = 0.05


def remove_crd(cluster: ControlPlane) -> None:
    """Delete the CRD, if it exists, and wait until it is gone."""
    cluster.kubectl("delete", "crd", names.CRD_NAME, "--ignore-not-found", "--wait=false")
    await_no_crd(cluster)


def await_no_crd(cluster: ControlPlane) -> None:
    """Wait until the cluster has no CRD."""
    deadline = time.monotonic() + DEADLINE
    while cluster.api.get(CRD_PATH).is_success:
        assert time.monotonic() < deadline, "the CRD does not go"
        time.sleep(PAUSE)


def training(name: str, **spec: object) -> Document:
    """Return the manifest of a training."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name},
        "spec": {"modelId": 101, **spec},
    }


def variables(manifests: str) -> dict[str, str]:
    """Return the plain variables of the Deployment's container."""
    [deployment] = [d for d in documents(manifests) if d["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    plain = (entry for entry in container["env"] if "valueFrom" not in entry)
    return {entry["name"]: entry.get("value", "") for entry in plain}


def environment_of(
    cluster: ControlPlane, manifests: str, directory: Path, reachable: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of the operator's process.

    Args:
        cluster: The cluster of the release.
        manifests: Manifests of the release.
        directory: For a kubeconfig in place of the mounted token.
        reachable: Variables whose addresses differ in a test.
    """
    [account] = [d for d in documents(manifests) if d["kind"] == "ServiceAccount"]
    namespace = account["metadata"]["namespace"]
    kubeconfig = kubeconfig_of(cluster, namespace, account["metadata"]["name"], directory)
    pod = {"KUBECONFIG": str(kubeconfig), "POD_NAMESPACE": namespace}
    return variables(manifests) | pod | dict(reachable)


def kubeconfig_of(cluster: ControlPlane, namespace: str, account: str, directory: Path) -> Path:
    """Write a kubeconfig with a token of a ServiceAccount."""
    token = cluster.kubectl("-n", namespace, "create", "token", account).strip()
    document: Document = yaml.safe_load(cluster.kubeconfig.read_text())
    document["users"][0]["user"] = {"token": token}
    path = directory / f"{account}.kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path
