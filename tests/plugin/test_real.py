"""The plugin against a real API server, an operator and the simulator."""

import asyncio
import io
import os
import sys
import tarfile
import time
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from kubectl_scriptix.app import run
from kubectl_scriptix.options import Dependencies
from scriptix_operator.api.names import QUOTA
from tests.operator.gate import Gate
from tests.operator.installation import REPOSITORY
from tests.operator.lab import API_KEY, TIMEOUT, Lab

PACE = 0.2
"""Seconds between two reads, in place of two seconds."""
READER = "reader"
"""A ServiceAccount with the role `view`."""


class Plugin:
    """The command line, as a user with a kubeconfig runs it."""

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._shared = ("--kubeconfig", str(kubeconfig), "-n", namespace)
        self._out = io.StringIO()

    @property
    def printed(self) -> str:
        """The output of the latest command."""
        return self._out.getvalue()

    async def __call__(self, *arguments: str) -> int:
        """Run a command; returns its exit status."""
        self._out = io.StringIO()
        console = Console(file=self._out, width=200, highlight=False)
        dependencies = Dependencies(sleep=_sleep, open_console=lambda _: console)
        return await asyncio.to_thread(run, [*arguments, *self._shared], dependencies)


def _sleep(seconds: float) -> None:
    time.sleep(min(seconds, PACE))


async def until(holds: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(TIMEOUT):
        while True:
            found = holds()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.05)


async def test_runs_are_followed_repeated_and_explained(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plugin = Plugin(lab.control_plane.kubeconfig, lab.namespace)
    lab.model(841, duration=2)
    lab.model(842, duration=2000)
    await lab.secret()
    await lab.operator()
    await lab.train("short", 841)
    assert await plugin("watch", "short", "--timeout", "60") == 0
    assert "Succeeded" in plugin.printed

    await lab.admin("PATCH", "/models/841", {"status": 2})
    assert await plugin("retrain", "short", "--wait", "--timeout", "60") == 0
    assert "Running" in plugin.printed
    await lab.edit("short", qualityGate={"maxWordErrorRate": "1"})
    await lab.admin("PATCH", "/models/841", {"status": 2})
    assert await plugin("retrain", "short", "--wait", "--timeout", "60") == 3
    assert "The run misses its quality gate" in plugin.printed

    await lab.train("long", 842)
    await lab.until_phase("long", "Running")
    assert await plugin("retrain", "long", "--wait", "--timeout", "0.5") == 124
    await lab.train("keyless", 843, apiKeySecretRef={"name": "none"})
    assert await plugin("watch", "keyless", "--timeout", "60") == 4
    assert await plugin("why", "keyless") == 0
    assert "The owner of this training must act." in plugin.printed
    assert await plugin("logs", "short") == 0
    assert "INFO" in plugin.printed
    assert await plugin("top", "--once") == 0
    assert all(name in plugin.printed for name in ("short", "long", "keyless"))

    async def is_published() -> bool:
        return await lab.config_map(QUOTA) is not None

    await until(is_published)
    assert await plugin("quota") == 0
    assert "1000/1h" in plugin.printed
    assert await plugin("doctor") == 1
    assert 'Secret "none"' in plugin.printed
    bundle = tmp_path / "bundle.tar.gz"
    assert await plugin("support-bundle", "-o", str(bundle)) == 0
    with tarfile.open(bundle) as archive:
        files = [archive.extractfile(member) for member in archive.getmembers()]
        texts = [file.read().decode() for file in files if file is not None]
    assert len(texts) == 10
    assert not any(API_KEY in text for text in (*texts, capsys.readouterr().err))


async def test_role_view_reads_and_a_missing_right_is_named(
    lab: Lab, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.model(845, duration=1)
    await lab.secret()
    await lab.operator()
    await lab.train("short", 845)
    await lab.until_phase("short", "Succeeded")
    plugin = Plugin(reader_kubeconfig(lab, tmp_path), lab.namespace)

    async def may_read() -> bool:
        return await plugin("top", "--once") == 0

    await until(may_read)
    for command in (("why", "short"), ("describe", "short"), ("history", "short"), ("doctor",)):
        assert await plugin(*command) == 0, command
    capsys.readouterr()
    assert await plugin("suspend", "short") == 1
    assert 'cannot patch resource "custommodeltrainings"' in capsys.readouterr().err


async def test_kubectl_runs_and_completes_the_plugin(lab: Lab, tmp_path: Path) -> None:
    await lab.train("cardiology-en", 847)
    folder = tmp_path / "bin"
    folder.mkdir()
    for program, module in (("kubectl-scriptix", "app"), ("kubectl_complete-scriptix", "complete")):
        script = f"import sys; from kubectl_scriptix.{module} import main; main()"
        file = folder / program
        file.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{script}" "$@"\n')
        file.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{folder}:{os.environ['PATH']}",
        "KUBECONFIG": str(lab.control_plane.kubeconfig),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }

    async def kubectl(*arguments: str) -> str:
        made = await asyncio.create_subprocess_exec(
            lab.control_plane.assets / "kubectl", *arguments, env=environment, stdout=PIPE
        )
        printed, _ = await made.communicate()
        assert made.returncode == 0
        return printed.decode()

    assert "cardiology-en" in await kubectl("scriptix", "top", "-n", lab.namespace)
    completed = await kubectl("__complete", "scriptix", "watch", "-n", lab.namespace, "card")
    assert completed.startswith("cardiology-en\n:4")


async def test_watch_survives_an_outage_and_an_expired_token(lab: Lab, tmp_path: Path) -> None:
    lab.model(846, duration=2000)
    await lab.secret()
    await lab.operator()
    await lab.train("long", 846)
    await lab.until_phase("long", "Running")
    gate = Gate(lab.control_plane.api.base_url.port or 443)
    await gate.open()
    kubeconfig = gate.kubeconfig(lab.control_plane, tmp_path / "kubeconfig")
    plugin = Plugin(kubeconfig, lab.namespace)
    watching = asyncio.create_task(plugin("watch", "long"))
    await until(lambda: "Running" in plugin.printed)
    await gate.shut()
    await until(lambda: "does not answer" in plugin.printed)
    valid = kubeconfig.read_text()
    document = yaml.safe_load(valid)
    document["users"][0]["user"]["token"] = "expired"
    kubeconfig.write_text(yaml.safe_dump(document))
    other = Plugin(kubeconfig, lab.namespace)
    await gate.open()
    later = asyncio.create_task(other("watch", "long"))
    await until(lambda: "rejects the credentials" in other.printed)
    kubeconfig.write_text(valid)
    await lab.admin("PATCH", "/models/846", {"finish": True})
    assert await watching == 0
    assert await later == 0
    await gate.shut()


def reader_kubeconfig(lab: Lab, directory: Path) -> Path:
    """A kubeconfig of a ServiceAccount that is bound to the role `view` in the namespace."""
    kubectl, namespace = lab.control_plane.kubectl, lab.namespace
    kubectl("apply", "-f", str(REPOSITORY / "deploy" / "base" / "aggregated-roles.yaml"))
    kubectl("-n", namespace, "create", "serviceaccount", READER)
    account = f"--serviceaccount={namespace}:{READER}"
    kubectl("-n", namespace, "create", "rolebinding", READER, "--clusterrole=view", account)
    document = yaml.safe_load(lab.control_plane.kubeconfig.read_text())
    token = kubectl("-n", namespace, "create", "token", READER).strip()
    document["users"][0]["user"] = {"token": token}
    path = directory / "reader"
    path.write_text(yaml.safe_dump(document))
    return path
