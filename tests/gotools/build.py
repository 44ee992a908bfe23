"""Finds a set of Go tools, or builds it once per user and per set of pins.

Published archives of such binaries are on download sites that are not reachable everywhere. Go's
module proxy has all sources, hash-pinned by go.sum, so the binaries are built.
"""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TextIO

from tests.gotools import toolchain
from tests.gotools.errors import ToolError
from tests.gotools.progress import Progress
from tests.tether import tethered

# The pattern for the main packages in the tool block of go.mod, their only list.
TOOLS = "tool"
TAIL_LINES = 15


@dataclass(frozen=True)
class ModuleFile:
    """A file of a module that go.mod requires, to be laid beside the binaries."""

    module: str
    path: str

    @property
    def name(self) -> str:
        """The name of the copy beside the binaries."""
        return PurePosixPath(self.path).name


@dataclass(frozen=True)
class PackageTests:
    """The tests of a package that go.mod requires, to be built as a program in place of the tools.

    Attributes:
        module: The module that has them.
        package: The package's path in the module.
        replaced: Texts that replace files of the module, by their paths in it.
    """

    module: str
    package: str
    replaced: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ToolSet:
    """Go programs that are built and cached together.

    Attributes:
        name: The name of the folder in the cache.
        title: A noun phrase for messages: "the test control plane".
        module: The folder with go.mod and go.sum; mains of our own may stand below it.
        binaries: The binaries that the build must make.
        command: The command that builds them, for messages.
        cost: Minutes and megabytes of a first build, for messages.
        needs: Disk and memory that the build needs, for messages.
        files: Files of the modules to copy.
        renames: Names of binaries by the names that Go gives them, where those differ.
        variables: Linker variables (`package.name` to value), made from the text of go.mod.
        tests: Package tests to build instead of the main packages in go.mod.
    """

    name: str
    title: str
    module: Path
    binaries: tuple[str, ...]
    command: str
    cost: str
    needs: str
    files: tuple[ModuleFile, ...] = ()
    renames: Mapping[str, str] = field(default_factory=dict)
    variables: Callable[[str], Mapping[str, str]] = lambda _go_mod: {}
    tests: PackageTests | None = None

    def find_or_build(self, environment: Mapping[str, str], stream: TextIO) -> Path:
        """Return the directory with the binaries; report progress on `stream`.

        Raises:
            ToolError: with the action that helps.
        """
        cache = cache_root(environment)
        recipe = Recipe.read(self)
        directory = cache / self.name / recipe.fingerprint
        if not self.lacks(directory):
            return directory
        directory.parent.mkdir(parents=True, exist_ok=True)
        with _exclusive(directory.with_suffix(".lock"), self.title, _teller(stream)):
            if self.lacks(directory):  # no other process built it meanwhile
                _build(self, recipe, cache, directory, stream)
        return directory

    def show(self) -> int:
        """Find or build the tools, and print their directory in the last line.

        Returns:
            The exit status.
        """
        try:
            sys.stdout.write(f"{self.find_or_build(os.environ, sys.stderr)}\n")
        except ToolError as error:
            sys.stderr.write(f"{error}\n")
            return 1
        return 0

    def lacks(self, directory: Path) -> list[str]:
        """Return the names of missing binaries and files."""
        files = [file.name for file in self.files if not (directory / file.name).is_file()]
        return missing(directory, self.binaries) + files

    @property
    def go_mod(self) -> Path:
        """The go.mod with the pins and the main packages."""
        return self.module / "go.mod"


def cache_root(environment: Mapping[str, str]) -> Path:
    """Return this project's folder in the user's cache."""
    configured = Path(environment.get("XDG_CACHE_HOME", ""))
    # The XDG specification has relative paths ignored.
    root = configured if configured.is_absolute() else Path.home() / ".cache"
    return root / "scriptix-operator"


def missing(directory: Path, names: tuple[str, ...]) -> list[str]:
    """Return the names that are no executable file in the directory."""
    return [name for name in names if shutil.which(name, path=directory) is None]


class Recipe:
    """The inputs of a build, as the files of the module pin them.

    Args:
        go_mod: text of go.mod.
        go_sum: text of go.sum.
        variables: linker variables, `package.name` to value.
        others: texts of the module's own Go files, and other inputs.
    """

    def __init__(
        self,
        go_mod: str,
        go_sum: str,
        variables: Mapping[str, str] | None = None,
        others: tuple[str, ...] = (),
    ) -> None:
        assignments = [f"-X {name}={value}" for name, value in (variables or {}).items()]
        self.ldflags = " ".join(["-s -w", *assignments])
        uname = os.uname()
        parts = (go_mod, go_sum, self.ldflags, uname.sysname, uname.machine, *others)
        self.fingerprint = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    @classmethod
    def read(cls, tools: ToolSet) -> "Recipe":
        """Read the pins and the own code of a set of tools."""
        go_mod = tools.go_mod.read_text()
        sources = tuple(path.read_text() for path in sorted(tools.module.rglob("*.go")))
        files = tuple(f"{file.module}/{file.path}" for file in tools.files)
        go_sum = (tools.module / "go.sum").read_text()
        tests = () if tools.tests is None else (repr(tools.tests),)
        return cls(go_mod, go_sum, tools.variables(go_mod), sources + files + tests)

    @property
    def flags(self) -> tuple[str, ...]:
        """The flags that determine the result; `go list` needs them to find stale packages."""
        return ("-mod=readonly", "-trimpath", "-buildvcs=false", f"-ldflags={self.ldflags}")


