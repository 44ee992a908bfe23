"""The CRD is deleted and applied again while the operator runs, on a separate control plane."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from scriptix_operator.api.names import GROUP, LEASE, PROBLEMS_ANNOTATION
from scriptix_operator.check import Finding, Severity, check
from tests.controlplane.cluster import ControlPlane
from tests.operator.installation import CRD_PATH, install_crd
from tests.operator.lab import TIMEOUT, Lab, laboratory

SYSTEM = "default"


@pytest.fixture
def cluster(assets: Path, tmp_path: Path) -> Iterator[ControlPlane]:
    """Run a control plane for this test only: other tests would lose their resources."""
    with ControlPlane(assets, tmp_path / "controlplane") as running:
        install_crd(running)
        yield running


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not await asyncio.to_thread(holds):  # noqa: ASYNC110 - it is asked, it does not tell
            await asyncio.sleep(0.05)


async def running_findings(lab: Lab) -> list[Finding]:
    environ = {
        "KUBECONFIG": str(lab.control_plane.kubeconfig),
        "POD_NAMESPACE": lab.namespace,
        "SCRIPTIX_WATCH_NAMESPACES": lab.namespace,
        "SCRIPTIX_BASE_URL": lab.simulator.url,
    }
    return [finding async for finding in check(environ) if finding.topic == "running"]


async def test_crd_applied_again_is_watched_and_its_runs_are_adopted(
    cluster: ControlPlane, tmp_path: Path
) -> None:
    api = cluster.api
    trainings = f"/apis/{GROUP}"
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/{LEASE}"

    def note() -> str:
        return str(api.get(lease).json()["metadata"]["annotations"].get(PROBLEMS_ANNOTATION, ""))

    async with laboratory(cluster, SYSTEM, tmp_path) as lab:
        lab.model(951)
        lab.model(952)
        await lab.secret()
        operator = await lab.operator()
        await lab.train("first", 951)
        await lab.until_phase("first", "Succeeded")
        async with httpx.AsyncClient(base_url=await operator.url()) as health:
            assert (await health.get("/readyz")).text == "ok\n"
            assert await running_findings(lab) == []

            await asyncio.to_thread(lambda: api.delete(CRD_PATH).raise_for_status())
            await until(lambda: api.get(trainings).status_code == httpx.codes.NOT_FOUND)
            # Logged by Kopf when it starts while the CRD is missing.
            await until(lambda: "CustomResourceDefinition may be missing" in note())
            ready = await health.get("/readyz")
            assert "The watch fails: namespace default: " in ready.text
            assert (await health.get("/healthz")).status_code == httpx.codes.OK
            metrics = (await health.get("/metrics")).text
            assert 'scriptix_problem_seconds{source="Watch"} 0.0' not in metrics
            [finding] = await running_findings(lab)
            assert finding.severity is Severity.BAD
            assert "The watch fails: " in finding.text

            await asyncio.to_thread(install_crd, cluster)
            # The next resync is far away: only the watch shows the resources.
            await lab.train("first", 951)
            await lab.train("second", 952)
            await lab.until_phase("first", "Succeeded")
            await lab.until_phase("second", "Succeeded")
            await until(lambda: note() == "")
            assert (await health.get("/readyz")).text == "ok\n"
        assert (lab.starts(951), lab.starts(952)) == (1, 1)


async def test_operator_waits_for_a_missing_crd(cluster: ControlPlane, tmp_path: Path) -> None:
    """A process that ended would be restarted minutes after the CRD has been created again."""
    cluster.api.delete(CRD_PATH).raise_for_status()
    async with laboratory(cluster, SYSTEM, tmp_path) as lab:
        lab.model(953)
        await lab.secret()
        operator = await lab.operator()
        async with httpx.AsyncClient(base_url=await operator.url()) as health:
            await operator.printed("waiting for the CRD: .* is not installed; apply the output of")
            ready = await health.get("/readyz")
            assert ready.status_code == httpx.codes.SERVICE_UNAVAILABLE
            assert "is not installed; apply the output of `scriptix-operator crd`." in ready.text
            assert (await health.get("/healthz")).status_code == httpx.codes.OK
            await asyncio.to_thread(install_crd, cluster)
            await lab.train("first", 953)
            await lab.until_phase("first", "Succeeded")
        assert operator.log.count("is not installed; apply the output of") == 1
        assert lab.starts(953) == 1
