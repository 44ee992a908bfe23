"""Fixtures of the chart's tests: Helm, and a cluster where releases may be installed for real."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chart.helm import NAMESPACE, Helm, documents
from tests.chart.pods import dry_run, pods_of
from tests.chart.tools import MONITORING
from tests.controlplane.cluster import ControlPlane
from tests.gotools.toolchain import REPOSITORY

OTHER_NAMESPACES = ("speech", "research")
RESTRICTED = [f"pod-security.kubernetes.io/{mode}=restricted" for mode in ("enforce", "warn")]
OPENSHIFT = Path(__file__).parent / "openshift.yaml"
UID_RANGE = "openshift.io/sa.scc.uid-range=1000680000/10000"
DEADLINE = 30.0
PAUSE = 0.05


@pytest.fixture(scope="session")
def offline(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Return a Helm without a cluster."""
    return Helm(helm, tmp_path_factory.mktemp("helm"))


@pytest.fixture(scope="session")
def cluster(
    assets: Path, chart_tools: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """Run a control plane for the chart tests: releases own and delete the CRD there.

    It has the namespaces of the cases, with Pod Security, and the Prometheus operator's CRDs. In
    the namespace of the release OpenShift's rule on users applies too.
    """
    with ControlPlane(assets, tmp_path_factory.mktemp("chart")) as running:
        for name in (NAMESPACE, *OTHER_NAMESPACES):
            running.kubectl("create", "namespace", name)
            running.kubectl("label", "namespace", name, *RESTRICTED)
        for file in MONITORING:
            running.kubectl("apply", "--server-side", "-f", str(chart_tools / file))
        running.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        enforce_openshift(running)
        yield running


def enforce_openshift(cluster: ControlPlane) -> None:
    """Install OpenShift's rule on users, and wait until the API server enforces it."""
    cluster.kubectl("annotate", "namespace", NAMESPACE, UID_RANGE)
    cluster.kubectl("apply", "-f", str(OPENSHIFT))
    [pod] = pods_of(documents(cluster.kubectl("kustomize", str(REPOSITORY / "deploy"))))
    pod["spec"]["securityContext"]["runAsUser"] = 65532
    deadline = time.monotonic() + DEADLINE
    while "namespace's range" not in (reply := dry_run(cluster, pod)).text:
        assert time.monotonic() < deadline, reply.text
        time.sleep(PAUSE)


@pytest.fixture(scope="session")
def online(helm: Path, cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Helm:
    """Return a Helm that installs into the cluster."""
    return Helm(helm, tmp_path_factory.mktemp("helm"), cluster.kubeconfig)


@pytest.fixture
def namespace(cluster: ControlPlane, request: pytest.FixtureRequest) -> str:
    """Create a namespace for the test, where the restricted standard is enforced."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:40].strip("-")
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, *RESTRICTED)
    return name
