"""kube/leadership.py against a real API server, through a proxy that can be shut.

Durations are shrunk and conditions awaited; nothing is asserted about how long anything took.
"""

import asyncio
import base64
import itertools
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import certifi
import pytest
import yaml

from scriptix_operator.core.cluster.election import LeaseTimes
from scriptix_operator.kube.api import KubeApi
from scriptix_operator.kube.connection import configure, connect, reconnect
from scriptix_operator.kube.leadership import Leadership, LeadershipLostError, new_identity
from scriptix_operator.telemetry.health import Problems
from tests.controlplane.cluster import ControlPlane
from tests.operator.gate import Gate

QUICK = LeaseTimes(duration=2, renew_deadline=1.5, retry=0.1, request=0.5, release=5.0)
PATIENT = LeaseTimes(duration=120, renew_deadline=90.0, retry=0.1, request=1.0, release=5.0)
"""Durations with which nothing expires, even on a slow machine."""
PATIENCE = 60.0
NAME = "scriptix-operator"


def utc_now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the rim of the test


@dataclass
class Observer:
    """The Lease as an administrator sees it."""

    control_plane: ControlPlane
    namespace: str

    @property
    def path(self) -> str:
        """Path of the Lease."""
        return f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases/{NAME}"

    def spec(self) -> dict[str, Any]:
        """The spec of the Lease; empty without a Lease."""
        reply = self.control_plane.api.get(self.path)
        return dict(reply.json()["spec"]) if reply.is_success else {}

    def patch(self, **spec: object) -> None:
        """Change the Lease as an administrator."""
        merge = {"Content-Type": "application/merge-patch+json"}
        self.control_plane.api.patch(
            self.path, json={"spec": spec}, headers=merge
        ).raise_for_status()

    def create(self, **spec: object) -> None:
        """Create the Lease as an administrator."""
        body = {"metadata": {"name": NAME}, "spec": spec}
        self.control_plane.api.post(
            self.path.removesuffix(f"/{NAME}"), json=body
        ).raise_for_status()

    def delete(self) -> None:
        """Delete the Lease as an administrator."""
        self.control_plane.api.delete(self.path).raise_for_status()


@pytest.fixture
def lease(control_plane: ControlPlane, namespace: str) -> Observer:
    return Observer(control_plane, namespace)


@pytest.fixture
async def api(control_plane: ControlPlane) -> AsyncIterator[KubeApi]:
    configuration = await configure({"KUBECONFIG": str(control_plane.kubeconfig)})
    async with connect(configuration) as client:
        yield client


