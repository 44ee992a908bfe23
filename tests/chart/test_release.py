"""Releases for real: two values run it, an upgrade renews the CRD, uninstalling keeps it."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from scriptix_operator.api import names
from tests.chart.helm import CHART, Document, Helm, HelmError, documents
from tests.chart.parent import write_parent
from tests.chart.release import await_no_crd, environment_of, remove_crd, training
from tests.controlplane.cluster import ControlPlane
from tests.gotools.toolchain import REPOSITORY
from tests.operator.installation import CRD_PATH, wait_until_served
from tests.operator.lab import laboratory

PREVIOUS = Path(__file__).parent / "previous"
RELEASE = "scriptix"
LISTED = "crd,deployment,serviceaccount,role,rolebinding,clusterrole,clusterrolebinding"
TAKE_OVER = ("--take-ownership", "--force-conflicts")


@pytest.fixture
def release(cluster: ControlPlane, online: Helm, namespace: str) -> Iterator[Callable[..., str]]:
    """Install or upgrade a release in the test's namespace; delete it and the CRD at the end."""

    def install(*assignments: str, chart: Path = CHART) -> str:
        sets = [f"--set={assignment}" for assignment in assignments]
        return online("upgrade", "--install", RELEASE, chart, f"--namespace={namespace}", *sets)

    yield install
    try:
        online("uninstall", RELEASE, f"--namespace={namespace}")
    except HelmError as error:
        assert "not found" in str(error)  # noqa: PT017 - the test has uninstalled it
    remove_crd(cluster)


async def test_release_with_two_values_runs_a_training(
    cluster: ControlPlane,
    online: Helm,
    namespace: str,
    release: Callable[..., str],
    tmp_path: Path,
) -> None:
    values = {
        "image.repository": "registry.example/scriptix-operator",
        "watchNamespaces": f"{{{namespace}}}",
    }
    readme = (REPOSITORY / "README.md").read_text()
    printed = re.findall(r"--set '?([\w.]+)=", readme)
    assert printed == list(values)
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    for command in ("make image IMAGE=", "docker push "):
        image = f"{command}YOUR_REGISTRY/scriptix-operator:{version}\n"
        assert image in readme
    notes = release(*(f"{name}={value}" for name, value in values.items()))
    wait_until_served(cluster, names.GROUP)
    # The commands in the release notes work.
    [manifest] = re.findall(r"<<'END'\n(.*?)\n  END\n", notes, re.DOTALL)
    (tmp_path / "training.yaml").write_text(manifest)
    cluster.kubectl("-n", namespace, "apply", "--dry-run=server", "-f", f"{tmp_path}/training.yaml")
    assert f"kubectl -n {namespace} create secret generic scriptix-api-key" in notes

    manifests = online("get", "manifest", RELEASE, f"--namespace={namespace}")
    async with laboratory(cluster, namespace, tmp_path) as lab:
        reachable = {"SCRIPTIX_BASE_URL": lab.simulator.url, "SCRIPTIX_HTTP_PORT": "0"}
        lab.model(101)
        await lab.secret()
        environment = environment_of(cluster, manifests, tmp_path, reachable)
        operator = await lab.operator(environment)
        await lab.train("my-model", 101)
        await lab.until_phase("my-model", "Succeeded")
        await lab.until_event("my-model", "TrainingSucceeded")
        assert await lab.config_map("my-model-result") is not None
        assert lab.starts(101) == 1
        operator.terminate()
        assert await operator.ended() == 0
        assert "forbidden" not in operator.log.lower()


def left(cluster: ControlPlane, namespace: str) -> set[str]:
    """Name the objects with the release's label."""
    label = f"app.kubernetes.io/instance={RELEASE}"
    return set(cluster.kubectl("-n", namespace, "get", LISTED, "-l", label, "-o=name").split())


