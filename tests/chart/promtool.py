"""Finds promtool and Prometheus: on PATH, or unpacked from Debian's package.

promtool tests alert rules, and Prometheus evaluates the dashboard. Building them from their Go
module would compile the clients of all clouds that Prometheus discovers targets in
(docs/decisions/0059). The package is unpacked into the cache, not installed: that needs no root,
and starts no Prometheus.
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

__all__ = ["PROMETHEUS", "PROMTOOL", "find_or_unpack", "find_or_unpack_prometheus"]

PROMTOOL = "promtool"
PROMETHEUS = "prometheus"
PACKAGE = "prometheus"


def find_or_unpack(environment: Mapping[str, str], stream: TextIO) -> Path:
    """Return promtool; report a download on `stream`.

    Raises:
        ToolError: with the action that helps.
    """
    return _find_or_unpack(PROMTOOL, environment, stream)


def find_or_unpack_prometheus(environment: Mapping[str, str], stream: TextIO) -> Path:
    """Return Prometheus, as `find_or_unpack`."""
    return _find_or_unpack(PROMETHEUS, environment, stream)


def _find_or_unpack(name: str, environment: Mapping[str, str], stream: TextIO) -> Path:
    found = shutil.which(name, path=environment.get("PATH"))
    if found is not None:
        return Path(found)
    program = cache_root(environment) / name / name
    if program.is_file():
        return program
    if any(shutil.which(tool) is None for tool in ("apt-get", "dpkg-deb")):
        raise ToolError(
            f"{name} is not on PATH; install it (it is part of every release of Prometheus)"
        )
    stream.write(f"Unpacking {name} from the distribution's package {PACKAGE}\n")
    program.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=program.parent, prefix="partial-") as partial:
        _download(Path(partial))
        [package] = Path(partial).glob("*.deb")
        _run("dpkg-deb", "--extract", str(package), f"{partial}/files")
        # At once, so that another process finds the whole program or none.
        (Path(partial) / "files" / "usr" / "bin" / name).rename(program)
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
            f"install {PACKAGE} (Debian, Ubuntu: apt install {PACKAGE}) and try again"
        )


def main() -> int:
    """Find or unpack both programs, and print where they are."""
    try:
        for name in (PROMTOOL, PROMETHEUS):
            sys.stdout.write(f"{_find_or_unpack(name, os.environ, sys.stderr)}\n")
    except ToolError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
