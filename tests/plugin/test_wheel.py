"""The plugin's wheel in an environment of its own, as pipx installs it."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tools.build_plugin import ROOT, build

UV = Path(sys.executable).parent / "uv"
PINNED = ("-c", str(ROOT / "requirements/runtime.txt"), "-c", str(ROOT / "requirements/dev.txt"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


def test_wheel_holds_the_pure_packages_only(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        folders = {"/".join(name.split("/")[:2]) for name in archive.namelist()}
    shared = {name for name in folders if name.startswith("scriptix_operator/")}
    names = {"__init__.py", "api", "core", "kube", "py.typed"}
    assert shared == {f"scriptix_operator/{name}" for name in names}


@pytest.mark.timeout(300)
def test_wheel_runs_in_an_environment_of_its_own(wheel: Path, tmp_path: Path) -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["VIRTUAL_ENV"] = str(tmp_path / "venv")

    def run(*command: str | Path) -> str:
        made = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stderr
        return made.stdout

    run(UV, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv")
    run(UV, "pip", "install", "--quiet", *PINNED, wheel)
    programs = tmp_path / "venv" / "bin"
    assert "  retrain " in run(programs / "kubectl-scriptix", "--help")
    assert "retrain\n" in run(programs / "kubectl_complete-scriptix", "retr")
    installed = run(UV, "pip", "list", "--format", "freeze")
    assert not {"kopf", "httpx", "prometheus-client"} & {
        line.partition("==")[0] for line in installed.split()
    }
