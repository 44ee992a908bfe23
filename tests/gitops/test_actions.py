"""The actions, run by Argo CD's API server as from the user interface, with self-heal."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.gitops.argocd import ArgoCD
from tests.gitops.repository import Repository, application, health_of, training
from tests.operator.lab import Lab, phase_of

pytestmark = pytest.mark.gitops

REQUESTED_AT = "scriptix.io/requested-at"
PAGE = Path(__file__).parents[2] / "docs" / "gitops.md"
RETRAIN = "action/scriptix.io/CustomModelTraining/retrain"


async def test_suspend_and_resume_hold_where_git_omits_suspend(
    argocd: ArgoCD, lab: Lab, repository: Repository
) -> None:
    lab.model(1, duration=10_000)
    repository.commit(training("held", 1))
    async with application(argocd, lab, repository) as app:
        await lab.until_phase("held", "Running")
        await app.act("suspend", "held", lab)
        await lab.until_phase("held", "Suspended")
        await app.until_healthy("Suspended")
        await app.refresh("hard")
        await app.until_healthy("Suspended")
        await app.act("resume", "held", lab)
        await lab.until_phase("held", "Running")
        await app.until_healthy("Progressing")
    assert lab.starts() == len(lab.posts()) == 1


async def test_self_heal_reverts_an_action_where_git_declares_suspend(
    argocd: ArgoCD, lab: Lab, repository: Repository
) -> None:
    lab.model(1, duration=10_000)
    repository.commit(training("declared", 1, suspend=False))
    async with application(argocd, lab, repository) as app:
        running = await lab.until_phase("declared", "Running")
        await app.act("suspend", "declared", lab)
        # The action and its reversal are an edit each.
        edits = running["metadata"]["generation"] + 2
        healed = await lab.until("declared", lambda item: item["metadata"]["generation"] == edits)
        assert healed["spec"]["suspend"] is False
        await lab.until_phase("declared", "Running")
    assert lab.starts() == len(lab.posts()) == 1


async def test_self_heal_cancels_a_token_only_before_its_start(
    argocd: ArgoCD, lab: Lab, repository: Repository
) -> None:
    lab.model(1)
    repository.commit(training("scripted", 1, runToken="v1"))
    async with application(argocd, lab, repository, heal=False) as app:
        first = await lab.until_phase("scripted", "Succeeded")
        # The model has no new data yet, so the request waits.
        await lab.admin("PATCH", "/models/1", {"status": 1})
        await lab.edit("scripted", runToken="v2")
        await lab.until_reason("scripted", "WaitingForModel")
        await app.heal(on=True)
        cancelled = await lab.until_event("scripted", "RequestCancelled")
        assert 'spec.runToken "v2"' in cancelled["message"]
        healed = await lab.get("scripted")
        assert healed["spec"]["runToken"] == "v1"
        assert healed["status"]["run"]["id"] == first["status"]["run"]["id"]
        assert lab.starts() == 1

        # A started request is not cancelled: the value in Git is then a repeated token.
        await app.heal(on=False)
        await lab.admin("PATCH", "/models/1", {"status": 2, "script": {"duration": 10_000}})
        await lab.edit("scripted", runToken="v3")
        await lab.until_phase("scripted", "Running")
        await app.heal(on=True)
        repeated = await lab.until_event("scripted", "RequestAlreadyUsed")
        assert 'spec.runToken "v1"' in repeated["message"]
        running = await lab.get("scripted")
        assert running["spec"]["runToken"] == "v1"
        assert (phase_of(running), running["status"]["run"]["token"]) == ("Running", "v3")
    assert lab.starts() == len(lab.posts()) == 2


async def test_retrain_starts_one_run_and_is_no_difference(
    argocd: ArgoCD, lab: Lab, repository: Repository
) -> None:
    lab.model(1)
    repository.commit(training("again", 1))
    async with application(argocd, lab, repository) as app:
        first = await lab.until_phase("again", "Succeeded")
        await lab.admin("PATCH", "/models/1", {"status": 2})  # new data has arrived
        await app.act("retrain", "again", lab)
        second = await lab.until(
            "again",
            lambda item: (
                phase_of(item) == "Succeeded"
                and item["status"]["run"]["id"] != first["status"]["run"]["id"]
            ),
        )
        asked = second["metadata"]["annotations"][REQUESTED_AT]
        assert second["status"]["run"]["requestedAt"] == asked
        await app.refresh("hard")
        await app.until_healthy("Healthy")
        assert (await lab.get("again"))["metadata"]["annotations"][REQUESTED_AT] == asked
        assert lab.starts() == 2

        # A replacement removes the annotation, which starts nothing.
        replaced = training("again", 1, priority=6)
        replaced["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] = "Replace=true"
        await app.push(replaced)
        await lab.until(
            "again",
            lambda item: (
                item["spec"].get("priority") == 6
                and item["status"]["observedGeneration"] == item["metadata"]["generation"]
            ),
        )
        assert REQUESTED_AT not in (await lab.get("again"))["metadata"]["annotations"]
        assert health_of(await app.until_healthy("Healthy")) == "Healthy"
    assert lab.starts() == len(lab.posts()) == 2


def test_the_policy_on_the_page_allows_one_action_in_one_project(
    argocd_program: Path, control_plane: ControlPlane, tmp_path: Path
) -> None:
    [line] = [each.strip() for each in PAGE.read_text().splitlines() if "p, role:" in each]
    policy = tmp_path / "policy.csv"
    policy.write_text(f"{line}\n")

    def answer(action: str, application: str) -> str:
        asked = ["role:trainer", action, "applications", application, f"--policy-file={policy}"]
        return subprocess.run(
            [str(argocd_program), "admin", "settings", "rbac", "can", *asked],
            env={**os.environ, "HOME": str(tmp_path), "KUBECONFIG": str(control_plane.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()

    assert answer(RETRAIN, "speech/models") == "Yes"
    assert answer(RETRAIN, "others/models") == "No"
    assert answer(RETRAIN.replace("retrain", "suspend"), "speech/models") == "No"
    assert answer("sync", "speech/models") == "No"
