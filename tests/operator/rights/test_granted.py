"""The operator is granted what its job asks the API server for, and nothing else (issue 6)."""

from pathlib import Path

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.operator.lab import Lab
from tests.operator.rights.audit import Audit
from tests.operator.rights.installed import Installed, cluster_wide
from tests.operator.rights.job import main_job


@pytest.fixture(params=["cluster"])
def installed(cluster: ControlPlane, tmp_path: Path, request: pytest.FixtureRequest) -> Installed:
    """Install the operator in one of its scopes."""
    return cluster_wide(cluster, tmp_path)


async def test_the_job_uses_all_that_is_granted_and_asks_for_nothing_else(
    lab: Lab, installed: Installed
) -> None:
    audit = Audit(lab.control_plane, installed.user)
    operator = await main_job(lab, installed, audit)
    granted = installed.grants()
    refused = {request for request in audit.requests() if request.binding is None}
    assert refused == set()
    assert sorted(map(str, granted - audit.used(granted))) == []
    bindings = {request.binding for request in audit.requests()}
    assert bindings == {grant.binding for grant in granted}
    assert "released the Lease" in operator.log