def contender(  # noqa: PLR0913 - all named
    api: KubeApi,
    lease: Observer,
    pod: str = "pod",
    *,
    times: LeaseTimes = PATIENT,
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], datetime] = utc_now,
    notes: Mapping[str, str] = MappingProxyType({}),
    environ: Mapping[str, str] = MappingProxyType({}),
    problems: Problems | None = None,
) -> Leadership:
    return Leadership(
        api,
        namespace=lease.namespace,
        name=NAME,
        identity=new_identity(pod),
        utc_now=now,
        clock=clock,
        notes=lambda: notes,
        problems=problems or Problems(),
        reconnect=partial(reconnect, api, environ),
        times=times,
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the API server is asked, it does not tell
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(*work: Coroutine[Any, Any, Any]) -> AsyncIterator[list[asyncio.Task[Any]]]:
    """Tasks that are cancelled and awaited at the end of the block."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def acquired(leadership: Leadership) -> Leadership:
    async with asyncio.timeout(PATIENCE):
        await leadership.acquire()
    return leadership


async def loss(holding: asyncio.Task[Any]) -> str:
    with pytest.raises(LeadershipLostError) as caught:
        async with asyncio.timeout(PATIENCE):
            await holding
    return str(caught.value)


@dataclass
class Gated:
    """A gate, and a client that uses it."""

    gate: Gate
    api: KubeApi


@pytest.fixture
async def gated(control_plane: ControlPlane) -> AsyncIterator[Gated]:
    configuration = await configure({"KUBECONFIG": str(control_plane.kubeconfig)})
    gate = Gate(int(configuration.server.rpartition(":")[2]))
    await gate.open()
    async with connect(replace(configuration, server=gate.url)) as client:
        yield Gated(gate, client)
    await gate.shut()


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[str], int]:
    """The number of log records, of any level, that contain a text."""
    caplog.set_level(logging.DEBUG, logger="scriptix_operator.kube.leadership")
    return lambda text: sum(text in message for message in caplog.messages)


async def test_one_of_five_concurrent_candidates_leads(
    api: KubeApi, lease: Observer, said: Callable[[str], int]
) -> None:
    contenders = [contender(api, lease, f"pod-{number}") for number in range(5)]
    async with running(*(one.acquire() for one in contenders)) as tasks:
        await until(lambda: said("standing by for") >= 8)
        leaders = [one for one in contenders if one.is_leading]
        assert [one.identity for one in leaders] == [lease.spec()["holderIdentity"]]
        assert [task.done() for task in tasks].count(True) == 1


async def test_lease_names_holder_time_and_duration(api: KubeApi, lease: Observer) -> None:
    before = utc_now()
    leader = await acquired(contender(api, lease, "pod-a"))
    first = lease.spec()
    assert first["holderIdentity"].startswith("pod-a_")
    assert first["leaseDurationSeconds"] == PATIENT.duration
    assert first["leaseTransitions"] == 0
    assert before <= datetime.fromisoformat(first["acquireTime"]) <= utc_now()
    async with running(leader.hold()):
        await until(lambda: lease.spec()["renewTime"] > first["renewTime"])
    assert lease.spec() == first | {"renewTime": lease.spec()["renewTime"]}


async def test_api_server_accepts_a_time_of_whole_seconds(api: KubeApi, lease: Observer) -> None:
    seconds = (
        datetime(2025, 1, 16, 8, tzinfo=UTC) + timedelta(seconds=n) for n in itertools.count()
    )
    await acquired(contender(api, lease, now=lambda: next(seconds)))
    assert lease.spec()["renewTime"] == "2025-01-16T08:00:00.000000Z"


async def test_released_lease_is_taken_over_and_counted(
    api: KubeApi, lease: Observer, said: Callable[[str], int]
) -> None:
    first, second = contender(api, lease, "first"), contender(api, lease, "second")
    await acquired(first)
    async with running(first.hold()) as [holding], running(second.acquire()) as [standing_by]:
        await until(lambda: said("standing by for first") >= 2)
        assert not standing_by.done()
        holding.cancel()
        await asyncio.wait([holding])
        assert not first.is_leading
        await first.release()
        async with asyncio.timeout(PATIENCE):  # far less than the duration of the Lease
            await standing_by
    assert second.is_leading
    assert lease.spec()["holderIdentity"] == second.identity
    assert lease.spec()["leaseTransitions"] == 1


async def test_released_lease_has_no_holder(api: KubeApi, lease: Observer) -> None:
    leader = await acquired(contender(api, lease))
    await leader.release()
    assert not leader.is_leading
    assert leader.deadline is None
    assert "holderIdentity" not in lease.spec()
    assert lease.spec()["leaseTransitions"] == 0


async def test_release_does_not_change_the_lease_of_another(api: KubeApi, lease: Observer) -> None:
    leader = await acquired(contender(api, lease))
    lease.patch(holderIdentity="another")
    await leader.release()
    assert lease.spec()["holderIdentity"] == "another"


async def test_candidate_that_never_led_releases_nothing(gated: Gated, lease: Observer) -> None:
    standby = contender(gated.api, lease)
    await gated.gate.shut()
    await standby.release()


async def test_release_without_api_server_is_bounded_and_logged(
    gated: Gated, lease: Observer, said: Callable[[str], int]
) -> None:
    times = replace(PATIENT, request=2 * PATIENCE / 3, release=0.2)
    leader = await acquired(contender(gated.api, lease, times=times))
    gated.gate.deaf = True
    async with asyncio.timeout(PATIENCE / 2):
        await leader.release()
    assert said("cannot release the Lease, which expires: ") == 1
    assert not leader.is_leading


async def test_holder_that_stops_renewing_is_replaced_after_it_stops(
    api: KubeApi, gated: Gated, lease: Observer
) -> None:
    # Long enough for an attempt to renew, also on a slow machine.
    times = replace(QUICK, duration=6, renew_deadline=4.0)
    first = contender(gated.api, lease, "first", times=times)
    second = contender(api, lease, "second", times=times)
    await acquired(first)
    async with running(first.hold()) as [holding], running(second.acquire()) as [standing_by]:
        await until(lambda: second._seen is not None)
        assert not standing_by.done()
        await gated.gate.shut()
        async with asyncio.timeout(PATIENCE):
            await standing_by
        assert not first.is_leading
        assert "could not be renewed within 4 s (cannot renew the Lease: " in await loss(holding)
    assert lease.spec()["holderIdentity"] == second.identity


async def test_process_paused_past_its_deadline_does_not_renew(
    api: KubeApi, lease: Observer
) -> None:
    now = [100.0]
    leader = await acquired(contender(api, lease, clock=lambda: now[0]))
    assert leader.deadline == 100.0 + PATIENT.renew_deadline
    first = lease.spec()
    async with running(leader.hold()) as [holding]:
        await until(lambda: lease.spec()["renewTime"] > first["renewTime"])
        assert leader.is_leading
        now[0] = leader.deadline
        assert not leader.is_leading
        assert "the process was held up" in await loss(holding)
    last = lease.spec()
    async with running(leader.hold()) as [holding]:
        assert "the process was held up" in await loss(holding)
    assert lease.spec() == last


@pytest.mark.parametrize("age", [timedelta(hours=-1), timedelta(days=400)])
async def test_standby_waits_the_whole_duration_by_its_own_clock(
    age: timedelta, api: KubeApi, lease: Observer, said: Callable[[str], int]
) -> None:
    renewed = f"{utc_now() - age:%Y-%m-%dT%H:%M:%S.%fZ}"
    lease.create(
        holderIdentity="silent", leaseDurationSeconds=30, renewTime=renewed, leaseTransitions=4
    )
    now = [100.0]
    standby = contender(api, lease, times=QUICK, clock=lambda: now[0])
    async with running(standby.acquire()) as [standing_by]:
        await until(lambda: said("standing by for silent") >= 3)
        now[0] += 30.0
        polls = said("standing by for silent")
        await until(lambda: said("standing by for silent") >= polls + 3)
        assert not standing_by.done()
        now[0] += 0.5
        async with asyncio.timeout(PATIENCE):
            await standing_by
    assert lease.spec()["holderIdentity"] == standby.identity
    assert lease.spec()["leaseTransitions"] == 5


async def test_leader_replaced_by_another_ends(
    api: KubeApi, lease: Observer, said: Callable[[str], int]
) -> None:
    leader = await acquired(contender(api, lease))
    async with running(leader.hold()) as [holding]:
        lease.patch(holderIdentity="usurper")
        assert await loss(holding) == "the Lease is held by usurper"
    assert said("leadership lost: the Lease is held by usurper") == said("leadership lost") == 1
    assert not leader.is_leading
    assert lease.spec()["holderIdentity"] == "usurper"


async def test_leader_ends_when_its_lease_is_emptied_or_deleted(
    api: KubeApi, lease: Observer
) -> None:
    leader = await acquired(contender(api, lease))
    async with running(leader.hold()) as [holding]:
        lease.patch(holderIdentity=None)
        assert await loss(holding) == "the Lease is held by nobody"
    await acquired(leader)
    async with running(leader.hold()) as [holding]:
        lease.delete()
        assert await loss(holding) == "the Lease is gone"
    assert lease.spec() == {}


async def test_label_set_by_a_user_does_not_end_the_leadership(
    api: KubeApi, lease: Observer, control_plane: ControlPlane
) -> None:
    leader = await acquired(contender(api, lease))
    async with running(leader.hold()) as [holding]:
        control_plane.kubectl("-n", lease.namespace, "label", "lease", NAME, "by=hand")
        before = lease.spec()["renewTime"]
        await until(lambda: lease.spec()["renewTime"] > before)
        assert not holding.done()
    kept = control_plane.api.get(lease.path).json()["metadata"]["labels"]
    assert kept == {"app.kubernetes.io/managed-by": "scriptix-operator", "by": "hand"}
    assert lease.spec()["leaseTransitions"] == 0


async def test_lease_keeps_annotations_of_its_holder_and_of_others(
    api: KubeApi, lease: Observer, control_plane: ControlPlane
) -> None:
    def notes() -> dict[str, str]:
        found: dict[str, str] = control_plane.api.get(lease.path).json()["metadata"]["annotations"]
        return found

    first = await acquired(contender(api, lease, notes={"serves": "a"}))
    assert notes() == {"serves": "a"}
    control_plane.kubectl("-n", lease.namespace, "annotate", "lease", NAME, "by=hand")
    await first.release()
    await acquired(contender(api, lease, notes={"serves": "b"}))
    assert notes() == {"serves": "b", "by": "hand"}


async def test_leader_survives_refusals_within_the_deadline(
    gated: Gated, lease: Observer, said: Callable[[str], int]
) -> None:
    leader = await acquired(contender(gated.api, lease))
    async with running(leader.hold()) as [holding]:
        await gated.gate.shut()
        before = lease.spec()
        await until(lambda: said("cannot renew the Lease: ") >= 3)
        assert leader.is_leading
        assert not holding.done()
        await gated.gate.open()
        await until(lambda: lease.spec()["renewTime"] > before["renewTime"])
        assert not holding.done()
    assert lease.spec()["leaseTransitions"] == 0


async def test_lost_reply_to_a_renewal_does_not_end_the_leadership(
    gated: Gated, lease: Observer, said: Callable[[str], int]
) -> None:
    leader = await acquired(contender(gated.api, lease))
    async with running(leader.hold()) as [holding]:
        before = lease.spec()["renewTime"]
        gated.gate.deaf = True
        await until(lambda: said("cannot renew the Lease: ") >= 2)
        written = lease.spec()["renewTime"]
        assert written > before
        await gated.gate.open()
        await until(lambda: lease.spec()["renewTime"] > written)
        assert leader.is_leading
        assert not holding.done()


async def test_acquisition_with_a_lost_reply_is_detected(gated: Gated, lease: Observer) -> None:
    leader = contender(gated.api, lease, now=gated.gate.deaf_from_now)
    async with running(leader.acquire()) as [acquiring]:
        await until(lambda: lease.spec().get("holderIdentity") == leader.identity)
        assert not acquiring.done()
        assert not leader.is_leading
        await gated.gate.open()
        async with asyncio.timeout(PATIENCE):
            await acquiring
    assert leader.is_leading
    assert lease.spec()["leaseTransitions"] == 0


async def test_candidate_stopped_while_acquiring_leaves_no_lease(
    gated: Gated, lease: Observer
) -> None:
    leader = contender(gated.api, lease, now=gated.gate.deaf_from_now)
    async with running(leader.acquire()):
        await until(lambda: lease.spec().get("holderIdentity") == leader.identity)
    await gated.gate.open()
    await leader.release()
    assert "holderIdentity" not in lease.spec()


async def test_restarted_pod_of_the_same_name_is_another_candidate(
    api: KubeApi, lease: Observer, said: Callable[[str], int]
) -> None:
    before = await acquired(contender(api, lease, "operator-0"))
    after = contender(api, lease, "operator-0")
    async with running(after.acquire()) as [standing_by]:
        await until(lambda: said(f"standing by for {before.identity}") >= 2)
        assert not standing_by.done()


RIGHTS = [
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
    {
        "apiGroups": ["coordination.k8s.io"],
        "resources": ["leases"],
        "resourceNames": [NAME],
        "verbs": ["get", "update"],
    },
]


async def test_documented_permissions_suffice_and_are_waited_for(
    control_plane: ControlPlane, lease: Observer, said: Callable[[str], int]
) -> None:
    core = f"/api/v1/namespaces/{lease.namespace}/serviceaccounts"
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{lease.namespace}"
    post = control_plane.api.post
    post(core, json={"metadata": {"name": "op"}}).raise_for_status()
    reply = post(f"{core}/op/token", json={"spec": {"expirationSeconds": 3600}})
    configuration = await configure({"KUBECONFIG": str(control_plane.kubeconfig)})

    async def authorization() -> str:
        return f"Bearer {reply.json()['status']['token']}"

    configuration = replace(configuration, authorization=authorization)
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(connect(configuration))
        leader = contender(client, lease)
        [acquiring] = await stack.enter_async_context(running(leader.acquire()))
        await until(lambda: said("cannot contend for the Lease: ") >= 2)
        assert said(": 403 ") >= 2
        post(f"{rbac}/roles", json={"metadata": {"name": "op"}, "rules": RIGHTS}).raise_for_status()
        binding = {
            "metadata": {"name": "op"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "op"},
            "subjects": [{"kind": "ServiceAccount", "name": "op", "namespace": lease.namespace}],
        }
        post(f"{rbac}/rolebindings", json=binding).raise_for_status()
        async with asyncio.timeout(PATIENCE):
            await acquiring
        before = lease.spec()["renewTime"]
        async with running(leader.hold()):
            await until(lambda: lease.spec()["renewTime"] > before)
        await leader.release()
    assert "holderIdentity" not in lease.spec()


async def test_repeated_failure_is_logged_once_as_a_warning(
    gated: Gated, lease: Observer, caplog: pytest.LogCaptureFixture, said: Callable[[str], int]
) -> None:
    await gated.gate.shut()
    async with running(contender(gated.api, lease).acquire()):
        await until(lambda: said("cannot contend for the Lease: ") >= 4)
    aloud = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert len(aloud) == 1


def test_each_process_has_an_identity_of_its_own() -> None:
    assert len({new_identity("pod") for _ in range(1000)}) == 1000


@pytest.mark.parametrize("stale", ["CA", "token"])
async def test_standby_reads_a_replaced_ca_or_token(
    control_plane: ControlPlane, lease: Observer, tmp_path: Path, stale: str
) -> None:
    authority, kubeconfig = tmp_path / "ca.crt", tmp_path / "kubeconfig"
    document = yaml.safe_load(control_plane.kubeconfig.read_text())
    cluster, user = document["clusters"][0]["cluster"], document["users"][0]["user"]
    trusted = base64.b64decode(cluster.pop("certificate-authority-data"))
    cluster["certificate-authority"] = str(authority)
    authority.write_text(certifi.contents() if stale == "CA" else trusted.decode())
    token, user["token"] = user["token"], "of yesterday" if stale == "token" else user["token"]
    kubeconfig.write_text(yaml.safe_dump(document))

    environ, problems = {"KUBECONFIG": str(kubeconfig)}, Problems()
    times = replace(PATIENT, reconnect=0.5)
    async with connect(await configure(environ)) as client:
        standby = contender(client, lease, times=times, environ=environ, problems=problems)
        async with running(standby.acquire()) as [acquiring]:
            await until(lambda: problems.outstanding() != [])
            [problem] = problems.outstanding()
            assert (problem.source, problem.is_outage) == ("Leadership", True)
            assert problem.text.startswith("This process cannot contend for the Lease: ")
            authority.write_bytes(trusted)
            user["token"] = token
            kubeconfig.write_text(yaml.safe_dump(document))
            async with asyncio.timeout(PATIENCE):
                await acquiring
        assert problems.outstanding() == []
        async with running(standby.hold()):
            before = lease.spec()["renewTime"]
            await until(lambda: lease.spec()["renewTime"] > before)


async def test_standby_keeps_its_client_while_files_are_broken(
    control_plane: ControlPlane, lease: Observer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    whole = control_plane.kubeconfig.read_text()
    kubeconfig.write_text(whole.replace("token: ", "token: x"))
    environ = {"KUBECONFIG": str(kubeconfig)}
    async with connect(await configure(environ)) as client:
        standby = contender(client, lease, times=replace(PATIENT, reconnect=0.2), environ=environ)
        kubeconfig.write_text("clusters: [half a file")
        async with running(standby.acquire()) as [acquiring]:
            await until(lambda: "cannot be read again" in caplog.text)
            assert not acquiring.done()
            kubeconfig.write_text(whole)
            async with asyncio.timeout(PATIENCE):
                await acquiring
