"""Argo CD's own tests of resource_customizations, run over gitops/argocd."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.gitops.customizations import ARGOCD, FOLDER
from tests.gitops.tools import LUA_TESTS

pytestmark = pytest.mark.gitops

HEALTH = "TestLuaHealthScript"
ACTIONS = "TestLuaResourceActionsScript"

ACTION_CASES = yaml.safe_load((FOLDER / "actions" / "action_test.yaml").read_text())

CASES = {
    HEALTH: len(yaml.safe_load((FOLDER / "health_test.yaml").read_text())["tests"]),
    ACTIONS: len(ACTION_CASES["discoveryTests"]) + len(ACTION_CASES["actionTests"]),
}


class Upstream:
    """Argo CD's tests, and a copy of the operator's folder at the path that they read.

    Args:
        program: The tests.
        root: Stands for the root of Argo CD's repository.
    """

    def __init__(self, program: Path, root: Path) -> None:
        self._program = program
        self._package = root / "util" / "lua"
        self._package.mkdir(parents=True)
        copy = root / "resource_customizations"
        shutil.copytree(ARGOCD / copy.name, copy)
        self._folder = root / FOLDER.relative_to(ARGOCD)

    def edit(self, path: str, old: str, new: str) -> None:
        """Change a file of the copy."""
        file = self._folder / path
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    def run(self, test: str) -> tuple[int, list[str]]:
        """Run one of the tests; return how many of its cases pass, and the names of the others."""
        reply = subprocess.run(
            [self._program, "-test.v", f"-test.run=^{test}$"],
            cwd=self._package,
            capture_output=True,
            text=True,
            check=False,
        )
        verdicts = [
            line.split() for line in reply.stdout.splitlines() if line.startswith("    ---")
        ]
        failed = [name for _, verdict, name, _ in verdicts if verdict != "PASS:"]
        assert (reply.returncode == 0) == (failed == []), reply.stdout + reply.stderr
        return len(verdicts) - len(failed), [name.removeprefix(f"{test}/") for name in failed]


@pytest.fixture
def upstream(lua_tools: Path, tmp_path: Path) -> Upstream:
    """Return Argo CD's tests with the unchanged folder."""
    return Upstream(lua_tools / LUA_TESTS, tmp_path)


@pytest.mark.parametrize("test", CASES)
def test_argo_cd_s_own_tests_pass(upstream: Upstream, test: str) -> None:
    assert upstream.run(test) == (CASES[test], [])


def test_argo_cd_s_own_tests_see_another_health(upstream: Upstream) -> None:
    upstream.edit("health.lua", 'health = "Degraded"', 'health = "Healthy"')
    passed, failed = upstream.run(HEALTH)
    assert passed + len(failed) == CASES[HEALTH]
    assert f"{FOLDER.relative_to(FOLDER.parents[1])}/testdata/failed.yaml" in failed


def test_argo_cd_s_own_tests_see_another_result_of_an_action(upstream: Upstream) -> None:
    upstream.edit("actions/testdata/resumed.yaml", "suspend: false", "suspend: true")
    assert "actions/resume/testdata/new.yaml" in upstream.run(ACTIONS)[1]


def test_argo_cd_s_own_tests_see_an_extra_change_of_retraining(upstream: Upstream) -> None:
    upstream.edit("actions/testdata/retrained.yaml", "Succeeded", "Failed")
    assert "actions/retrain/testdata/finished.yaml" in upstream.run(ACTIONS)[1]
