"""Runs exactly the commands that the demo prints, so that all of them can be copied."""

import os
import subprocess
from pathlib import Path

from demo.errors import DemoError
from demo.services import without_settings
from tests.gotools.toolchain import REPOSITORY


class Shell:
    """Bash at the root of the repository, with kubectl and the demo's cluster.

    Args:
        assets: where kubectl is.
        directory: where the kubeconfig is, and kubectl's cache will be.
    """

    def __init__(self, assets: Path, directory: Path) -> None:
        self._environment = without_settings(os.environ) | {
            "KUBECACHEDIR": str(directory / "kubectl-cache"),
            "KUBECONFIG": str(directory / "kubeconfig"),
            "PATH": f"{assets}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        }

    def read(self, command: str) -> str:
        """Run a command and return what it prints.

        Raises:
            DemoError: with the command and its own message.
        """
        reply = subprocess.run(  # noqa: S603  # `story` spells the commands out
            ["/usr/bin/env", "bash", "-o", "pipefail", "-c", command],
            cwd=REPOSITORY,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if reply.returncode != 0:
            raise DemoError(f"$ {command}\n{reply.stdout}{reply.stderr}".rstrip())
        return reply.stdout

    def show(self, command: str) -> None:
        """Print a command, run it, and print what it prints."""
        print(f"\n$ {command}", flush=True)
        print(self.read(command).rstrip("\n"), flush=True)
