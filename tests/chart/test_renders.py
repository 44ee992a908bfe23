"""The render of each case, compared with the reviewed golden file."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from scriptix_operator.core.cluster.election import LeaseTimes
from scriptix_operator.kube.watch import STOP_TIMEOUT
from scriptix_operator.settings import load_settings, unknown_settings
from scriptix_operator.wiring import RECORDING
from tests.chart.helm import CHART, NAMESPACE, RELEASE, Document, Helm, HelmError, documents
from tests.chart.release import variables
from tests.chart.renders import CASES, golden, read, values_of
from tests.gotools.toolchain import REPOSITORY

CRD = "files/custommodeltrainings.scriptix.io.yaml"
POD = {"POD_NAMESPACE": NAMESPACE, "POD_NAME": "scriptix-operator-0"}


def load(path: Path) -> Document:
    loaded: Document = yaml.safe_load(path.read_text())
    return loaded


def leaves(values: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Name each value of the chart: each leaf of the chart's values."""
    if isinstance(values, dict) and values and path[-1:] not in {("labels",), ("resources",)}:
        for name, value in values.items():
            yield from leaves(value, (*path, name))
    else:
        yield path


def set_in(case: str) -> list[tuple[str, ...]]:
    """Name the values of the chart that a case sets."""
    values = load(values_of(case))

    def has(path: tuple[str, ...]) -> bool:
        at: Any = values
        for name in path:
            if name not in at:
                return False
            at = at[name]
        return True

    return [path for path in leaves(load(CHART / "values.yaml")) if has(path)]


def without(values: Document, path: tuple[str, ...]) -> Document:
    """Return the values without one of them."""
    first, *rest = path
    kept = {name: value for name, value in values.items() if name != first}
    return kept | {first: without(values[first], tuple(rest))} if rest else kept


@pytest.mark.parametrize("case", CASES)
def test_helm_lint_finds_nothing(offline: Helm, case: str) -> None:
    values = f"--values={values_of(case)}"
    printed = offline("lint", CHART, "--strict", f"--namespace={NAMESPACE}", values)
    assert "1 chart(s) linted, 0 chart(s) failed" in printed
    assert "[WARNING]" not in printed


@pytest.mark.parametrize("case", CASES)
def test_case_renders_as_recorded(offline: Helm, case: str) -> None:
    assert read(offline, case) == golden(case).read_text(), "is that meant? then: make renders"


def test_each_golden_render_belongs_to_a_case() -> None:
    assert sorted(path.stem for path in golden("x").parent.iterdir()) == CASES


def test_each_value_is_set_by_a_case() -> None:
    ours = load(CHART / "values.yaml")
    set_somewhere = {path for case in CASES for path in set_in(case)}
    # The CRD is no part of these renders.
    elsewhere = {("crds", "install"), ("crds", "keep")}
    assert {*leaves(ours)} - set_somewhere == elsewhere


@pytest.mark.parametrize("case", CASES)
def test_each_value_of_a_case_has_an_effect(offline: Helm, case: str, tmp_path: Path) -> None:
    values = load(values_of(case))
    as_it_is = offline.template(values_of(case))
    for path in set_in(case):
        try:
            render = offline.render(without(values, path), tmp_path / "values.yaml")
        except HelmError:
            continue  # another value of the case needs it
        assert render != as_it_is, ".".join(path)


def container(render: list[Document]) -> Document:
    [deployment] = [document for document in render if document["kind"] == "Deployment"]
    [found] = deployment["spec"]["template"]["spec"]["containers"]
    return dict(found)


@pytest.mark.parametrize("case", CASES)
def test_the_operator_understands_the_settings(offline: Helm, case: str) -> None:
    render = offline.template(values_of(case))
    given = container(documents(render))["env"]
    assert len({entry["name"] for entry in given}) == len(given)
    environ = POD | variables(render)
    assert unknown_settings(environ) is None
    settings = load_settings(environ)
    if case == "cluster":
        assert settings == load_settings(POD)
    if case == "settings":
        assert settings.base_url == "http://scriptix.example:8099"
        assert settings.default_key_namespaces == ("*",)
        assert not settings.leader_election
    if case == "namespaced":
        assert settings.watch_namespaces == ("speech", "research")


@pytest.mark.parametrize("case", ["cluster", "pod"])
def test_the_grace_period_covers_each_part_of_a_shutdown(offline: Helm, case: str) -> None:
    [deployment] = [
        document
        for document in documents(offline.template(values_of(case)))
        if document["kind"] == "Deployment"
    ]
    pod = deployment["spec"]["template"]["spec"]
    given = {entry["name"]: entry.get("value", "") for entry in pod["containers"][0]["env"]}
    reply = load_settings(given | POD).post_timeout
    parts = (reply, RECORDING, LeaseTimes().release, STOP_TIMEOUT)
    assert sum(parts) < pod["terminationGracePeriodSeconds"]


