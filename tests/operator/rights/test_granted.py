"""The operator has the permissions that its requests need, and no other (issue 6)."""

from collections.abc import Iterator

import httpx
import pytest

from tests.controlplane.cluster import ControlPlane
from tests.operator.lab import Lab
from tests.operator.rights.audit import Audit
from tests.operator.rights.installed import DEFAULT_SECRET, Installed
from tests.operator.rights.job import main_job

TRAININGS = "/apis/scriptix.io/v1alpha1"


async def test_operator_needs_all_granted_permissions_and_no_other(
    lab: Lab, installed: Installed
) -> None:
    audit = Audit(lab.control_plane, installed.user)
    operator = await main_job(lab, installed, audit)
    # No request needs the permission that marks the operator: test_admission shows its purpose.
    granted = {grant for grant in installed.grants() if grant.verb != "operate"}
    assert {request for request in audit.requests() if request.binding is None} == set()
    assert sorted(map(str, granted - audit.needed(granted))) == []
    # No request was allowed through a group that all ServiceAccounts are in.
    bindings = {request.binding for request in audit.requests()}
    assert bindings == {grant.binding for grant in granted}
    assert "released the Lease" in operator.log


@pytest.fixture
def as_operator(installed: Installed) -> Iterator[httpx.Client]:
    """Connect with a token of the operator's ServiceAccount."""
    with installed.client() as client:
        yield client


@pytest.fixture
def confined(namespaced: Installed) -> Iterator[httpx.Client]:
    """Connect with the token of an operator that serves one namespace."""
    with namespaced.client() as client:
        yield client


def forbidden(reply: httpx.Response) -> bool:
    return reply.status_code == httpx.codes.FORBIDDEN and "cannot" in reply.json()["message"]


def make_secret(control_plane: ControlPlane, namespace: str, name: str) -> None:
    control_plane.kubectl("-n", namespace, "create", "secret", "generic", name)


def test_operator_reads_a_secret_by_name_and_lists_none(
    control_plane: ControlPlane, namespace: str, installed: Installed, as_operator: httpx.Client
) -> None:
    make_secret(control_plane, namespace, "team")
    secrets = f"/api/v1/namespaces/{namespace}/secrets"
    assert as_operator.get(f"{secrets}/team").is_success
    for path in (secrets, f"/api/v1/namespaces/{installed.namespace}/secrets", "/api/v1/secrets"):
        assert forbidden(as_operator.get(path)), path
        assert forbidden(as_operator.get(path, params={"watch": "true"})), path
        # A list of one Secret by its name, as a watch on the Secret would begin.
        assert forbidden(as_operator.get(path, params={"fieldSelector": "metadata.name=team"}))


def test_namespaced_operator_sees_nothing_of_other_namespaces(
    namespace: str, confined: httpx.Client
) -> None:
    other = "/api/v1/namespaces/kube-system"
    for path in (
        f"{other}/secrets/scriptix-api-key",
        f"{other}/configmaps/coredns",
        f"{other}/events/e",
        f"{TRAININGS}/namespaces/kube-system/custommodeltrainings",
        f"{TRAININGS}/namespaces/kube-system/custommodeltrainings/t",
        f"{TRAININGS}/custommodeltrainings",
        "/api/v1/configmaps",
        "/api/v1/namespaces",
    ):
        assert forbidden(confined.get(path)), path
    assert forbidden(confined.post(f"{other}/configmaps", json={"metadata": {"name": "mine"}}))
    assert confined.get(f"{TRAININGS}/namespaces/{namespace}/custommodeltrainings").is_success


def test_operator_reads_only_its_own_objects_in_its_namespace(
    control_plane: ControlPlane, namespaced: Installed, confined: httpx.Client
) -> None:
    make_secret(control_plane, namespaced.namespace, DEFAULT_SECRET)
    make_secret(control_plane, namespaced.namespace, "another")
    own = f"/api/v1/namespaces/{namespaced.namespace}"
    assert confined.get(f"{own}/secrets/{DEFAULT_SECRET}").is_success
    assert forbidden(confined.get(f"{own}/secrets/another"))
    assert forbidden(confined.get(f"{own}/configmaps/another"))
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespaced.namespace}/leases"
    assert forbidden(confined.get(f"{leases}/another"))
