"""Flux and fields that users set with kubectl, tested with the library that Flux applies with."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from tests.controlplane.cluster import ControlPlane
from tests.gitops.repository import training
from tests.gitops.tools import FLUX_APPLY
from tests.operator.installation import install_crd
from tests.operator.lab import Lab, Manifest, laboratory, phase_of

pytestmark = pytest.mark.gitops

REQUESTED_AT = "scriptix.io/requested-at"
MERGE = {"kustomize.toolkit.fluxcd.io/ssa": "Merge"}
OWN = "--field-manager=on-call"
ASK = ("annotate", f"{REQUESTED_AT}=t1")
SUSPEND = ("patch", "--type=merge", '--patch={"spec":{"suspend":true}}')
TOKEN = ("patch", "--type=merge", '--patch={"spec":{"runToken":"v2"}}')


class Flux:
    """Flux's apply library, on a namespace of a cluster.

    Args:
        tools: The directory with the program.
        control_plane: The cluster.
        namespace: Where it applies.
    """

    def __init__(self, tools: Path, control_plane: ControlPlane, namespace: str) -> None:
        self._program = tools / FLUX_APPLY
        self._control_plane = control_plane
        self._namespace = namespace

    def apply(self, *manifests: Manifest) -> dict[str, str]:
        """Apply the manifests in Git; return the actions, by name."""
        for manifest in manifests:
            manifest["metadata"]["namespace"] = self._namespace
        reply = subprocess.run(
            [self._program],
            input=yaml.safe_dump_all(manifests),
            env={**os.environ, "KUBECONFIG": str(self._control_plane.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert reply.returncode == 0, reply.stderr
        lines = [line.split("\t") for line in reply.stdout.splitlines()]
        return {name: action for action, name in lines}

    def kubectl(self, name: str, verb: str, *arguments: str) -> None:
        """Change a training as a user does."""
        self._control_plane.kubectl("-n", self._namespace, verb, "cmt", name, *arguments)


@pytest.fixture
def flux(gitops_tools: Path, control_plane: ControlPlane, namespace: str) -> Flux:
    """Return Flux's apply library, for the test's namespace."""
    install_crd(control_plane)
    return Flux(gitops_tools, control_plane, namespace)


@pytest.fixture
async def lab(
    flux: Flux, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> AsyncIterator[Lab]:
    """Make a lab in a cluster that Flux fills, with an API key and an operator."""
    del flux  # it has installed the CRD
    async with laboratory(control_plane, namespace, tmp_path) as made:
        await made.secret()
        await made.operator()
        yield made


KEPT = {
    "annotation": (ASK, (), False),
    "suspend": (SUSPEND, (), False),
    "token": (TOKEN, (), False),
    # Flux compares the beginning of the name.
    "kubectl-name": (ASK, ("--field-manager=kubectl-on-call",), False),
    "own-annotation": (ASK, (OWN,), True),
    "own-suspend": (SUSPEND, (OWN,), True),
    "own-token": (TOKEN, (OWN,), True),
    # A field that Git declares gets Git's value again.
    "declared-token": (TOKEN, (OWN,), False),
    "merged-annotation": (ASK, (), True),
    "merged-suspend": (SUSPEND, (), True),
}
"""By training: the change with kubectl, its options, and whether it stays."""


def from_git(name: str) -> Manifest:
    """Return the manifest of a training as Git has it."""
    manifest = training(name, 1)
    if name == "declared-token":
        manifest["spec"]["runToken"] = "v1"
    manifest["metadata"]["annotations"] = MERGE if name.startswith("merged") else {}
    return manifest


def is_changed(item: Manifest, verb: str) -> bool:
    """Whether a training still has kubectl's change."""
    if verb == "annotate":
        return REQUESTED_AT in item["metadata"].get("annotations", {})
    spec = item["spec"]
    return bool(spec.get("suspend")) or spec.get("runToken") == "v2"


def test_flux_keeps_fields_of_another_field_manager(
    flux: Flux, control_plane: ControlPlane, namespace: str
) -> None:
    trainings = [from_git(name) for name in KEPT]
    assert set(flux.apply(*trainings).values()) == {"created"}
    for name, (change, options, _) in KEPT.items():
        flux.kubectl(name, *change, *options)
    flux.apply(*trainings)
    shown = control_plane.kubectl("-n", namespace, "get", "cmt", "-o", "yaml")
    items = {item["metadata"]["name"]: item for item in yaml.safe_load(shown)["items"]}
    kept = {name: is_changed(items[name], change[0]) for name, (change, _, _) in KEPT.items()}
    assert kept == {name: stays for name, (_, _, stays) in KEPT.items()}
    # The remaining change is no difference for Flux.
    assert set(flux.apply(*trainings).values()) == {"unchanged"}


async def test_request_removed_by_flux_is_cancelled_with_an_event(flux: Flux, lab: Lab) -> None:
    lab.model(1)
    git = training("asked", 1)
    await asyncio.to_thread(flux.apply, git)
    first = await lab.until_phase("asked", "Succeeded")
    # The model has no new data yet, so the request waits.
    await lab.admin("PATCH", "/models/1", {"status": 1})
    await asyncio.to_thread(flux.kubectl, "asked", *ASK)
    await lab.until_reason("asked", "WaitingForModel")
    await asyncio.to_thread(flux.apply, git)
    event = await lab.until_event("asked", "RequestCancelled")
    assert f'annotation {REQUESTED_AT} "t1"' in event["message"]
    again = await lab.get("asked")
    assert phase_of(again) == "Succeeded"
    assert again["status"]["run"]["id"] == first["status"]["run"]["id"]
    # With another field manager the same request stays, and starts a run.
    await asyncio.to_thread(flux.kubectl, "asked", *ASK, OWN)
    await lab.until_reason("asked", "WaitingForModel")
    await asyncio.to_thread(flux.apply, git)
    await lab.admin("PATCH", "/models/1", {"status": 2})
    await lab.until(
        "asked",
        lambda item: (
            phase_of(item) == "Succeeded" and item["status"]["run"].get("requestedAt") == "t1"
        ),
    )
    assert lab.starts() == len(lab.posts()) == 2
