"""Nothing that Argo CD does to a training starts its run again: starts are counted at the API."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.gitops.argocd import ArgoCD
from tests.gitops.repository import Application, Repository, application, config_map, training
from tests.operator.installation import install_crd
from tests.operator.lab import Lab, Manifest, laboratory

pytestmark = pytest.mark.gitops

DONE, RUNNING = 1, 2
NAMES = ("done", "running")
SYNC_OPTIONS = "argocd.argoproj.io/sync-options"


def manifests(priority: int = 5, options: str = "") -> list[Manifest]:
    """Return a training that ends at once, one that the test ends, and another."""
    trainings = [training(name, number, priority=priority) for number, name in enumerate(NAMES, 1)]
    if options:
        for item in trainings:
            item["metadata"]["annotations"][SYNC_OPTIONS] = options
    return [*trainings, config_map("bystander")]


async def until_both(lab: Lab, holds: Callable[[Manifest], bool]) -> None:
    await lab.until_all(lambda items: all(name in items and holds(items[name]) for name in NAMES))


async def under_way(lab: Lab) -> None:
    """Wait until one has ended and the other runs."""
    await lab.until_phase("done", "Succeeded")
    await lab.until_phase("running", "Running")


async def uids(lab: Lab) -> set[str]:
    return {(await lab.get(name))["metadata"]["uid"] for name in NAMES}


async def until_recreated(lab: Lab, before: set[str]) -> None:
    await until_both(lab, lambda item: item["metadata"]["uid"] not in before)


async def heal_an_edit(app: Application, lab: Lab) -> None:
    del app  # self-heal is on
    for name in NAMES:
        await lab.edit(name, priority=7)
    await until_both(lab, lambda item: item["spec"]["priority"] == 5)


async def heal_a_deletion(app: Application, lab: Lab) -> None:
    del app
    before = await uids(lab)
    for name in NAMES:
        await lab.delete(name)
    await until_recreated(lab, before)


async def refresh_hard(app: Application, lab: Lab) -> None:
    del lab
    await app.refresh("hard")


async def replace(app: Application, lab: Lab) -> None:
    before = await uids(lab)
    await app.push(*manifests(priority=6, options="Replace=true"))
    await until_both(lab, lambda item: item["spec"]["priority"] == 6)
    assert await uids(lab) == before


async def replace_by_force(app: Application, lab: Lab) -> None:
    before = await uids(lab)
    await app.push(*manifests(priority=6, options="Force=true,Replace=true"))
    await until_recreated(lab, before)


async def prune_and_recreate(app: Application, lab: Lab) -> None:
    await app.push(config_map("bystander"))
    await lab.until_all(lambda items: not items)
    await app.push(*manifests())


@pytest.mark.parametrize(
    "disturb",
    [heal_an_edit, heal_a_deletion, refresh_hard, replace, replace_by_force, prune_and_recreate],
)
async def test_argo_cd_starts_nothing_twice(
    argocd: ArgoCD,
    lab: Lab,
    repository: Repository,
    disturb: Callable[[Application, Lab], Awaitable[None]],
) -> None:
    lab.model(DONE)
    lab.model(RUNNING, duration=10_000)
    repository.commit(*manifests())
    async with application(argocd, lab, repository) as app:
        await under_way(lab)
        await disturb(app, lab)
        await under_way(lab)
        await lab.admin("PATCH", f"/models/{RUNNING}", {"finish": True})
        await lab.until_phase("running", "Succeeded")
        await app.until_healthy("Healthy")
    assert (lab.starts(DONE), lab.starts(RUNNING), len(lab.posts())) == (1, 1, 2)


async def test_cluster_rebuilt_from_its_repository_starts_nothing(
    argocd: ArgoCD, assets: Path, lab: Lab, repository: Repository, tmp_path: Path
) -> None:
    lab.model(DONE)
    lab.model(RUNNING, duration=10_000)
    repository.commit(*manifests())
    async with application(argocd, lab, repository):
        await under_way(lab)
    await lab.close()  # the first cluster is lost with its operator and ledger
    with ControlPlane(assets, tmp_path / "rebuilt") as rebuilt:
        install_crd(rebuilt)
        document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": lab.namespace}}
        rebuilt.api.post("/api/v1/namespaces", json=document).raise_for_status()
        argocd.add_cluster("rebuilt", rebuilt)
        directory = tmp_path / "again"
        directory.mkdir()
        async with (
            laboratory(rebuilt, lab.namespace, directory) as again,
            application(
                argocd, again, repository, home=lab.client, cluster="rebuilt", suffix="-again"
            ) as app,
        ):
            await again.secret()
            await again.operator(base_url=lab.simulator.url, leader_election="false")
            await under_way(again)
            assert (await again.get("running"))["status"]["run"]["ownership"] == "Adopted"
            await lab.admin("PATCH", f"/models/{RUNNING}", {"finish": True})
            await app.until_healthy("Healthy")
    assert (lab.starts(DONE), lab.starts(RUNNING), len(lab.posts())) == (1, 1, 2)
