"""The binaries of the control plane: those of KUBEBUILDER_ASSETS, or built from the go.mod here.

Published archives have no kube-controller-manager; `tests.gotools` builds all binaries.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from tests.controlplane.errors import ControlPlaneError
from tests.gotools.build import ToolSet, missing
from tests.gotools.errors import ToolError

REQUIRED = ("etcd", "kube-apiserver", "kubectl")
CONTROLLER_MANAGER = "kube-controller-manager"


def version_variables(go_mod: str) -> dict[str, str]:
    """Return the linker variables with the version that go.mod pins; kubectl requires them."""
    found = re.search(r"^\s*k8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)", go_mod, re.MULTILINE)
    if found is None:
        raise ControlPlaneError(
            "tests/controlplane/go.mod requires no k8s.io/kubernetes; restore it from Git"
        )
    package = "k8s.io/component-base/version"
    values = {"gitVersion": found[1], "gitMajor": found[2], "gitMinor": found[3]}
    return {f"{package}.{name}": value for name, value in values.items()}


TOOLS = ToolSet(
    name="controlplane",
    title="the test control plane",
    module=Path(__file__).resolve().parent,
    binaries=(*REQUIRED, CONTROLLER_MANAGER),
    command="make controlplane",
    cost="about 8 minutes on 2 cores, 300 MB of downloads",
    needs="about 6 GB of disk and 2 GB of memory",
    renames={"server": "etcd"},  # etcd's main package is called server
    variables=version_variables,
)


def find_or_build(environment: Mapping[str, str], stream: TextIO) -> Path:
    """Return the directory with the binaries; report progress on `stream`.

    Raises:
        ControlPlaneError: with the action that helps.
    """
    given = environment.get("KUBEBUILDER_ASSETS")
    if given:
        return _given_assets(Path(given), stream)
    try:
        return TOOLS.find_or_build(environment, stream)
    except ToolError as error:
        raise ControlPlaneError(
            f"{error}\nOr set KUBEBUILDER_ASSETS to a directory with {', '.join(REQUIRED)}"
        ) from error


def _given_assets(directory: Path, stream: TextIO) -> Path:
    lacking = missing(directory, REQUIRED)
    if lacking:
        raise ControlPlaneError(
            f"KUBEBUILDER_ASSETS is {directory}, which has no {', '.join(lacking)};"
            " correct it, or unset it to have the control plane built"
        )
    if missing(directory, (CONTROLLER_MANAGER,)):
        stream.write(
            f"KUBEBUILDER_ASSETS has no {CONTROLLER_MANAGER}: nothing will collect garbage by"
            " ownerReference, end a namespace or make ServiceAccounts, and tests of that will fail"
            "\n"
        )
    return directory
