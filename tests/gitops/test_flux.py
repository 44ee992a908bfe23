"""Flux's status of each state, computed with kstatus, the library that Flux uses."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests.gitops.states import STATES, manifest
from tests.gitops.tools import KSTATUS

pytestmark = pytest.mark.gitops


def kstatus(tools: Path, resources: str) -> dict[str, str]:
    """Return the status of resources, given as YAML documents, by name."""
    reply = subprocess.run(
        [tools / KSTATUS], input=resources, capture_output=True, text=True, check=False
    )
    assert reply.returncode == 0, reply.stderr
    return dict(line.split("\t") for line in reply.stdout.splitlines())


def test_flux_status_of_each_state_is_as_designed(gitops_tools: Path) -> None:
    documents = yaml.safe_dump_all(manifest(name) for name in STATES)
    expected = {name: state.kstatus for name, state in STATES.items()}
    assert kstatus(gitops_tools, documents) == expected


def test_flux_waits_for_a_resource_before_its_first_reconcile(
    gitops_tools: Path, unseen: Path
) -> None:
    assert kstatus(gitops_tools, unseen.read_text()) == {"unseen": "InProgress"}
