"""The admission policy refuses what the operator's RBAC permissions alone would allow."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from scriptix_operator.check import Severity
from scriptix_operator.kube.configmaps import ConfigMaps
from scriptix_operator.kube.connection import configure, connect
from tests.controlplane.cluster import ControlPlane
from tests.operator.logsupport import RESTORED, Namespace, reference_to
from tests.operator.rights.findings import findings
from tests.operator.rights.grants import EFFECT_SECONDS
from tests.operator.rights.installed import Installed, denied, install_chart, install_overlay

Document = dict[str, Any]

KUBE_SYSTEM = "/api/v1/namespaces/kube-system/configmaps"


def config_map(name: str, *owners: Document, labels: dict[str, str] | None = None) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "ownerReferences": list(owners), "labels": labels or {}},
        "data": {"log": "a line"},
    }


@pytest.fixture(params=["kustomize", "helm"], scope="module")
def wide(
    request: pytest.FixtureRequest,
    cluster: ControlPlane,
    helm: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Installed]:
    """Install a cluster-wide operator with Kustomize or Helm, under names that no manifest has."""
    directory = tmp_path_factory.mktemp("wide")
    if request.param == "kustomize":
        installed = install_overlay(cluster, directory, own="team-system")
    else:
        installed = install_chart(cluster, directory, helm, own="acme-system", release="acme")
    with installed.confined():
        yield installed


@pytest.fixture
def as_operator(wide: Installed) -> Iterator[httpx.Client]:
    """Connect with the operator's token."""
    with wide.client() as client:
        yield client


def test_operator_cannot_write_or_delete_kube_system_config_maps(
    control_plane: ControlPlane, as_operator: httpx.Client, space: Namespace
) -> None:
    made = control_plane.api.post(KUBE_SYSTEM, json=config_map(space.name))
    assert made.is_success, made.text
    path, before = f"{KUBE_SYSTEM}/{space.name}", made.json()
    owner = reference_to(space.make_resource())
    assert denied(as_operator.put(path, json={**before, "data": {"Corefile": "mine"}}))
    # A change of the owner, which would allow the next write, is refused too.
    owned = {**before["metadata"], "ownerReferences": [owner]}
    assert denied(as_operator.put(path, json={**before, "metadata": owned}))
    assert denied(as_operator.delete(path))
    assert denied(as_operator.post(KUBE_SYSTEM, json=config_map("another")))
    assert control_plane.api.get(path).json() == before


def test_operator_creates_replaces_and_deletes_its_config_maps(
    as_operator: httpx.Client, space: Namespace
) -> None:
    owned = config_map("cardio-log", reference_to(space.make_resource()))
    collection = f"/api/v1/namespaces/{space.name}/configmaps"
    made = as_operator.post(collection, json=owned)
    assert made.is_success, made.text
    path = f"{collection}/cardio-log"
    replaced = as_operator.put(path, json={**made.json(), "data": {"log": "two lines"}})
    assert replaced.is_success, replaced.text
    # Without its owner the object would have no controller, and the operator could not delete it.
    loose = {**replaced.json()["metadata"], "ownerReferences": []}
    assert denied(as_operator.put(path, json={**replaced.json(), "metadata": loose}))
    deleted = as_operator.delete(path)
    assert deleted.is_success, deleted.text
    assert space.names() == []


TRAINING: Document = {
    "apiVersion": "scriptix.io/v1alpha1",
    "kind": "CustomModelTraining",
    "name": "cardio",
    "uid": "00000000-0000-0000-0000-000000000001",
    "controller": True,
}
OTHER_OWNERS = [
    pytest.param((), id="no owner"),
    pytest.param(({**TRAINING, "controller": False},), id="no-controller"),
    pytest.param(({**TRAINING, "kind": "Training"},), id="another-kind"),
    pytest.param(({**TRAINING, "apiVersion": "example.com/v1"},), id="another-group"),
]


@pytest.mark.parametrize("owners", OTHER_OWNERS)
def test_config_map_without_a_training_as_controller_is_refused(
    as_operator: httpx.Client, space: Namespace, owners: tuple[Document, ...]
) -> None:
    collection = f"/api/v1/namespaces/{space.name}/configmaps"
    reply = as_operator.post(collection, json=config_map("cardio-log", *owners))
    assert denied(reply), reply.text


def test_operator_writes_its_ledger_in_its_own_namespace(
    wide: Installed, as_operator: httpx.Client
) -> None:
    path = f"/api/v1/namespaces/{wide.namespace}/configmaps"
    reply = as_operator.post(path, params={"dryRun": "All"}, json=config_map("ledger"))
    assert reply.is_success, reply.text


