"""Pods of rendered Deployments, as controllers would create them, before the real API server."""

from collections.abc import Iterable

import httpx

from tests.chart.helm import NAMESPACE, Document
from tests.controlplane.cluster import ControlPlane

__all__ = ["dry_run", "pods_of"]


def pods_of(manifests: Iterable[Document]) -> list[Document]:
    """Make the Pod of each Deployment."""
    templates = [d["spec"]["template"] for d in manifests if d["kind"] == "Deployment"]
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "p"} | template["metadata"],
            "spec": template["spec"],
        }
        for template in templates
    ]


def dry_run(cluster: ControlPlane, pod: Document) -> httpx.Response:
    """Create a Pod in a dry run, under the restricted standard and OpenShift's rule."""
    path = f"/api/v1/namespaces/{NAMESPACE}/pods"
    return cluster.api.post(path, params={"dryRun": "All", "fieldValidation": "Strict"}, json=pod)