def test_uninstalling_keeps_the_crd_and_its_resources(
    cluster: ControlPlane,
    online: Helm,
    namespace: str,
    release: Callable[..., str],
) -> None:
    release()
    wait_until_served(cluster, names.GROUP)
    path = f"/apis/{names.API_VERSION}/namespaces/{namespace}/{names.PLURAL}"
    created = cluster.api.post(path, json=training("kept")).json()
    assert len(left(cluster, namespace)) > 5

    online("uninstall", RELEASE, f"--namespace={namespace}")
    assert left(cluster, namespace) == set()
    assert cluster.api.get(f"{path}/kept").json()["metadata"]["uid"] == created["metadata"]["uid"]

    # The release, installed again, takes over the CRD, and the resource is unchanged.
    release()
    assert cluster.api.get(f"{path}/kept").json()["metadata"]["uid"] == created["metadata"]["uid"]


def test_uninstalling_deletes_a_crd_that_is_not_kept(
    cluster: ControlPlane, online: Helm, namespace: str, release: Callable[..., str]
) -> None:
    release("crds.keep=false")
    assert cluster.api.get(CRD_PATH).is_success
    online("uninstall", RELEASE, f"--namespace={namespace}")
    await_no_crd(cluster)


def test_an_upgrade_renews_the_previous_crd_under_its_resources(
    cluster: ControlPlane, namespace: str, release: Callable[..., str], tmp_path: Path
) -> None:
    previous = tmp_path / CHART.name
    shutil.copytree(CHART, previous)
    old = PREVIOUS / f"{names.CRD_NAME}.yaml"
    shutil.copy(old, previous / "files" / old.name)
    release(chart=previous)
    wait_until_served(cluster, names.GROUP)
    path = f"/apis/{names.API_VERSION}/namespaces/{namespace}/{names.PLURAL}"
    made = {}
    for resource in documents((PREVIOUS / "trainings.yaml").read_text()):
        status = resource.pop("status")
        name = resource["metadata"]["name"]
        strict = {"fieldValidation": "Strict"}
        reply = cluster.api.post(path, params=strict, json=resource)
        assert reply.is_success, reply.text
        reply = cluster.api.patch(
            f"{path}/{name}/status",
            params=strict,
            json={"status": status},
            headers={"Content-Type": "application/merge-patch+json"},
        )
        assert reply.is_success, reply.text
        made[name] = reply.json()

    release()
    crd = cluster.api.get(CRD_PATH).json()
    ours: Document = yaml.safe_load((CHART / "files" / old.name).read_text())
    assert crd["spec"]["versions"][0]["schema"] == ours["spec"]["versions"][0]["schema"]
    assert (
        crd["spec"]["versions"][0]["schema"]
        != yaml.safe_load(old.read_text())["spec"]["versions"][0]["schema"]
    )
    assert len(made) > 1
    for name, before in made.items():
        now = cluster.api.get(f"{path}/{name}").json()
        assert now["spec"].items() >= before["spec"].items()
        assert now["status"] == before["status"]
        assert now["metadata"]["generation"] == before["metadata"]["generation"]
        # The unchanged resource is still valid, in spec and status.
        for subresource in ("", "/status"):
            reply = cluster.api.put(
                f"{path}/{name}{subresource}", params={"fieldValidation": "Strict"}, json=now
            )
            assert reply.is_success, reply.text
            now = reply.json()


def test_release_notes_name_the_next_command(
    cluster: ControlPlane, namespace: str, release: Callable[..., str]
) -> None:
    notes = release()
    assert "serves all namespaces" in notes
    assert "kubectl -n NAMESPACE create secret generic scriptix-api-key" in notes
    notes = release("settings.defaultSecret=default-key")
    assert "No namespace may use the default key in the Secret default-key yet" in notes
    assert "kubectl -n NAMESPACE create secret generic scriptix-api-key" in notes
    both = ("settings.defaultSecret=default-key", "settings.defaultKeyNamespaces={*}")
    notes = release(*both)
    assert f"kubectl -n {namespace} create secret generic default-key" in notes
    assert "scriptix-api-key" not in notes
    cluster.kubectl("-n", namespace, "create", "secret", "generic", "default-key")
    notes = release(*both)
    assert "The Secret default-key has the default key for all namespaces." in notes
    assert "create secret" not in notes


