"""Finds the control plane's binaries, or builds them once per user and per set of pins.

Published archives of these binaries need a download site that not everybody can reach, and have no
kube-controller-manager. Go's module proxy has all of it, hash-pinned by go.sum, so we build.
"""

import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from tests.controlplane import toolchain
from tests.controlplane.errors import ControlPlaneError
from tests.controlplane.progress import Progress
from tests.controlplane.tether import tethered

MODULE = Path(__file__).resolve().parent

REQUIRED = ("etcd", "kube-apiserver", "kubectl")
CONTROLLER_MANAGER = "kube-controller-manager"
BUILT = (*REQUIRED, CONTROLLER_MANAGER)

# The pattern for the mains that go.mod names in its tool block, so that they stand there only.
TOOLS = "tool"
TAIL_LINES = 15


def find_or_build(environment: Mapping[str, str], stream: TextIO) -> Path:
    """Return the directory with the binaries; tell progress on `stream`.

    Raises:
        ControlPlaneError: with what to do about it.
    """

    def say(text: str) -> None:
        stream.write(f"{text}\n")
        stream.flush()

    given = environment.get("KUBEBUILDER_ASSETS")
    if given:
        return _given_assets(Path(given), say)
    cache = cache_root(environment)
    recipe = Recipe.read(MODULE)
    directory = cache / "controlplane" / recipe.fingerprint
    if not missing(directory, BUILT):
        return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive(directory.with_suffix(".lock"), say):
        if missing(directory, BUILT):  # nobody built it while we waited
            _build(recipe, cache, directory, stream, say)
    return directory


def cache_root(environment: Mapping[str, str]) -> Path:
    """Return this project's folder in the user's cache."""
    configured = Path(environment.get("XDG_CACHE_HOME", ""))
    # The XDG specification has relative paths ignored.
    root = configured if configured.is_absolute() else Path.home() / ".cache"
    return root / "scriptix-operator"


def missing(directory: Path, names: tuple[str, ...]) -> list[str]:
    """Return those of the names that are no executable file in the directory."""
    return [name for name in names if shutil.which(name, path=directory) is None]


class Recipe:
    """What is built, as go.mod and go.sum pin it.

    Args:
        go_mod: text of go.mod.
        go_sum: text of go.sum.
    """

    def __init__(self, go_mod: str, go_sum: str) -> None:
        self.go_version = toolchain.required_version(go_mod)
        self.ldflags = _ldflags(go_mod)
        uname = os.uname()
        parts = (go_mod, go_sum, self.ldflags, uname.sysname, uname.machine)
        self.fingerprint = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    @classmethod
    def read(cls, module: Path) -> "Recipe":
        """Read the pins of the Go module in a directory."""
        return cls((module / "go.mod").read_text(), (module / "go.sum").read_text())

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags that decide about the result; `go list` needs them to tell what is stale."""
        return ("-mod=readonly", "-trimpath", "-buildvcs=false", f"-ldflags={self.ldflags}")


def _ldflags(go_mod: str) -> str:
    """Return the linker flags: stripped, and with the version, which kubectl insists on."""
    found = re.search(r"^\s*k8s\.io/kubernetes (v(\d+)\.(\d+)\.\S+)", go_mod, re.MULTILINE)
    if found is None:
        raise ControlPlaneError(
            "tests/controlplane/go.mod requires no k8s.io/kubernetes; restore it from Git"
        )
    package = "k8s.io/component-base/version"
    values = {"gitVersion": found[1], "gitMajor": found[2], "gitMinor": found[3]}
    return " ".join(["-s -w", *(f"-X {package}.{name}={v}" for name, v in values.items())])


def _given_assets(directory: Path, say: Callable[[str], None]) -> Path:
    lacking = missing(directory, REQUIRED)
    if lacking:
        raise ControlPlaneError(
            f"KUBEBUILDER_ASSETS is {directory}, which has no {', '.join(lacking)};"
            " correct it, or unset it to have the control plane built"
        )
    if missing(directory, (CONTROLLER_MANAGER,)):
        say(
            f"KUBEBUILDER_ASSETS has no {CONTROLLER_MANAGER}: nothing will collect garbage by"
            " ownerReference, end a namespace or make ServiceAccounts, and tests of that will fail"
        )
    return directory


@contextmanager
def _exclusive(lock: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file; the kernel releases it with the process, so no lock is ever stale."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another process is building the test control plane; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(
    recipe: Recipe, cache: Path, directory: Path, stream: TextIO, say: Callable[[str], None]
) -> None:
    go = toolchain.find_go(recipe.go_version, cache, say)
    for left in directory.parent.glob(f"{directory.name}.partial-*"):
        shutil.rmtree(left)  # of a build that was killed; we hold the lock, so nobody uses it
    say("Building the test control plane, once: about 8 minutes on 2 cores, 300 MB of downloads")
    with tempfile.TemporaryDirectory(
        dir=directory.parent, prefix=f"{directory.name}.partial-"
    ) as partial:
        output = Path(partial) / "bin"
        stale = _count_stale(go, recipe, say)
        _compile(go, recipe, output, Progress("Compiling", stale, stream))
        (output / "server").rename(output / "etcd")  # etcd's main package is called server
        lacking = missing(output, BUILT)
        if lacking:
            raise ControlPlaneError(
                f"the build made no {', '.join(lacking)};"
                " restore the tool lines of tests/controlplane/go.mod from Git"
            )
        if directory.exists():  # incomplete, or we would not be here
            shutil.rmtree(directory)
        output.rename(directory)


def _count_stale(go: Path, recipe: Recipe, say: Callable[[str], None]) -> int:
    """Download what is missing and return how many packages are not in Go's build cache."""
    template = "{{if .Stale}}{{.ImportPath}}{{end}}"
    stale = 0
    downloads = 0

    def count(line: str) -> None:
        nonlocal stale, downloads
        if not line.startswith("go: "):
            stale += 1
        elif line.startswith("go: downloading "):
            downloads += 1
            if downloads == 1:
                say("Downloading Go modules")

    _run_go([go, "list", *recipe.flags, "-deps", "-f", template, TOOLS], count)
    return max(stale, 1)


def _compile(go: Path, recipe: Recipe, output: Path, progress: Progress) -> None:
    def count(line: str) -> None:
        if not line.startswith(("go: ", "#", "\t")):
            progress.advance()

    try:
        _run_go([go, "build", *recipe.flags, "-v", "-o", f"{output}/", TOOLS], count)
    finally:
        progress.close()


def _run_go(command: list[Path | str], on_line: Callable[[str], None]) -> None:
    """Run Go in the module, hand over its lines, and let nothing of it outlive us.

    It gets a process group of its own, so that its compilers end with it.
    """
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with subprocess.Popen(
        tethered(command),
        cwd=MODULE,
        env=toolchain.go_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    ) as process:
        try:
            for line in process.stdout or ():
                tail.append(line)
                on_line(line.rstrip("\n"))
        except (
            BaseException
        ):  # also ctrl-C; not yet waited for, so the group's number is still its own
            os.killpg(process.pid, signal.SIGKILL)
            raise
    code = process.returncode
    if code != 0:
        raise ControlPlaneError(
            f"{''.join(tail)}\n`go {command[1]}` failed, see above. Check that Go's module proxy"
            " (go env GOPROXY) is reachable and that about 6 GB of disk (go env GOCACHE GOMODCACHE)"
            " and 2 GB of memory are free, then run: make controlplane"
        )
