"""Watch and leadership on the image's Python, where asyncio ends threads in another way.

The same holds for a task group that is cancelled from outside, as by a Lease lost in a shutdown.
`make test` has a sample of their tests, `make test-python` all.
"""

import asyncio
import os
import sys

import pytest

from tests.operator.imagepython import environment, find_python, image_version
from tests.operator.process import REPOSITORY
from tests.tether import tethered

WATCH = "tests/operator/test_watch.py"
LEADERSHIP = "tests/operator/test_leadership.py"
LOST = "tests/operator/test_stopping.py::test_a_lost_lease_ends_the_wait_for_a_start"
SAMPLE = (
    f"{WATCH}::test_watch_restarts_after_error_event",
    f"{WATCH}::test_watch_restarts_kopf_when_it_does_not_watch",
    f"{LEADERSHIP}::test_leader_replaced_by_another_ends",
    f"{LEADERSHIP}::test_candidate_stopped_while_acquiring_leaves_no_lease",
    f"{LEADERSHIP}::test_standby_reads_a_replaced_ca_or_token",
    LOST,
)
"""Kopf's thread ends or is ended, a leader and a candidate are cancelled, a CA is renewed."""
ALL = (
    *(WATCH, LEADERSHIP, LOST, "--numprocesses=2", "--dist=worksteal"),
    # Excludes the long tests of namespaces without permission, which do not depend on asyncio.
    *("-k", "not refused_namespace and not left_out"),
)
OPTIONS = ("-q", "-p", "no:cacheprovider")


# The first run on a machine installs the requirements.
@pytest.mark.usefixtures("assets")  # built before the first test, not in the middle of this one
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "chosen",
    [pytest.param(SAMPLE, id="sample"), pytest.param(ALL, id="all", marks=pytest.mark.whole)],
)
async def test_watch_and_leadership_on_the_python_of_the_image(chosen: tuple[str, ...]) -> None:
    version = image_version()
    if version == "{}.{}".format(*sys.version_info):
        pytest.skip(f"all tests run on Python {version} here")
    python = await asyncio.to_thread(find_python, version)
    if python is None:
        pytest.skip(f"there is no Python {version} with venv on PATH or in pyenv; install one")
    interpreter = await asyncio.to_thread(environment, python, version)
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    process = await asyncio.create_subprocess_exec(
        *tethered([interpreter, "-m", "pytest", *chosen, *OPTIONS]),
        env={**variables, "PYTHONPATH": str(REPOSITORY / "operator")},
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