def test_a_second_release_for_other_namespaces_shares_the_crd(
    cluster: ControlPlane, online: Helm, namespace: str, release: Callable[..., str]
) -> None:
    release(f"watchNamespaces={{{namespace}}}")
    where = "--namespace=research"
    second = ("install", "second", str(CHART), where, "--set=watchNamespaces={research}")
    with pytest.raises(HelmError, match="invalid ownership metadata"):
        online(*second)
    online(*second, "--set=crds.install=false")
    online("uninstall", "second", where)
    assert cluster.api.get(CRD_PATH).is_success
    assert f"deployment.apps/{RELEASE}-scriptix-operator" in left(cluster, namespace)


def test_two_releases_in_one_namespace_would_share_a_lease(
    online: Helm, namespace: str, release: Callable[..., str], tmp_path: Path
) -> None:
    release(f"watchNamespaces={{{namespace}}}")
    values = {"watchNamespaces": ["research"], "crds": {"install": False}}
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    aliased = write_parent(online, tmp_path / "parent", values, alias="research")
    for second in ((CHART, f"--values={tmp_path}/values.yaml"), (aliased,)):
        with pytest.raises(HelmError, match=f"the operator {RELEASE}-scriptix-operator is in the"):
            online("install", "second", *second, f"--namespace={namespace}")


def test_upgrade_keeps_values_when_the_chart_has_a_new_one(
    cluster: ControlPlane, online: Helm, namespace: str, release: Callable[..., str], tmp_path: Path
) -> None:
    previous = tmp_path / CHART.name
    shutil.copytree(CHART, previous)
    lacking: Document = yaml.safe_load((CHART / "values.yaml").read_text())
    del lacking["networkPolicy"]["dnsPorts"]
    (previous / "values.yaml").write_text(yaml.safe_dump(lacking))
    schema: Document = json.loads((CHART / "values.schema.json").read_text())
    schema["properties"]["networkPolicy"]["required"].remove("dnsPorts")
    (previous / "values.schema.json").write_text(json.dumps(schema))
    release("replicaCount=2", chart=previous)

    upgrade = ("upgrade", RELEASE, CHART, f"--namespace={namespace}")
    with pytest.raises(HelmError, match="at '/networkPolicy': missing property 'dnsPorts'"):
        online(*upgrade, "--reuse-values")
    page = (REPOSITORY / "docs" / "helm.md").read_text()
    [flag] = re.findall(r"are kept with `(--\S+-values)`", " ".join(page.split()))
    online(*upgrade, flag)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{RELEASE}-scriptix-operator"
    assert cluster.api.get(path).json()["spec"]["replicas"] == 2


def test_leader_election_can_be_turned_off_and_on_again(
    cluster: ControlPlane, namespace: str, release: Callable[..., str]
) -> None:
    def strategy() -> str:
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{RELEASE}-scriptix-operator"
        return str(cluster.api.get(path).json()["spec"]["strategy"]["type"])

    release()
    assert strategy() == "RollingUpdate"
    release("settings.leaderElection=false")
    assert strategy() == "Recreate"
    release("settings.leaderElection=true")
    assert strategy() == "RollingUpdate"


def test_foreign_crd_is_taken_over_only_on_request(
    cluster: ControlPlane, online: Helm, namespace: str, release: Callable[..., str]
) -> None:
    cluster.kubectl("create", "-f", str(CHART / "files" / f"{names.CRD_NAME}.yaml"))
    with pytest.raises(HelmError, match="invalid ownership metadata"):
        release()
    online("upgrade", "--install", RELEASE, CHART, "-n", namespace, *TAKE_OVER)
    annotations = cluster.api.get(CRD_PATH).json()["metadata"]["annotations"]
    assert annotations["meta.helm.sh/release-name"] == RELEASE


def test_crd_left_by_another_release_is_taken_over_on_request(
    online: Helm, namespace: str, release: Callable[..., str]
) -> None:
    release()
    where = f"--namespace={namespace}"
    online("uninstall", RELEASE, where)
    with pytest.raises(HelmError, match="invalid ownership metadata"):
        online("install", "another", CHART, where)
    online("install", "another", CHART, where, *TAKE_OVER)
    online("uninstall", "another", where)
