"""Watch and leadership on the image's Python, where asyncio ends threads in another way.

The same holds for a task group that is cancelled from outside, as by a Lease lost in a shutdown.
"""

import asyncio
import os
import sys

import pytest

from tests.operator.imagepython import environment, find_python, image_version
from tests.operator.process import REPOSITORY
from tests.tether import tethered

FILES = (
    "tests/operator/test_watch.py",
    "tests/operator/test_leadership.py",
    "tests/operator/test_stopping.py::test_a_lost_lease_ends_the_wait_for_a_start",
)
OTHERS = "not refused_namespace and not left_out"
"""Excludes the long tests of namespaces without permission, which do not depend on asyncio."""
OPTIONS = ("-q", "-p", "no:cacheprovider", "--numprocesses=2", "--dist=worksteal")
"""The tests mostly wait, so two processes that share them take half the time."""


# The first run on a machine installs the requirements.
@pytest.mark.usefixtures("assets")  # built before the first test, not in the middle of this one
@pytest.mark.timeout(900)
async def test_watch_and_leadership_on_the_python_of_the_image() -> None:
    version = image_version()
    if version == "{}.{}".format(*sys.version_info):
        pytest.skip(f"all tests run on Python {version} here")
    python = await asyncio.to_thread(find_python, version)
    if python is None:
        pytest.skip(f"there is no Python {version} with venv on PATH or in pyenv; install one")
    interpreter = await asyncio.to_thread(environment, python, version)
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
    process = await asyncio.create_subprocess_exec(
        *tethered([interpreter, "-m", "pytest", *FILES, *OPTIONS, "-k", OTHERS]),
        env={**variables, "PYTHONPATH": str(REPOSITORY / "operator")},
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
