"""Each query of the dashboard returns data during a run with 20 trainings."""

from pathlib import Path

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.dashboard.scene import shown_panels
from tests.operator.installation import install_crd


@pytest.mark.dashboard
@pytest.mark.timeout(600)
async def test_each_query_of_the_dashboard_returns_data(
    control_plane: ControlPlane, namespace: str, tmp_path: Path, prometheus_program: Path
) -> None:
    install_crd(control_plane)
    shown = await shown_panels(control_plane, namespace, tmp_path, prometheus_program)
    without_data = [
        f"{one.panel.title}: {query.expression}"
        for one in shown
        for query, series in zip(one.panel.queries, one.results, strict=True)
        if not series
    ]
    assert without_data == []
