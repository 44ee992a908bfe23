"""The CRD is on the control plane."""

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.operator.installation import install_crd


@pytest.fixture(scope="session")
def cluster(control_plane: ControlPlane) -> ControlPlane:
    """Return the control plane with the CRD installed."""
    install_crd(control_plane)
    return control_plane
