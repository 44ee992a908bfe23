"""The operator's chart as an Application: the objects that Argo CD applies stay Synced."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.chart.helm import CHART
from tests.chart.tools import MONITORING
from tests.controlplane.cluster import ControlPlane
from tests.gitops.argocd import ArgoCD
from tests.gitops.repository import Repository, application, is_synced, operation_of
from tests.operator.lab import Lab

pytestmark = pytest.mark.gitops

OPTIONAL: Mapping[str, Any] = {
    "networkPolicy": {"enabled": True},
    "podDisruptionBudget": {"enabled": True},
    "metrics": {
        "podMonitor": {"enabled": True},
        "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True},
    },
    # The API server normalizes these values as Argo CD does: "1", and no value.
    "resources": {"requests": {"cpu": "1000m"}},
    "extraEnv": [{"name": "EMPTY", "value": ""}],
}


@pytest.fixture(scope="module")
def monitoring(chart_tools: Path, control_plane: ControlPlane) -> None:
    """Install the Prometheus operator's CRDs."""
    for file in MONITORING:
        control_plane.kubectl("apply", "--server-side", "-f", str(chart_tools / file))
    control_plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")


@pytest.mark.usefixtures("monitoring")
@pytest.mark.parametrize("values", [{}, OPTIONAL], ids=["default", "optional"])
async def test_the_chart_becomes_synced_and_stays_so(
    argocd: ArgoCD, lab: Lab, repository: Repository, values: Mapping[str, Any]
) -> None:
    repository.commit_folder(CHART)
    async with application(argocd, lab, repository, values=values) as app:
        # No node runs the Deployment, so the Application does not become Healthy.
        await app.until(lambda item: operation_of(item) == "Succeeded" and is_synced(item))
        assert is_synced(await app.refresh("hard"))
