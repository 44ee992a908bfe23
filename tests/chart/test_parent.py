"""The chart as a dependency: values that Helm adds, and a CRD that is created in time."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from scriptix_operator.api import names
from tests.chart.helm import CHART, Helm, HelmError
from tests.chart.parent import write_parent
from tests.chart.release import remove_crd, training
from tests.controlplane.cluster import ControlPlane
from tests.gotools.toolchain import REPOSITORY
from tests.operator.installation import CRD_PATH

PREVIOUS = Path(__file__).parent / "previous" / f"{names.CRD_NAME}.yaml"
DOCUMENTED = (REPOSITORY / "docs" / "helm.md").read_text()
RELEASE = "speech"


def test_a_parent_chart_turns_it_on_and_off(offline: Helm, tmp_path: Path) -> None:
    values = {"enabled": True, "global": {"imageRegistry": "registry.example"}}
    parent = write_parent(offline, tmp_path / "parent", values)
    assert "kind: Deployment" in offline("template", RELEASE, parent)
    off = f"--set={CHART.name}.enabled=false"
    assert offline("template", RELEASE, parent, off).strip() == ""


@pytest.fixture
def fresh(helm: Path, cluster: ControlPlane, tmp_path: Path) -> Iterator[Helm]:
    """Return a Helm without a discovery cache, for a cluster without the CRD."""
    assert not cluster.api.get(CRD_PATH).is_success
    yield Helm(helm, tmp_path, cluster.kubeconfig)
    remove_crd(cluster)


def test_a_parent_chart_with_trainings_is_installed_at_once(
    cluster: ControlPlane, fresh: Helm, namespace: str, tmp_path: Path
) -> None:
    parent = write_parent(fresh, tmp_path / "parent", {}, training("first"))
    install = ("install", RELEASE, parent, f"--namespace={namespace}")
    with pytest.raises(HelmError, match=f'no matches for kind "{names.KIND}"'):
        fresh(*install)

    [values] = re.findall(r"    # values.yaml\n((?:    .*\n)+)", DOCUMENTED)
    (parent / "values.yaml").write_text(values.replace("\n    ", "\n")[4:])
    (parent / "crds").mkdir()
    shutil.copy(PREVIOUS, parent / "crds")
    fresh(*install)
    path = f"/apis/{names.API_VERSION}/namespaces/{namespace}/{names.PLURAL}/first"
    before = cluster.api.get(path).json()["metadata"]["uid"]

    # The next version: Helm does not update crds/, so kubectl applies the CRD.
    current = CHART / "files" / PREVIOUS.name
    shutil.copy(current, parent / "crds")
    [command] = re.findall(r"    kubectl (apply .*) -f crds/\n", DOCUMENTED)
    cluster.kubectl(*shlex.split(command), "-f", f"{parent}/crds/")
    fresh("upgrade", RELEASE, parent, f"--namespace={namespace}")
    schema = cluster.api.get(CRD_PATH).json()["spec"]["versions"][0]["schema"]
    assert schema == yaml.safe_load(current.read_text())["spec"]["versions"][0]["schema"]
    assert cluster.api.get(path).json()["metadata"]["uid"] == before
    fresh("uninstall", RELEASE, f"--namespace={namespace}")
