"""A machine with a script in place of Go, for tests of everything around a build."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

import pytest

from tests.gotools.build import cache_root

FindOrBuild = Callable[[Mapping[str, str], TextIO], Path]

BUILDING_GO = """
case $1 in
env) echo go1.99.0 ;;
list) echo 'go: downloading example.com/a v1.0.0'; echo example.com/a; echo example.com/b ;;
build)
    echo built >>"$BUILDS"
    while [ $# -gt 0 ]; do [ "$1" = -o ] && out=$2; shift; done
    echo example.com/a
    echo example.com/b
    mkdir -p "$out"
    for name in server kube-apiserver kube-controller-manager kubectl; do
        printf '#!/bin/sh\\n' >"$out/$name"
        chmod +x "$out/$name"
    done ;;
esac
"""


def executable(path: Path, script: str = "") -> Path:
    """Make an executable shell script."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)
    return path


class Machine:
    """A machine with a folder first on PATH, a cache, and a place where builds are counted.

    Args:
        root: The parent folder.
        monkeypatch: Changes the environment.
        find_or_build: The function under test.
        name: The name of the set of tools.
    """

    def __init__(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, find_or_build: FindOrBuild, name: str
    ) -> None:
        self.bin = root / "bin"
        self.bin.mkdir()
        self.builds = root / "builds"
        self.environment = {"XDG_CACHE_HOME": str(root / "cache")}
        self.cache = cache_root(self.environment) / name
        self._find_or_build = find_or_build
        monkeypatch.setenv("PATH", f"{self.bin}:/usr/bin:/bin")
        monkeypatch.setenv("BUILDS", str(self.builds))

    def install_go(self, script: str = BUILDING_GO) -> None:
        """Put a Go on PATH."""
        executable(self.bin / "go", script)

    def find_or_build(self) -> tuple[Path, str]:
        """Return the directory and the printed progress."""
        output = io.StringIO()
        return self._find_or_build(self.environment, output), output.getvalue()

    def build_count(self) -> int:
        """Return how often Go was asked to build."""
        return len(self.builds.read_text().splitlines()) if self.builds.exists() else 0

    def leftovers(self) -> list[str]:
        """Return unfinished builds in the cache."""
        return [path.name for path in self.cache.glob("*partial*")]