@pytest.mark.parametrize(
    ("sets", "annotations"),
    [
        ((), {"helm.sh/resource-policy": "keep"}),
        (("crds.keep=false",), None),
        (("crds.install=false",), "no CRD"),
    ],
    ids=["default", "not kept", "not installed"],
)
def test_the_crd_is_the_generated_one_and_kept(
    offline: Helm, sets: tuple[str, ...], annotations: object
) -> None:
    render = offline("template", RELEASE, CHART, *(f"--set={assignment}" for assignment in sets))
    crds = [d for d in documents(render) if d["kind"] == "CustomResourceDefinition"]
    if annotations == "no CRD":
        assert crds == []
        return
    [crd] = crds
    assert crd["metadata"].pop("annotations", None) == annotations
    assert crd == load(CHART / CRD) == load(REPOSITORY / "crds" / Path(CRD).name)


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("scriptix-operator", "scriptix-operator"),
        ("prod", "prod-scriptix-operator"),
        ("my-scriptix-operator", "my-scriptix-operator"),
        ("x" * 53, "x" * 52),
    ],
)
def test_names_follow_the_release(offline: Helm, release: str, name: str) -> None:
    render = documents(offline("template", release, CHART, "--namespace=ns"))
    names = {document["kind"]: document["metadata"]["name"] for document in render}
    assert names["Deployment"] == names["ServiceAccount"] == name
    assert names["ClusterRoleBinding"] == f"ns-{name}"


def test_names_that_yaml_would_convert_stay_strings(offline: Helm) -> None:
    sets = ("watchNamespaces={no,1e3}", "customCA.secret=0x1", "priorityClassName=off")
    given = (f"--set-string={assignment}" for assignment in sets)
    render = documents(offline("template", "123", CHART, "--namespace=on", *given))
    namespaces = {document["metadata"].get("namespace", "on") for document in render}
    assert namespaces == {"on", "no", "1e3"}
    [deployment] = [document for document in render if document["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    assert pod["priorityClassName"] == "off"
    assert pod["volumes"][0]["secret"]["secretName"] == "0x1"
    assert deployment["metadata"]["labels"]["app.kubernetes.io/instance"] == "123"


def test_upgrade_without_a_lease_never_runs_two_pods(offline: Helm) -> None:
    render = documents(offline.template(sets=["settings.leaderElection=false"]))
    [deployment] = [document for document in render if document["kind"] == "Deployment"]
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}


def test_names_and_labels_are_valid_for_any_release_name(offline: Helm, tmp_path: Path) -> None:
    offline("package", CHART, "--version=0.2.0+build.7", "--app-version=0.2.0+7", "-d", tmp_path)
    package = tmp_path / "scriptix-operator-0.2.0+build.7.tgz"
    sets = ("--set=metrics.serviceMonitor.enabled=true", "--set=image.tag=0.2.0")
    render = documents(offline("template", "my.release", package, "--namespace=ns", *sets))
    for document in render:
        for value in document["metadata"]["labels"].values():
            assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", value)
    [service] = [document for document in render if document["kind"] == "Service"]
    assert service["metadata"]["name"] == "my-release-scriptix-operator"


def test_labels_of_a_monitor_are_the_user_s(offline: Helm) -> None:
    kinds = {
        "podMonitor": "PodMonitor",
        "prometheusRule": "PrometheusRule",
        "dashboard": "ConfigMap",
    }
    label = r"labels.app\.kubernetes\.io/part-of=kube-prometheus"
    sets = [f"metrics.{name}.{what}" for name in kinds for what in ("enabled=true", label)]
    found = {
        document["kind"]: document["metadata"]["labels"]
        for document in documents(offline.template(sets=sets))
    }
    for kind in kinds.values():
        assert found[kind]["app.kubernetes.io/part-of"] == "kube-prometheus"
        assert found[kind]["app.kubernetes.io/name"] == "scriptix-operator"


def egress(render: str) -> set[tuple[int, str]]:
    """Return each port that the network policy opens, with its protocol."""
    [policy] = [d for d in documents(render) if d["kind"] == "NetworkPolicy"]
    rules = policy["spec"]["egress"]
    return {(p["port"], p.get("protocol", "TCP")) for rule in rules for p in rule["ports"]}


def test_a_network_policy_opens_the_ports_of_dns(offline: Helm) -> None:
    enabled = "networkPolicy.enabled=true"
    base = {(443, "TCP"), (6443, "TCP")}
    assert egress(offline.template(sets=[enabled])) == base | {(53, "UDP"), (53, "TCP")}
    render = offline.template(sets=[enabled, "networkPolicy.dnsPorts={5353}"])
    assert egress(render) == base | {(5353, "UDP"), (5353, "TCP")}


def test_ports_of_a_network_policy_follow_the_urls(offline: Helm, tmp_path: Path) -> None:
    def ports(**values: Any) -> set[int]:  # noqa: ANN401 - whatever stands in values.yaml
        render = offline.render(
            {"networkPolicy": {"enabled": True, "apiServerPorts": [6443]}} | values,
            tmp_path / "values.yaml",
        )
        return {port for port, protocol in egress(render) if protocol == "TCP"} - {53}

    def at(url: str) -> set[int]:
        return ports(settings={"baseUrl": url, "allowInsecureHttp": True})

    assert ports() == {6443, 443}
    assert at("https://api.example:8443/v1") == {6443, 8443}
    assert at("http://api.example/v1") == {6443, 80}
    assert at("https://[2001:db8::1]") == {6443, 443}
    assert at("https://[2001:db8::1]:444") == {6443, 444}
    assert ports(proxy={"https": "http://proxy.example:3128/"}) == {6443, 443, 3128}
    assert ports(tracing={"endpoint": "http://collector.example:4318"}) == {6443, 443, 4318}
