"""Several watched namespaces, one of which the operator may not list, on a real API server."""

import asyncio
import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from scriptix_operator.api.names import GROUP, PLURAL
from scriptix_operator.check import Severity, check
from tests.controlplane.cluster import ControlPlane
from tests.operator.lab import Lab, Operator, reason_of

RIGHTS = (
    ({GROUP: [PLURAL, f"{PLURAL}/status"]}, ["get", "list", "watch", "patch"]),
    ({"": ["configmaps", "events"]}, ["get", "create", "update", "patch", "delete"]),
    ({"": ["secrets"]}, ["get"]),
    ({"coordination.k8s.io": ["leases"]}, ["get", "create", "update"]),
)
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@dataclass
class Tenants:
    """Two namespaces of one operator, whose ServiceAccount has a RoleBinding in each."""

    cluster: ControlPlane
    here: Lab
    """The operator's own namespace, which is always listed."""
    there: Lab
    kubeconfig: Path

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment of the operator."""
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "POD_NAMESPACE": self.here.namespace,
            "SCRIPTIX_BASE_URL": self.here.simulator.url,
            "SCRIPTIX_WATCH_NAMESPACES": f"{self.here.namespace},{self.there.namespace}",
        }

    async def operator(self, **settings: str) -> Operator:
        """Start an operator."""
        return await self.here.operator(self.environment, **settings)

    def grant(self, lab: Lab) -> None:
        """Make the RoleBinding in a namespace."""
        subject = {"kind": "ServiceAccount", "name": "tenants", "namespace": self.here.namespace}
        role = {"kind": "ClusterRole", "name": self.here.namespace}
        body = {
            "metadata": {"name": "tenants"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", **role},
            "subjects": [subject],
        }
        reply = self.cluster.api.post(f"{RBAC}/namespaces/{lab.namespace}/rolebindings", json=body)
        assert reply.is_success, reply.text

    def revoke(self, lab: Lab) -> None:
        """Delete the RoleBinding."""
        path = f"{RBAC}/namespaces/{lab.namespace}/rolebindings/tenants"
        assert self.cluster.api.delete(path).is_success

    async def shown(self, operator: Operator, page: str) -> httpx.Response:
        """The operator's metrics."""
        return await self.here.client.get(f"{await operator.url()}/{page}")

    async def listed(self, operator: Operator, lab: Lab) -> float:
        """The metric's value for a namespace."""
        name = f'scriptix_namespace_listed{{namespace="{lab.namespace}"}} '
        lines = (await self.shown(operator, "metrics")).text.splitlines()
        [value] = [line.removeprefix(name) for line in lines if line.startswith(name)]
        return float(value)


@pytest.fixture
def tenants(cluster: ControlPlane, lab: Lab, tmp_path: Path) -> Tenants:
    """Make the second namespace, and an identity with permissions in the first only."""
    there = copy.copy(lab)
    there.namespace = f"{lab.namespace}-b"
    cluster.kubectl("create", "namespace", there.namespace)
    cluster.kubectl("-n", lab.namespace, "create", "serviceaccount", "tenants")
    rules = [
        {"apiGroups": [group], "resources": resources, "verbs": verbs}
        for kinds, verbs in RIGHTS
        for group, resources in kinds.items()
    ]
    body = {"metadata": {"name": lab.namespace}, "rules": rules}
    assert cluster.api.post(f"{RBAC}/clusterroles", json=body).is_success
    crds, account = f"{lab.namespace}-crds", f"--serviceaccount={lab.namespace}:tenants"
    kind = "--resource=customresourcedefinitions.apiextensions.k8s.io"
    cluster.kubectl("create", "clusterrole", crds, "--verb=get", kind)
    cluster.kubectl("create", "clusterrolebinding", crds, f"--clusterrole={crds}", account)
    document = yaml.safe_load(cluster.kubeconfig.read_text())
    token = cluster.kubectl("-n", lab.namespace, "create", "token", "tenants").strip()
    document["users"][0]["user"] = {"token": token}
    kubeconfig = tmp_path / "tenants.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(document))
    made = Tenants(cluster, lab, there, kubeconfig)
    made.grant(lab)
    return made


async def test_other_namespaces_are_served_beside_an_unlisted_one(tenants: Tenants) -> None:
    here, there = tenants.here, tenants.there
    for number in range(711, 715):
        here.model(number)
    for lab in (here, there):
        await lab.secret()
    tenants.grant(there)
    first = await tenants.operator()
    await here.train("before", 711)
    await there.train("before", 712)
    for lab in (here, there):
        await lab.until_phase("before", "Succeeded")
    first.terminate()
    assert await first.ended() == 0
    tenants.revoke(there)
    await here.train("after", 713)
    await there.train("after", 714)

    operator = await tenants.operator()
    await here.until_phase("after", "Succeeded")
    refused = f"amespace {there.namespace} cannot be listed: list {PLURAL}: 403 "
    await operator.printed(refused)
    ready = await tenants.shown(operator, "readyz")
    assert ready.status_code == httpx.codes.OK
    assert refused in ready.text
    assert (await tenants.listed(operator, here), await tenants.listed(operator, there)) == (1, 0)
    found = [one async for one in check(tenants.environment) if one.topic == "namespace"]
    announced = {one.severity: one.text for one in found}
    assert here.namespace in announced[Severity.OK]
    assert refused in announced[Severity.BAD]
    assert here.posts(714) == []

    tenants.grant(there)
    await there.until_phase("after", "Succeeded")
    assert (await tenants.shown(operator, "readyz")).text == "ok\n"
    assert await tenants.listed(operator, there) == 1
    # The watch has begun too: a new resource is observed before the next resync.
    here.model(715)
    await there.train("new", 715)
    await there.until_phase("new", "Succeeded")
    assert [here.starts(number) for number in range(711, 716)] == [1] * 5
    warning = f"WARNING scriptix_operator.engine.resync: n{refused}"
    assert operator.log.count(warning) == 1