@pytest.mark.usefixtures("as_operator")
async def test_check_proves_that_the_policy_applies(wide: Installed) -> None:
    [finding] = await findings(wide.environment(), "policy")
    assert finding.severity is Severity.OK
    assert f"keeps {wide.user} from ConfigMaps that no training controls" in finding.text


OTHERS = [
    # Kubernetes itself has bound the first two to roles.
    pytest.param("kube-system:generic-garbage-collector", None, id="garbage-collector"),
    pytest.param("kube-system:namespace-controller", None, id="namespace-controller"),
    pytest.param("argocd:argocd-application-controller", "cluster-admin", id="cluster-admin"),
    pytest.param("ci:deployer", "every-verb", id="every-verb"),
    pytest.param("flux-system:scriptix-operator", "edit", id="same-name"),
]


@pytest.mark.usefixtures("as_operator")
@pytest.mark.parametrize(("account", "role"), OTHERS)
def test_others_delete_config_maps_as_before(
    control_plane: ControlPlane, space: Namespace, account: str, role: str | None
) -> None:
    kubectl, binding = control_plane.kubectl, space.name
    if role == "every-verb":
        role = space.name
        what = "--resource=configmaps,custommodeltrainings.scriptix.io"
        kubectl("create", "clusterrole", role, "--verb=*", what)
    if role is not None:
        bound = (f"--clusterrole={role}", f"--serviceaccount={account}")
        kubectl("create", "clusterrolebinding", binding, *bound)
    space.make("mine", {"theirs": "1"})
    path = f"/api/v1/namespaces/{space.name}/configmaps/mine"
    another = {"Impersonate-User": f"system:serviceaccount:{account}"}
    deadline = time.monotonic() + EFFECT_SECONDS
    while "cannot delete" in (reply := control_plane.api.delete(path, headers=another)).text:
        assert time.monotonic() < deadline, "the authorizer does not hear of the binding"
        time.sleep(0.02)
    assert reply.is_success, reply.text


def test_blocking_owner_reference_is_refused(as_operator: httpx.Client, space: Namespace) -> None:
    # So the main job, which this API server allows, cannot have sent such a request.
    blocking = reference_to(space.make_resource(), blockOwnerDeletion=True)
    collection = f"/api/v1/namespaces/{space.name}/configmaps"
    reply = as_operator.post(collection, json=config_map("cardio-log", blocking))
    assert reply.status_code == httpx.codes.FORBIDDEN
    assert "cannot set blockOwnerDeletion" in reply.json()["message"]


def test_restored_config_map_is_replaced_and_never_deleted(
    as_operator: httpx.Client, space: Namespace
) -> None:
    owner = reference_to(space.make_resource())
    left = space.make("cardio-log", {"log": "old"}, labels=RESTORED)
    path = f"/api/v1/namespaces/{space.name}/configmaps/cardio-log"
    assert denied(as_operator.delete(path))
    assert denied(as_operator.put(path, json={**left, "data": {"log": "new"}}))
    reply = as_operator.put(path, json=config_map("cardio-log", owner))
    assert reply.is_success, reply.text


@pytest.mark.parametrize("label", [name for name in RESTORED if "velero" not in name])
def test_config_map_without_one_of_the_labels_is_not_replaced(
    as_operator: httpx.Client, space: Namespace, label: str
) -> None:
    owner = reference_to(space.make_resource())
    labels = {name: value for name, value in RESTORED.items() if name != label}
    space.make("cardio-log", {"log": "theirs"}, labels=labels)
    path = f"/api/v1/namespaces/{space.name}/configmaps/cardio-log"
    assert denied(as_operator.put(path, json=config_map("cardio-log", owner)))


@pytest.mark.usefixtures("as_operator")
@pytest.mark.parametrize("immutable", [False, True])
async def test_operator_replaces_restored_config_maps_under_the_policy(
    wide: Installed, space: Namespace, *, immutable: bool
) -> None:
    owner = space.make_resource()
    space.make("cardio-log", {"log": "old"}, labels=RESTORED, immutable=immutable)
    async with connect(await configure(wide.environment())) as api:
        await ConfigMaps(api).create(owner, "cardio-log", {"log": "new"}, run_id="r1")
    made = space.read("cardio-log")
    assert made["data"] == {"log": "new"}
    assert made["metadata"]["ownerReferences"] == [reference_to(owner)]
