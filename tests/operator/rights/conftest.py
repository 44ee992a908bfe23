"""A control plane that audits, and that checks owner references more strictly than the default."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.operator.installation import install_crd
from tests.operator.rights.audit import audited
from tests.operator.rights.installed import Installed, install_chart, install_cluster_wide


@pytest.fixture(scope="package")
def control_plane(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Run a control plane in place of the session's, for the tests of this folder."""
    directory = tmp_path_factory.mktemp("audited")
    flags = [*audited(directory), "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"]
    with ControlPlane(assets, directory, apiserver_flags=flags) as running:
        yield running


@pytest.fixture(scope="package")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    """Return the control plane with the CRD installed."""
    install_crd(control_plane)
    return control_plane


@pytest.fixture(scope="module")
def cluster_wide(
    cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installed]:
    """Install the operator for the whole cluster, as deploy/ does."""
    installed = install_cluster_wide(cluster, tmp_path_factory.mktemp("deploy"))
    with installed.confined():
        yield installed


@pytest.fixture
def namespaced(cluster: ControlPlane, namespace: str, helm: Path, tmp_path: Path) -> Installed:
    """Install the operator for the test's namespace alone, as the chart does."""
    return install_chart(cluster, tmp_path, helm, own=f"{namespace}-op", watched=namespace)


@pytest.fixture(params=["cluster_wide", "namespaced"])
def installed(request: pytest.FixtureRequest, helm: Path) -> Installed:  # noqa: ARG001 - to have it built before the first test
    """Install the operator in each of its scopes."""
    made: Installed = request.getfixturevalue(request.param)
    return made
