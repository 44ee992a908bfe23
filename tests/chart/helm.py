"""Runs Helm as a user would, without the user's own configuration."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.gotools.toolchain import REPOSITORY

__all__ = ["CHART", "NAMESPACE", "RELEASE", "Document", "Helm", "HelmError", "documents"]

Document = dict[str, Any]

CHART = REPOSITORY / "charts" / "scriptix-operator"
RELEASE = "scriptix-operator"
NAMESPACE = "scriptix-system"
OLDEST_KUBERNETES = "v1.32.0"
"""The version that Chart.yaml requires. Helm without a cluster assumes its build's."""


class HelmError(Exception):
    """Helm failed; the text is Helm's output."""


@dataclass(frozen=True)
class Helm:
    """A Helm with a separate home folder.

    Attributes:
        binary: The program.
        home: Helm's cache, configuration and data.
        kubeconfig: The cluster; without one only commands that need none work.
    """

    binary: Path
    home: Path
    kubeconfig: Path | None = None

    def __call__(self, *arguments: str | Path) -> str:
        """Run a command and return its output.

        Raises:
            HelmError: with the output of the failed command.
        """
        kinds = ("CACHE", "CONFIG", "DATA")
        environment = {f"HELM_{kind}_HOME": str(self.home / kind.lower()) for kind in kinds}
        environment["HOME"] = str(self.home)  # the discovery cache
        if self.kubeconfig is not None:
            environment["KUBECONFIG"] = str(self.kubeconfig)
        reply = subprocess.run(
            [self.binary, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        if reply.returncode != 0:
            raise HelmError(reply.stderr.strip())
        return reply.stdout

    def template(self, *values: Path, sets: Sequence[str] = ()) -> str:
        """Render the chart with files of values and `--set` assignments; without its CRD."""
        return self(
            "template",
            RELEASE,
            CHART,
            f"--namespace={NAMESPACE}",
            f"--kube-version={OLDEST_KUBERNETES}",
            "--set=crds.install=false",
            *(f"--values={file}" for file in values),
            *(f"--set={assignment}" for assignment in sets),
        )

    def render(self, values: Mapping[str, Any], file: Path) -> str:
        """Render the chart with values, through a file."""
        file.write_text(yaml.safe_dump(dict(values)))
        return self.template(file)


def documents(text: str) -> list[Document]:
    """Read a stream of manifests."""
    return [document for document in yaml.safe_load_all(text) if document]
