"""What the operator's rights leave open and admission closes (DESIGN §2 and §5)."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.controlplane.cluster import ControlPlane
from tests.operator.logsupport import Namespace, reference_to
from tests.operator.rights.installed import Installed

Document = dict[str, Any]

POLICY_MESSAGE = "may write only ConfigMaps that a CustomModelTraining controls"
EFFECT_SECONDS = 30.0
KUBE_SYSTEM = "/api/v1/namespaces/kube-system/configmaps"


def denied(reply: httpx.Response) -> bool:
    return reply.status_code == httpx.codes.FORBIDDEN and POLICY_MESSAGE in reply.json()["message"]


def config_map(name: str, *owners: Document) -> Document:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "ownerReferences": list(owners)},
        "data": {"log": "a line"},
    }


@pytest.fixture(params=["cluster_wide", "released"])
def wide(request: pytest.FixtureRequest) -> Installed:
    """Return a cluster-wide operator: of deploy/, or of the chart under another name."""
    made: Installed = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def as_operator(wide: Installed) -> Iterator[httpx.Client]:
    """Connect with its token, once the policy is enforced."""
    with wide.client() as client:
        deadline = time.monotonic() + EFFECT_SECONDS
        unowned = config_map("unowned")
        while not denied(client.post(KUBE_SYSTEM, params={"dryRun": "All"}, json=unowned)):
            assert time.monotonic() < deadline, "the admission policy does not take effect"
            time.sleep(0.1)
        yield client


def test_it_cannot_write_or_delete_a_config_map_of_kube_system(
    control_plane: ControlPlane, as_operator: httpx.Client, space: Namespace
) -> None:
    made = control_plane.api.post(KUBE_SYSTEM, json=config_map(space.name))
    assert made.is_success, made.text
    path, before = f"{KUBE_SYSTEM}/{space.name}", made.json()
    owner = reference_to(space.make_resource())
    assert denied(as_operator.put(path, json={**before, "data": {"Corefile": "mine"}}))
    # Taking it over, so that it may be written next, is a write to it, too.
    owned = {**before["metadata"], "ownerReferences": [owner]}
    assert denied(as_operator.put(path, json={**before, "metadata": owned}))
    assert denied(as_operator.delete(path))
    assert denied(as_operator.post(KUBE_SYSTEM, json=config_map("another")))
    assert control_plane.api.get(path).json() == before


def test_it_makes_replaces_and_deletes_its_own(as_operator: httpx.Client, space: Namespace) -> None:
    owned = config_map("cardio-log", reference_to(space.make_resource()))
    collection = f"/api/v1/namespaces/{space.name}/configmaps"
    made = as_operator.post(collection, json=owned)
    assert made.is_success, made.text
    path = f"{collection}/cardio-log"
    replaced = as_operator.put(path, json={**made.json(), "data": {"log": "two lines"}})
    assert replaced.is_success, replaced.text
    # Letting go of it would leave an object that nobody controls and it could not delete.
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
    pytest.param((), id="nobody"),
    pytest.param(({**TRAINING, "controller": False},), id="no-controller"),
    pytest.param(({**TRAINING, "kind": "Training"},), id="another-kind"),
    pytest.param(({**TRAINING, "apiVersion": "example.com/v1"},), id="another-group"),
]


@pytest.mark.parametrize("owners", OTHER_OWNERS)
def test_it_makes_no_config_map_that_a_training_does_not_control(
    as_operator: httpx.Client, space: Namespace, owners: tuple[Document, ...]
) -> None:
    collection = f"/api/v1/namespaces/{space.name}/configmaps"
    reply = as_operator.post(collection, json=config_map("cardio-log", *owners))
    assert denied(reply), reply.text


def test_it_writes_its_ledger_in_its_own_namespace(
    wide: Installed, as_operator: httpx.Client
) -> None:
    path = f"/api/v1/namespaces/{wide.namespace}/configmaps"
    reply = as_operator.post(path, params={"dryRun": "All"}, json=config_map("ledger"))
    assert reply.is_success, reply.text


@pytest.mark.usefixtures("as_operator")
def test_others_write_config_maps_as_before(control_plane: ControlPlane, space: Namespace) -> None:
    collection = f"/api/v1/namespaces/{space.name}/configmaps"
    assert control_plane.api.post(collection, json=config_map("mine")).is_success
    another = {
        "Impersonate-User": "system:serviceaccount:argocd:argocd-application-controller",
        "Impersonate-Group": "system:masters",
    }
    reply = control_plane.api.post(collection, headers=another, json=config_map("synced"))
    assert reply.is_success, reply.text


def test_an_owner_reference_that_blocks_is_refused_where_permission_is_enforced(
    as_operator: httpx.Client, space: Namespace
) -> None:
    # So the main job, which this API server lets pass, cannot have asked for it.
    blocking = reference_to(space.make_resource(), blockOwnerDeletion=True)
    collection = f"/api/v1/namespaces/{space.name}/configmaps"
    reply = as_operator.post(collection, json=config_map("cardio-log", blocking))
    assert reply.status_code == httpx.codes.FORBIDDEN
    assert "cannot set blockOwnerDeletion" in reply.json()["message"]
