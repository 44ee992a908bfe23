"""Argo CD as it is released, its tests of Lua files, and programs that use Flux's libraries.

All are built from go.mod here.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.gotools import toolchain
from tests.gotools.build import PackageTests, ToolSet, cache_root
from tests.gotools.errors import ToolError

__all__ = ["ARGOCD", "FLUX_APPLY", "KSTATUS", "LUA_TESTS", "LUA_TOOLS", "TOOLS", "source"]

ARGOCD = "argocd"
FLUX_APPLY = "fluxapply"
KSTATUS = "kstatus"
LUA_TESTS = "lua-tests"

ARGO_CD_MODULE = "github.com/argoproj/argo-cd/v3"

TOOLS = ToolSet(
    name="gitops",
    title="Argo CD and Flux's libraries",
    module=Path(__file__).resolve().parent,
    binaries=(ARGOCD, FLUX_APPLY, KSTATUS),
    command="make test-gitops",
    cost="about 7 minutes on 2 cores, 300 MB of downloads",
    needs="about 5 GB of disk and 2 GB of memory",
    renames={"cmd": ARGOCD},  # Argo CD's main package, which is all of its programs
)

# Argo CD's tests walk a folder on disk and run the scripts that were compiled into them. With both
# from the folder, one program works for any state of the folder; only this differs from Argo CD.
SCRIPTS_FROM_DISK = """\
package resource_customizations

import (
	"io/fs"
	"os"
)

// Embedded is the folder that the tests of util/lua walk.
var Embedded = os.DirFS("../../resource_customizations").(fs.ReadFileFS)
"""

# A separate set, so that a change here does not cause a new build of Argo CD.
LUA_TOOLS = ToolSet(
    name="gitops-lua",
    title="Argo CD's tests of Lua files",
    module=TOOLS.module,
    binaries=(LUA_TESTS,),
    command=TOOLS.command,
    cost="some seconds once Argo CD has been compiled, else minutes",
    needs=TOOLS.needs,
    renames={"lua.test": LUA_TESTS},
    tests=PackageTests(
        module=ARGO_CD_MODULE,
        package="util/lua",
        replaced={"resource_customizations/embed.go": SCRIPTS_FROM_DISK},
    ),
)


def source(environment: Mapping[str, str]) -> Path:
    """Return the folder with Argo CD's released source: its CRDs and default settings are there.

    Raises:
        ToolError: Go cannot fetch it.
    """
    go = toolchain.find_go(TOOLS.go_mod, cache_root(environment), lambda _text: None)
    reply = subprocess.run(
        [go, "mod", "download", "-json", ARGO_CD_MODULE],
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
    sys.exit(TOOLS.show() or LUA_TOOLS.show())
