"""A control plane of its own: it audits, and guards owner references more strictly than usual."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.operator.installation import install_crd
from tests.operator.rights.audit import audited


@pytest.fixture(scope="package")
def control_plane(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Run a control plane in place of the session's, for the tests of this folder."""
    directory = tmp_path_factory.mktemp("audited")
    flags = [*audited(directory), "--enable-admission-plugins=OwnerReferencesPermissionEnforcement"]
    with ControlPlane(assets, directory, apiserver_flags=flags) as running:
        yield running


@pytest.fixture(scope="package")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    """Return it with the CRD installed."""
    install_crd(control_plane)
    return control_plane
