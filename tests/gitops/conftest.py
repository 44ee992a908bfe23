"""Fixtures of the GitOps tests: one Argo CD for all tests, a lab and a repository for each."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml

from tests.controlplane.cluster import ControlPlane
from tests.gitops.argocd import ArgoCD
from tests.gitops.repository import Repository, training
from tests.gitops.tools import ARGOCD, source
from tests.operator.installation import install_crd
from tests.operator.lab import Lab, laboratory


@pytest.fixture(scope="session")
def argocd_program(gitops_tools: Path) -> Path:
    """Return the program with all components of Argo CD."""
    return gitops_tools / ARGOCD


@pytest.fixture(scope="package")
def argocd(
    gitops_tools: Path,
    helm: Path,
    control_plane: ControlPlane,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ArgoCD]:
    """Run Argo CD on a cluster that has the CRD."""
    install_crd(control_plane)
    directory = tmp_path_factory.mktemp("argocd")
    with ArgoCD(gitops_tools, helm, source(os.environ), control_plane, directory) as running:
        yield running


@pytest.fixture
async def lab(
    argocd: ArgoCD, control_plane: ControlPlane, namespace: str, tmp_path: Path
) -> AsyncIterator[Lab]:
    """Make a lab in a cluster that Argo CD fills, with an API key and an operator."""
    del argocd  # it has installed the CRD, and exists before and after the lab
    async with laboratory(control_plane, namespace, tmp_path) as made:
        await made.secret()
        await made.operator(leader_election="false")  # a lost Lease would end the operator
        yield made


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Create an empty repository."""
    return Repository(tmp_path / "repository")


@pytest.fixture
def unseen(control_plane: ControlPlane, namespace: str, tmp_path: Path) -> Path:
    """Return a file with a training as the API server stores it before the first reconcile."""
    install_crd(control_plane)
    path = tmp_path / "unseen.yaml"
    path.write_text(yaml.safe_dump(training("unseen", 1)))
    control_plane.kubectl("-n", namespace, "apply", "-f", str(path))
    path.write_text(control_plane.kubectl("-n", namespace, "get", "cmt", "unseen", "-o", "yaml"))
    return path
