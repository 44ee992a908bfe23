"""A release in a real cluster, and the operator that its Deployment would run.

There are no nodes: the operator runs as a process, with the environment, the namespace and the
ServiceAccount's token of the pod.
"""

from collections.abc import Mapping
from pathlib import Path

import yaml

from tests.chart.helm import Document, documents
from tests.controlplane.cluster import ControlPlane

__all__ = ["environment_of", "kubeconfig_of", "variables"]


def variables(manifests: str) -> dict[str, str]:
    """Return the plain variables of the Deployment's container."""
    [deployment] = [d for d in documents(manifests) if d["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}


def environment_of(
    cluster: ControlPlane, manifests: str, directory: Path, reachable: Mapping[str, str]
) -> dict[str, str]:
    """Return what the operator's process is to see.

    Args:
        cluster: Where the release is.
        manifests: Of the release.
        directory: For a kubeconfig in place of the mounted token.
        reachable: Variables that name what is elsewhere in a test.
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
