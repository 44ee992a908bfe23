"""Fixtures of the operator's tests: the CRD is installed, and each test has its own lab."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scriptix_operator.kube.api import KubeApi
from scriptix_operator.kube.connection import configure, connect
from tests.controlplane.cluster import ControlPlane
from tests.operator.installation import install_crd
from tests.operator.lab import Lab, laboratory
from tests.operator.logsupport import Namespace, Recorder
from tests.operator.process import spawn


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    """Return the control plane with the CRD installed."""
    install_crd(control_plane)
    return control_plane


@pytest.fixture
async def lab(cluster: ControlPlane, namespace: str, tmp_path: Path) -> AsyncIterator[Lab]:
    """Make a lab for the test's own namespace."""
    async with laboratory(cluster, namespace, tmp_path) as made:
        yield made


@pytest.fixture
async def spawning_lab(cluster: ControlPlane, namespace: str, tmp_path: Path) -> AsyncIterator[Lab]:
    """Make a lab whose operators are new interpreters, as in production.

    They take two seconds of CPU time more, so only tests about the process itself use this.
    """
    async with laboratory(cluster, namespace, tmp_path, launch=spawn) as made:
        yield made


@pytest.fixture
def space(cluster: ControlPlane, namespace: str) -> Namespace:
    """Return the test's namespace."""
    return Namespace(cluster, namespace)


@pytest.fixture
async def client(cluster: ControlPlane) -> AsyncIterator[KubeApi]:
    """Connect as the operator does."""
    configuration = await configure({"KUBECONFIG": str(cluster.kubeconfig)})
    async with connect(configuration) as connected:
        yield connected


@pytest.fixture
def status_writer(client: KubeApi) -> Recorder:
    """Record the client's calls."""
    return Recorder(client)
