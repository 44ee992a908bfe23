"""Helm and kubeconform, built from go.mod here, and CRDs of the Prometheus operator beside them."""

import sys
from pathlib import Path

from tests.gotools.build import ModuleFile, ToolSet

HELM = "helm"
KUBECONFORM = "kubeconform"

PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator"
MONITORING = tuple(
    f"monitoring.coreos.com_{plural}.yaml"
    for plural in ("podmonitors", "servicemonitors", "prometheusrules")
)

TOOLS = ToolSet(
    name="chart",
    title="Helm and kubeconform",
    module=Path(__file__).resolve().parent,
    binaries=(HELM, KUBECONFORM),
    files=tuple(
        ModuleFile(PROMETHEUS_OPERATOR, f"example/prometheus-operator-crd/{name}")
        for name in MONITORING
    ),
    command="make chart",
    cost="about 1 minute on 2 cores beside a built control plane, 50 MB of downloads",
    needs="about 1 GB of disk and 1 GB of memory",
)

if __name__ == "__main__":
    sys.exit(TOOLS.show())
