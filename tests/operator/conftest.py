"""Fixtures of the operator's tests: the CRD is installed, and each test has a lab of its own."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.operator.installation import install_crd
from tests.operator.lab import Lab, laboratory


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
