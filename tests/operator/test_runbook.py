"""The commands of docs/runbook work: kubectl runs each against a real API server."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import yaml

from scriptix_operator.api.names import QUOTA
from tests.chart.runbook import PAGES, blocks
from tests.controlplane.cluster import ControlPlane
from tests.operator.installation import REPOSITORY
from tests.operator.lab import API_KEY, TIMEOUT, Lab

EXAMPLES = ("scriptix-system", "team-a")
"""Namespaces in the commands; here both are the namespace of the test."""
DEPLOYMENT = REPOSITORY / "deploy" / "base" / "deployment.yaml"


def commands(namespace: str) -> Iterator[tuple[str, str]]:
    """Each command that needs no pod, with its page."""
    for page in PAGES:
        for block in blocks(page):
            for line in block.lines if block.kind == "sh" else ():
                for example in EXAMPLES:
                    line = line.replace(example, namespace)  # noqa: PLW2901 - one name after the other
                yield page, line


async def test_each_kubectl_command_of_the_runbook_works(lab: Lab, tmp_path: Path) -> None:
    await lab.secret()
    lab.model(831, duration=1)
    await lab.operator()
    await lab.train("cardiology-en", 831)
    await lab.until_phase("cardiology-en", "Succeeded")
    make_deployment(lab)
    (tmp_path / "api-key.txt").write_text(API_KEY)
    async with asyncio.timeout(TIMEOUT):
        while await lab.config_map(QUOTA) is None:  # noqa: ASYNC110 - the lab watches no ConfigMaps
            await asyncio.sleep(0.1)
    failed = []
    for page, command in dict.fromkeys(commands(lab.namespace)):
        status, printed = await run(lab.control_plane, command, tmp_path)
        if status != 0:
            failed.append(f"{page}: {command}: {printed}")
    assert failed == []


def make_deployment(lab: Lab) -> None:
    """Put the operator's Deployment into the namespace; nothing makes pods of it."""
    document = yaml.safe_load(DEPLOYMENT.read_text())
    document["metadata"]["namespace"] = lab.namespace
    path = f"/apis/apps/v1/namespaces/{lab.namespace}/deployments"
    made = lab.control_plane.api.post(path, json=document)
    assert made.is_success, made.text


async def run(control_plane: ControlPlane, command: str, directory: Path) -> tuple[int, str]:
    """Run a command as a shell does; returns its exit status and output."""
    process = await asyncio.create_subprocess_exec(
        "bash",
        *("-o", "pipefail", "-c", command),
        cwd=directory,
        env={
            "PATH": f"{control_plane.assets}:{os.environ['PATH']}",
            "KUBECONFIG": str(control_plane.kubeconfig),
            "HOME": str(directory),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()
