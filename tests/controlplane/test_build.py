"""The source of the control plane: the environment, or a build (see also tests/gotools)."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.controlplane.build import REQUIRED, TOOLS, find_or_build, version_variables
from tests.controlplane.errors import ControlPlaneError
from tests.gotools import toolchain
from tests.gotools.build import Recipe
from tests.gotools.machine import BUILDING_GO, Machine, executable


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return Machine(tmp_path, monkeypatch, find_or_build, TOOLS.name)


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
    assert not (machine.cache / Recipe.read(TOOLS).fingerprint).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(go, 0)


def test_old_go_without_package_index_names_what_to_install(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine.install_go("echo go1.19")
    python = executable(tmp_path / "python", "echo no index >&2; exit 1")
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ControlPlaneError, match=r"no index\n.*put Go .* on PATH\nOr set KUBEB"):
        machine.find_or_build()


def assets(directory: Path, *names: str) -> Path:
    for name in names:
        executable(directory / name)
    return directory


def test_kubebuilder_assets_are_used_as_they_are(machine: Machine, tmp_path: Path) -> None:
    directory = assets(tmp_path / "assets", *TOOLS.binaries)
    machine.environment["KUBEBUILDER_ASSETS"] = str(directory)
    assert machine.find_or_build() == (directory, "")
    assert not machine.cache.exists()


def test_kubebuilder_assets_without_a_binary_are_refused(machine: Machine, tmp_path: Path) -> None:
    machine.environment["KUBEBUILDER_ASSETS"] = str(assets(tmp_path / "assets", "etcd"))
    with pytest.raises(ControlPlaneError, match=r"has no kube-apiserver, kubectl;.* unset it"):
        machine.find_or_build()


def test_kubebuilder_assets_without_controllers_warn(machine: Machine, tmp_path: Path) -> None:
    directory = assets(tmp_path / "assets", *REQUIRED)
    machine.environment["KUBEBUILDER_ASSETS"] = str(directory)
    found, output = machine.find_or_build()
    assert found == directory
    assert "kube-controller-manager: nothing will collect garbage" in output


def test_the_binaries_carry_the_version_that_go_mod_pins() -> None:
    go_mod = "go 1.26.0\nrequire (\n\tk8s.io/kubernetes v1.40.5 // indirect\n)\n"
    ldflags = Recipe(go_mod, "", version_variables(go_mod)).ldflags
    assert "version.gitVersion=v1.40.5 " in ldflags
    assert "version.gitMajor=1 " in ldflags
    assert ldflags.endswith("version.gitMinor=40")


def test_a_go_mod_without_kubernetes_says_to_restore_it() -> None:
    with pytest.raises(ControlPlaneError, match="restore it from Git"):
        version_variables("go 1.26.0\n")
