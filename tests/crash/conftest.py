"""Fixtures of the crash tests, and the table that they print at their end."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.controlplane.cluster import ControlPlane
from tests.crash.matrix import Matrix
from tests.crash.scene import Stage
from tests.crash.table import Outcome, render
from tests.operator.installation import install_crd
from tests.operator.process_pool import pool

OUTCOMES = pytest.StashKey[list[Outcome]]()


@pytest.fixture
async def matrix(
    control_plane: ControlPlane, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Matrix]:
    """A matrix whose outcomes are printed in the table."""
    install_crd(control_plane)
    outcomes = request.config.stash.setdefault(OUTCOMES, [])
    async with pool() as made:
        yield Matrix(Stage(control_plane, tmp_path, made.launch), outcomes)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print the table."""
    outcomes = config.stash.get(OUTCOMES, [])
    if outcomes:
        terminalreporter.section("starts under crashes")
        for line in render(outcomes):
            terminalreporter.write_line(line)