@dataclass(frozen=True)
class _Target:
    """A target of Go.

    Attributes:
        command: The subcommand of Go.
        flags: The flags of the recipe and others.
        packages: The package pattern.
    """

    command: tuple[str, ...]
    flags: tuple[str, ...]
    packages: str

    @classmethod
    def of(cls, go: Path, tools: ToolSet, recipe: Recipe, scratch: Path) -> "_Target":
        """Return the target of a set of tools; files for Go are written to `scratch`."""
        if tools.tests is None:
            return cls(("build", "-v"), recipe.flags, TOOLS)
        flags = (*recipe.flags, *_replacing(go, tools, tools.tests, scratch))
        # Vetting would analyse all imports: a minute, for code of others.
        command = ("test", "-c", "-vet=off")
        return cls(command, flags, f"{tools.tests.module}/{tools.tests.package}")


def _replacing(go: Path, tools: ToolSet, tests: PackageTests, scratch: Path) -> tuple[str, ...]:
    """Return the flags that have Go compile the module with files replaced.

    Go refuses to overlay files in its module cache, so the module is replaced by a link
    elsewhere. As paths are trimmed, packages that were compiled before stay valid.
    """
    link = scratch / "module"
    link.symlink_to(_module_folder(go, tools, tests.module))
    places = {}
    for number, (path, text) in enumerate(tests.replaced.items()):
        place = scratch / f"replaced-{number}"
        place.write_text(text)
        places[str(link / path)] = str(place)
    overlay = scratch / "overlay.json"
    overlay.write_text(json.dumps({"Replace": places}))
    go_mod = scratch / "go.mod"
    go_mod.write_text(f"{tools.go_mod.read_text()}\nreplace {tests.module} => {link}\n")
    shutil.copyfile(tools.module / "go.sum", scratch / "go.sum")  # Go reads it beside go.mod
    return (f"-modfile={go_mod}", f"-overlay={overlay}")


def _teller(stream: TextIO) -> Callable[[str], None]:
    def say(text: str) -> None:
        stream.write(f"{text}\n")
        stream.flush()

    return say


@contextmanager
def _exclusive(lock: Path, title: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file; the kernel releases it with the process, so no lock is ever stale."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Another process is building {title}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(
    tools: ToolSet,
    recipe: Recipe,
    cache: Path,
    directory: Path,
    stream: TextIO,
) -> None:
    say = _teller(stream)
    go = toolchain.find_go(tools.go_mod, cache, say)
    for left in directory.parent.glob(f"{directory.name}.partial-*"):
        shutil.rmtree(left)  # of a killed build; this process holds the lock, so no other uses it
    say(f"Building {tools.title}, once: {tools.cost}")
    with tempfile.TemporaryDirectory(
        dir=directory.parent, prefix=f"{directory.name}.partial-"
    ) as partial:
        output = Path(partial) / "bin"
        target = _Target.of(go, tools, recipe, Path(partial))
        stale = _count_stale(go, tools, target, say)
        _compile(go, tools, target, output, Progress("Compiling", stale, stream))
        for made, wanted in tools.renames.items():
            (output / made).rename(output / wanted)
        for file in tools.files:
            shutil.copyfile(_module_folder(go, tools, file.module) / file.path, output / file.name)
        lacking = tools.lacks(output)
        if lacking:
            raise ToolError(
                f"the build made no {', '.join(lacking)};"
                f" restore the tool lines of {tools.go_mod} from Git"
            )
        if directory.exists():  # incomplete, otherwise it would have been used
            shutil.rmtree(directory)
        output.rename(directory)


def _count_stale(go: Path, tools: ToolSet, target: _Target, say: Callable[[str], None]) -> int:
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

    listing = ("list", *target.flags, "-deps", "-f", template, target.packages)
    _run_go(tools, [go, *listing], count)
    return max(stale, 1)


def _compile(go: Path, tools: ToolSet, target: _Target, output: Path, progress: Progress) -> None:
    def count(line: str) -> None:
        if not line.startswith(("go: ", "#", "\t")):
            progress.advance()

    try:
        making = (*target.command, *target.flags, "-o", f"{output}/", target.packages)
        _run_go(tools, [go, *making], count)
    finally:
        progress.close()


def _module_folder(go: Path, tools: ToolSet, module: str) -> Path:
    """Download a module, if need be, and return where it is."""
    lines: list[str] = []
    _run_go(tools, [go, "mod", "download", module], lambda _: None)
    _run_go(tools, [go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module], lines.append)
    return Path(lines[-1])


def _run_go(tools: ToolSet, command: list[Path | str], on_line: Callable[[str], None]) -> None:
    """Run Go in the module, pass on its lines, and let none of its processes outlive this one.

    Go gets its own process group, so that its compilers end with it.
    """
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with subprocess.Popen(
        tethered(command),
        cwd=tools.module,
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
        except BaseException:  # also ctrl-C; the process is not reaped, so its group still exists
            os.killpg(process.pid, signal.SIGKILL)
            raise
    code = process.returncode
    if code != 0:
        raise ToolError(
            f"{''.join(tail)}\n`go {command[1]}` failed, see above. Check that Go's module proxy"
            f" (go env GOPROXY) is reachable and that {tools.needs} are free (go env GOCACHE"
            f" GOMODCACHE say where on disk), then run: {tools.command}"
        )
