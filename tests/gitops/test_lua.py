"""The Lua scripts, run by `argocd admin settings resource-overrides`."""

import os
import subprocess
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import yaml

from scriptix_operator.engine.clock import Clock
from tests.gitops.customizations import FOLDER, SNIPPET
from tests.operator.lab import Manifest

pytestmark = pytest.mark.gitops

ACTIONS = FOLDER / "actions"
HEALTH_TESTS = yaml.safe_load((FOLDER / "health_test.yaml").read_text())["tests"]
ACTION_TESTS = yaml.safe_load((ACTIONS / "action_test.yaml").read_text())

REQUESTED_AT = "scriptix.io/requested-at"


class Overrides:
    """`argocd admin settings resource-overrides` with the shipped snippet.

    Args:
        program: argocd.
        home: A folder for its configuration.
    """

    def __init__(self, program: Path, home: Path) -> None:
        self._program = program
        self._home = home

    def run(self, command: str, resource: Path, *arguments: str) -> str:
        """Run a command on a manifest and return its output."""
        overrides = [str(self._program), "admin", "settings", "resource-overrides"]
        reply = subprocess.run(
            [*overrides, command, str(resource), *arguments, "--argocd-cm-path", str(SNIPPET)],
            # Argo CD passes the resource before and after to it, and prints its output.
            env={**os.environ, "HOME": str(self._home), "KUBECTL_EXTERNAL_DIFF": "tail -qn +1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert reply.returncode == 0, reply.stderr
        return reply.stdout

    def health(self, resource: Path) -> tuple[str, str]:
        """Return status and message."""
        status, message = self.run("health", resource).rstrip("\n").split("\n", 1)
        return status.removeprefix("STATUS: "), message.removeprefix("MESSAGE: ")

    def actions(self, resource: Path) -> dict[str, bool]:
        """Return the offered actions, and whether each is enabled."""
        rows = [line.split() for line in self.run("list-actions", resource).splitlines()[1:]]
        return {name: disabled == "false" for name, disabled in rows}

    def act(self, resource: Path, action: str) -> Manifest:
        """Return the resource after an action."""
        printed = self.run("run-action", resource, action)
        # First a line of introduction, then the resource before, which begins with its version.
        after: Manifest = yaml.safe_load("apiVersion:" + printed.split("apiVersion:")[2])
        return after


@pytest.fixture
def overrides(argocd_program: Path, tmp_path: Path) -> Overrides:
    """Return a runner of the scripts."""
    return Overrides(argocd_program, tmp_path)


@pytest.mark.parametrize("case", HEALTH_TESTS, ids=lambda case: Path(case["inputPath"]).stem)
def test_health_of_each_state_is_as_designed(overrides: Overrides, case: Manifest) -> None:
    expected = case["healthStatus"]
    found = overrides.health(FOLDER / case["inputPath"])
    assert found == (expected["status"], expected["message"])


@pytest.mark.parametrize(
    "case", ACTION_TESTS["discoveryTests"], ids=lambda case: Path(case["inputPath"]).stem
)
def test_actions_are_offered_where_they_make_sense(overrides: Overrides, case: Manifest) -> None:
    assert overrides.actions(ACTIONS / case["inputPath"]) == {
        action["name"]: not action["disabled"] for action in case["result"]
    }


@pytest.mark.parametrize(
    "case",
    ACTION_TESTS["actionTests"],
    ids=lambda case: f"{case['action']} {Path(case['inputPath']).stem}",
)
def test_action_changes_only_its_own_field(overrides: Overrides, case: Manifest) -> None:
    after = overrides.act(ACTIONS / case["inputPath"], case["action"])
    expected = yaml.safe_load((ACTIONS / case["expectedOutputPath"]).read_text())
    if case["action"] == "retrain":  # the time of the action, which no file can contain
        annotations = after["metadata"].pop("annotations")
        assert annotations.keys() == {REQUESTED_AT}
        clicked = datetime.strptime(annotations[REQUESTED_AT], "%Y-%m-%dT%H:%M:%S%z")
        assert abs(Clock().now() - clicked) < timedelta(minutes=1)
    assert after == expected


def test_each_action_is_tried() -> None:
    tried = {case["action"] for case in ACTION_TESTS["actionTests"]}
    assert tried == {script.parent.name for script in ACTIONS.glob("*/action.lua")}


def test_resource_is_progressing_before_its_first_reconcile(
    overrides: Overrides, unseen: Path
) -> None:
    assert overrides.health(unseen)[0] == "Progressing"
    assert overrides.actions(unseen) == {"retrain": False, "suspend": True, "resume": False}
