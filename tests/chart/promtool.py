"""Finds promtool, which tests alert rules: on PATH, or unpacked from Debian's package.

Building promtool from its Go module would compile the clients of all clouds that Prometheus
discovers targets in (docs/decisions/0059). The package is unpacked into the cache, not installed:
that needs no root, and no Prometheus starts.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from tests.gotools.build import cache_root
from tests.gotools.errors import ToolError

__all__ = ["PROMTOOL", "find_or_unpack"]

PROMTOOL = "promtool"
PACKAGE = "prometheus"


def find_or_unpack(environment: Mapping[str, str], stream: TextIO) -> Path:
    """Return the program; report a download on `stream`.

    Raises:
        ToolError: with the action that helps.
    """
    found = shutil.which(PROMTOOL, path=environment.get("PATH"))
    if found is not None:
        return Path(found)
    program = cache_root(environment) / PROMTOOL / PROMTOOL
    if program.is_file():
        return program
    if any(shutil.which(tool) is None for tool in ("apt-get", "dpkg-deb")):
        raise ToolError(
            f"{PROMTOOL} is not on PATH; install it (it is part of every release of Prometheus)"
        )
    stream.write(f"Unpacking {PROMTOOL} from the distribution's package {PACKAGE}\n")
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent, prefix="partial-") as partial:
        _download(Path(partial))
        [package] = Path(partial).glob("*.deb")
        _run("dpkg-deb", "--extract", str(package), f"{partial}/files")
        # At once, so that another process finds the whole program or none.
        (Path(partial) / "files" / "usr" / "bin" / PROMTOOL).rename(program)
    return program


def _download(directory: Path) -> None:
    command = ("apt-get", "download", PACKAGE)
    try:
        _run(*command, cwd=directory)
    except ToolError:
        if os.geteuid() != 0:
            raise
        _run("apt-get", "update")  # a fresh machine has no package lists
        _run(*command, cwd=directory)


def _run(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ToolError(
            f"{' '.join(command)} failed: {done.stderr.strip()[-1000:]}\n"
            f"install {PROMTOOL} (Debian, Ubuntu: apt install {PACKAGE}) and try again"
        )


def main() -> int:
    """Find or unpack promtool, and print where it is."""
    try:
        sys.stdout.write(f"{find_or_unpack(os.environ, sys.stderr)}\n")
    except ToolError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
