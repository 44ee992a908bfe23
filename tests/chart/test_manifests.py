"""The renders before the real API server: schemas, admission and Pod Security."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.chart.helm import Document, Helm, documents
from tests.chart.pods import dry_run, pods_of
from tests.chart.renders import CASES, values_of
from tests.chart.schemas import LOCATION, write_schemas
from tests.chart.written import returned, unlike
from tests.controlplane.cluster import ControlPlane


@pytest.fixture(scope="module")
def schemas(cluster: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the schemas of all kinds that the API server serves."""
    folder = tmp_path_factory.mktemp("schemas")
    write_schemas(cluster.api.get("/openapi/v2").json(), folder)
    return folder


Conform = Callable[[str], list[Document]]


@pytest.fixture
def conform(kubeconform: Path, schemas: Path) -> Conform:
    """Return a function that lists kubeconform's findings about manifests."""
    flags = ("-strict", "-verbose", "-output=json", f"-schema-location={schemas}/{LOCATION}")

    def faults(manifests: str) -> list[Document]:
        reply = subprocess.run(
            [kubeconform, *flags], input=manifests, capture_output=True, text=True, check=False
        )
        assert reply.stdout, reply.stderr
        found: list[Document] = json.loads(reply.stdout)["resources"]
        assert len(found) == len(documents(manifests))
        return [resource for resource in found if resource["status"] != "statusValid"]

    return faults


@pytest.mark.parametrize("case", CASES)
def test_kubeconform_finds_nothing(offline: Helm, conform: Conform, case: str) -> None:
    assert conform(offline.template(values_of(case))) == []


@pytest.mark.parametrize(
    ("case", "right", "wrong"),
    [
        ("cluster", "replicas: 1", "replicas: one"),
        ("cluster", "replicas: 1", "replica: 1"),
        ("cluster", "timeoutSeconds: 5", "timeoutSecond: 5"),
        ("pod-monitor", "honorLabels: true", "honourLabels: true"),
        ("proxy", "port: 53", "port: true"),
    ],
)
def test_kubeconform_detects_a_wrong_field(
    offline: Helm, conform: Conform, case: str, right: str, wrong: str
) -> None:
    render = offline.template(values_of(case))
    assert right in render
    assert conform(render.replace(right, wrong, 1)) != []


@pytest.mark.parametrize("case", CASES)
def test_api_server_accepts_all_renders_unchanged(
    offline: Helm, cluster: ControlPlane, tmp_path: Path, case: str
) -> None:
    render = offline.template(values_of(case), sets=["crds.install=true"])
    file = tmp_path / "render.yaml"
    file.write_text(render)
    assert unlike(documents(render), returned(cluster, "-f", str(file))) == []


def pod_of(offline: Helm, case: str) -> Any:  # noqa: ANN401 - JSON
    [pod] = pods_of(documents(offline.template(values_of(case))))
    return pod


@pytest.mark.parametrize("case", CASES)
def test_pod_is_admitted_under_restricted_and_openshift_rules(
    offline: Helm, cluster: ControlPlane, case: str
) -> None:
    reply = dry_run(cluster, pod_of(offline, case))
    assert reply.is_success, reply.text
    assert "Warning" not in reply.headers, reply.headers["Warning"]


@pytest.mark.parametrize("promise", ["allowPrivilegeEscalation", "capabilities"])
def test_pod_without_one_restriction_is_not_admitted(
    offline: Helm, cluster: ControlPlane, promise: str
) -> None:
    pod = pod_of(offline, "cluster")
    del pod["spec"]["containers"][0]["securityContext"][promise]
    reply = dry_run(cluster, pod)
    assert reply.status_code == httpx.codes.FORBIDDEN
    assert 'violates PodSecurity "restricted' in reply.json()["message"]


@pytest.mark.parametrize("field", ["runAsUser", "fsGroup"])
def test_pod_with_a_fixed_user_id_is_not_admitted(
    offline: Helm, cluster: ControlPlane, field: str
) -> None:
    pod = pod_of(offline, "cluster")
    pod["spec"]["securityContext"][field] = 1000680000
    assert dry_run(cluster, pod).is_success
    pod["spec"]["securityContext"][field] = 65532
    assert f"{field} is not in the namespace's range" in dry_run(cluster, pod).text
