"""Draws docs/pictures/dashboard.svg: the panels after a run with 20 trainings."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from tests.chart.promtool import find_or_unpack_prometheus
from tests.controlplane.build import find_or_build
from tests.controlplane.cluster import ControlPlane
from tests.dashboard.picture import draw
from tests.dashboard.scene import shown_panels
from tests.gotools.errors import ToolError
from tests.gotools.toolchain import REPOSITORY
from tests.operator.installation import install_crd

PICTURE = REPOSITORY / "docs" / "pictures" / "dashboard.svg"
NAMESPACE = "speech"


def main() -> int:
    """Run the trainings and draw the picture; return the exit status."""
    try:
        assets = find_or_build(os.environ, sys.stderr)
        prometheus = find_or_unpack_prometheus(os.environ, sys.stderr)
    except ToolError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    with (
        tempfile.TemporaryDirectory(prefix="dashboard-") as directory,
        ControlPlane(assets, Path(directory) / "controlplane") as control_plane,
    ):
        install_crd(control_plane)
        control_plane.kubectl("create", "namespace", NAMESPACE)
        shown = asyncio.run(shown_panels(control_plane, NAMESPACE, Path(directory), prometheus))
    PICTURE.parent.mkdir(exist_ok=True)
    draw(shown, PICTURE)
    sys.stdout.write(f"{PICTURE.relative_to(REPOSITORY)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