async def test_start_of_an_unlisted_resource_is_left_open(tenants: Tenants) -> None:
    here, there = tenants.here, tenants.there
    here.model(721)
    for lab in (here, there):
        await lab.secret()
    tenants.grant(there)
    await here.fault("delay", call="run", delay=1.5)
    first = await tenants.operator(leader_election="false")
    await there.train("starter", 721)
    await here.simulator.until(lambda: len(here.posts()) == 1)
    first.kill()
    await first.ended()
    tenants.revoke(there)

    await tenants.operator(leader_election="false")
    await here.train("asker", 721)
    waiting = await here.until_reason("asker", "ModelInUse")
    assert there.namespace not in waiting["status"]["message"]
    assert "resource in another namespace" in waiting["status"]["message"]
    # The start is resolved by the other resource, whose namespace is listed again.
    await here.until("asker", lambda item: item["status"]["model"]["trainingStatus"] == 4)
    assert reason_of(await here.get("asker")) == "ModelInUse"
    tenants.grant(there)
    done = await there.until_phase("starter", "Succeeded")
    assert done["status"]["run"]["ownership"] == "Unconfirmed"
    assert here.starts(721) == len(here.posts()) == 1


async def test_lost_ledger_waits_for_the_unlisted_namespace(tenants: Tenants) -> None:
    here, there = tenants.here, tenants.there
    here.model(731)
    here.model(732)
    for lab in (here, there):
        await lab.secret()
    await here.train("here", 731)
    await there.train("there", 732)
    operator = await tenants.operator()
    waiting = await here.until_reason("here", "WaitingForNamespaces")
    assert f"namespace {there.namespace} not listed" in waiting["status"]["message"]
    await operator.printed(f"starts are disabled: .*{there.namespace} not listed")
    assert "Starts are disabled: " in (await tenants.shown(operator, "readyz")).text
    assert here.posts() == []
    tenants.grant(there)
    await here.until_phase("here", "Succeeded")
    await there.until_phase("there", "Succeeded")
    assert (here.starts(731), here.starts(732)) == (1, 1)


async def test_namespace_deleted_and_created_again_adopts_its_run(tenants: Tenants) -> None:
    here, there = tenants.here, tenants.there
    here.model(751, duration=8000)
    here.model(752)
    for lab in (here, there):
        await lab.secret()
    tenants.grant(there)
    operator = await tenants.operator(resync_interval="1s")
    await there.train("returning", 751)
    await there.until_phase("returning", "Running")
    # A finalizer of somebody else: the namespace stays Terminating, and the training in it.
    await there.patch("returning", {"metadata": {"finalizers": ["example.com/hold"]}})
    path = f"/api/v1/namespaces/{there.namespace}"
    tenants.cluster.api.delete(path).raise_for_status()
    await there.until("returning", lambda item: "deletionTimestamp" in item["metadata"])
    await operator.printed(f"namespace {there.namespace} cannot be listed")  # no RoleBinding either
    await here.admin("PATCH", "/models/751", {"finish": True})
    await here.train("other", 752)
    await here.until_phase("other", "Succeeded")
    polls = sum(call.model == 751 for call in here.simulator.state.calls)
    await there.patch("returning", {"metadata": {"finalizers": None}})
    await asyncio.to_thread(
        tenants.cluster.kubectl, "wait", "--for=delete", f"namespace/{there.namespace}"
    )
    assert sum(call.model == 751 for call in here.simulator.state.calls) == polls

    # As GitOps does.
    tenants.cluster.kubectl("create", "namespace", there.namespace)
    tenants.grant(there)
    await there.secret()
    await there.train("returning", 751)
    adopted = await there.until_phase("returning", "Succeeded")
    assert adopted["status"]["run"]["ownership"] == "Adopted"
    assert [len(here.posts(model)) for model in (751, 752)] == [1, 1]


async def test_refused_namespace_keeps_its_resources(tenants: Tenants) -> None:
    here, there = tenants.here, tenants.there
    here.model(741, duration=20)
    here.model(742)
    for lab in (here, there):
        await lab.secret()
    tenants.grant(there)
    operator = await tenants.operator(resync_interval="1s")
    await there.train("kept", 741)
    running = await there.until_phase("kept", "Running")
    tenants.revoke(there)
    await operator.printed(f"namespace {there.namespace} cannot be listed")
    await here.train("other", 742)
    await here.until_phase("other", "Succeeded")
    tenants.grant(there)
    done = await there.until_phase("kept", "Succeeded")
    assert done["status"]["run"]["id"] == running["status"]["run"]["id"]
    assert here.starts(741) == 1
    reasons = {event["reason"] for event in await there.events("kept")}
    assert "ReleasedRunningTraining" not in reasons
