"""Helm and kubeconform, built from go.mod here."""

from pathlib import Path

from tests.gotools.build import ToolSet

HELM = "helm"
KUBECONFORM = "kubeconform"

TOOLS = ToolSet(
    name="chart",
    title="Helm and kubeconform",
    module=Path(__file__).resolve().parent,
    binaries=(HELM, KUBECONFORM),
    command="make chart",
    cost="about 1 minute on 2 cores beside a built control plane, 50 MB of downloads",
    needs="about 1 GB of disk and 1 GB of memory",
)
