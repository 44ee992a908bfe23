"""Each overlay of deploy/ equals the render of the chart with the same values, object by object."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from scriptix_operator.settings import load_settings
from tests.chart.helm import NAMESPACE, RELEASE, Document, Helm, documents
from tests.chart.pods import dry_run, pods_of
from tests.chart.written import returned, unlike
from tests.controlplane.cluster import ControlPlane
from tests.gotools.toolchain import REPOSITORY

DEPLOY = REPOSITORY / "deploy"

OVERLAYS: dict[str, Document] = {
    ".": {},
    "overlays/cluster": {},
    "overlays/namespaced": {"watchNamespaces": ["speech"]},
    "overlays/demo": {
        "settings": {
            "baseUrl": "http://scriptix-simulator:8099",
            "allowInsecureHttp": True,
            "defaultSecret": "scriptix-demo-key",
            "defaultKeyNamespaces": ["*"],
        }
    },
}
"""Values of the chart by the folder in deploy/."""

BESIDE = {
    "overlays/demo": {
        ("Deployment", NAMESPACE, "scriptix-simulator"),
        ("Secret", NAMESPACE, "scriptix-demo-key"),
        ("Service", NAMESPACE, "scriptix-simulator"),
    }
}
"""Objects that only the folder has."""

WIDE = f"{NAMESPACE}-"
"""The chart's prefix of cluster-scoped names: a cluster may have several releases."""

Name = tuple[str, str, str]


def kustomized(cluster: ControlPlane, folder: str) -> list[Document]:
    return documents(cluster.kubectl("kustomize", str(DEPLOY / folder)))


def charted(helm: Helm, folder: str, file: Path) -> list[Document]:
    file.write_text(yaml.safe_dump({"crds": {"keep": False}} | OVERLAYS[folder]))
    where = f"--namespace={NAMESPACE}"
    chart = REPOSITORY / "charts" / "scriptix-operator"
    return documents(helm("template", RELEASE, chart, where, f"--values={file}"))


def comparable(manifests: list[Document]) -> dict[Name, Document]:
    """Return the compared part of each object, by name.

    Not the labels of objects (Helm has its own), nor by which names objects in no namespace refer
    to each other, nor whether a variable comes from a ConfigMap.
    """
    settings = {d["metadata"]["name"]: d["data"] for d in manifests if d["kind"] == "ConfigMap"}
    found = {}
    for document in manifests:
        kind, metadata = document["kind"], document["metadata"]
        # Helm makes no namespace; settings are compared where they are used.
        if kind in {"Namespace", "ConfigMap"}:
            continue
        metadata["name"] = metadata["name"].removeprefix(WIDE)
        labels = metadata.pop("labels", {})
        metadata["aggregate"] = {k: v for k, v in labels.items() if "/aggregate-to-" in k}
        _normalise(document, settings)
        found[kind, metadata.get("namespace", ""), metadata["name"]] = document
    return found


def _normalise(document: Any, settings: dict[str, dict[str, str]]) -> None:  # noqa: ANN401 - YAML
    spec = document.get("spec")
    match document["kind"]:
        case "Deployment":
            template = spec["template"]
            selectors = [
                spec["selector"]["matchLabels"],
                template["metadata"]["labels"],
                *(
                    constraint["labelSelector"]["matchLabels"]
                    for constraint in template["spec"].get("topologySpreadConstraints", ())
                ),
            ]
            for labels in selectors:
                labels.pop("app.kubernetes.io/instance", None)
                labels.pop("app.kubernetes.io/part-of", None)
            for container in template["spec"]["containers"]:
                _resolve(container, settings)
        case "Role" | "ClusterRole":
            document["rules"].sort(key=str)
        case "RoleBinding" | "ClusterRoleBinding":
            document["roleRef"]["name"] = document["roleRef"]["name"].removeprefix(WIDE)
        case "ValidatingAdmissionPolicyBinding":
            spec["policyName"] = spec["policyName"].removeprefix(WIDE)


def _resolve(container: Document, settings: dict[str, dict[str, str]]) -> None:
    """Replace the variables with the settings that the operator reads from them."""
    variables = container.pop("env", [])
    plain = {e["name"]: e.get("value", "") for e in variables if "valueFrom" not in e}
    for source in container.pop("envFrom", ()):
        plain |= settings[source["configMapRef"]["name"]]
    pod = {"POD_NAMESPACE": NAMESPACE, "POD_NAME": "p"}
    ours = {name: value for name, value in plain.items() if name.startswith("SCRIPTIX_")}
    container["settings"] = load_settings(ours | pod)
    container["variables"] = {name: plain[name] for name in plain.keys() - ours.keys()}
    container["references"] = {
        entry["name"]: entry["valueFrom"] for entry in variables if "valueFrom" in entry
    }


@pytest.mark.parametrize("folder", OVERLAYS)
def test_overlay_equals_the_render_of_the_chart(
    cluster: ControlPlane, offline: Helm, tmp_path: Path, folder: str
) -> None:
    deployed = comparable(kustomized(cluster, folder))
    beside = BESIDE.get(folder, set())
    assert beside <= deployed.keys()
    chart = comparable(charted(offline, folder, tmp_path / "values.yaml"))
    assert deployed.keys() - beside == chart.keys()
    for name, document in chart.items():
        assert deployed[name] == document, name


def test_root_kustomization_is_the_cluster_overlay(cluster: ControlPlane) -> None:
    assert kustomized(cluster, ".") == kustomized(cluster, "overlays/cluster")


@pytest.mark.parametrize("folder", OVERLAYS)
def test_api_server_accepts_an_overlay_unchanged(cluster: ControlPlane, folder: str) -> None:
    found = returned(cluster, "-k", str(DEPLOY / folder))
    assert unlike(kustomized(cluster, folder), found) == []


@pytest.mark.parametrize("folder", OVERLAYS)
def test_pods_of_an_overlay_are_admitted_under_openshift_rules(
    cluster: ControlPlane, folder: str
) -> None:
    for pod in pods_of(kustomized(cluster, folder)):
        reply = dry_run(cluster, pod)
        assert reply.is_success, reply.text


def test_deploy_has_all_settings_of_the_chart() -> None:
    values = yaml.safe_load((REPOSITORY / "charts/scriptix-operator/values.yaml").read_text())
    lines = (DEPLOY / "base" / "settings.env").read_text().splitlines()
    named = {line.partition("=")[0] for line in lines if line and not line.startswith("#")}
    folded = {name.removeprefix("SCRIPTIX_").replace("_", "").lower() for name in named}
    assert folded == {name.lower() for name in values["settings"]} | {"watchnamespaces"}
