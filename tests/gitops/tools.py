"""Argo CD as it is released, and a program that asks kstatus, built from go.mod here."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.gotools import toolchain
from tests.gotools.build import ToolSet, cache_root
from tests.gotools.errors import ToolError

__all__ = ["ARGOCD", "KSTATUS", "TOOLS", "source"]

ARGOCD = "argocd"
KSTATUS = "kstatus"

TOOLS = ToolSet(
    name="gitops",
    title="Argo CD and kstatus",
    module=Path(__file__).resolve().parent,
    binaries=(ARGOCD, KSTATUS),
    command="make test-gitops",
    cost="about 7 minutes on 2 cores, 300 MB of downloads",
    needs="about 5 GB of disk and 2 GB of memory",
    renames={"cmd": ARGOCD},  # Argo CD's main package, which is all of its programs
)


def source(environment: Mapping[str, str]) -> Path:
    """Return the folder with Argo CD's released source: its CRDs and default settings are there.

    Raises:
        ToolError: Go cannot fetch it.
    """
    go = toolchain.find_go(TOOLS.go_mod, cache_root(environment), lambda _text: None)
    reply = subprocess.run(
        [go, "mod", "download", "-json", "github.com/argoproj/argo-cd/v3"],
        cwd=TOOLS.module,
        env=toolchain.go_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if reply.returncode != 0:
        raise ToolError(f"Go could not fetch Argo CD's source: {reply.stdout}{reply.stderr}")
    return Path(json.loads(reply.stdout)["Dir"])


if __name__ == "__main__":
    sys.exit(TOOLS.show())
