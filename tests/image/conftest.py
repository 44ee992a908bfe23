"""Builds the image once for all tests of it, as `make image` does, on a locally built base.

Without buildah or root, the tests are skipped with the reason; never in CI, which installs the
missing tools (tests/image/tools.sh).
"""

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.image.container import Image, mounted, output_of

REPOSITORY = Path(__file__).parents[2]
NAME = "localhost/scriptix-operator:test"
NEEDED = ("buildah", "mmdebstrap", "unshare", "setpriv", "make")


def missing() -> str | None:
    """Why no image can be built and run here; None if one can."""
    lacking = [tool for tool in NEEDED if shutil.which(tool) is None]
    if lacking:
        return f"needs {', '.join(lacking)} (as root: tests/image/tools.sh installs it)"
    return None if os.geteuid() == 0 else "needs root, to mount and to change user"


@pytest.fixture(scope="session")
def base() -> str:
    """Build the base, or find it in buildah's storage; returns its name."""
    reason = missing()
    if reason and "CI" in os.environ:
        pytest.fail(f"CI tests the image, and it {reason}", pytrace=False)
    if reason:
        pytest.skip(f"the image is not tested: it {reason}")
    return output_of([str(REPOSITORY / "tests" / "image" / "base.sh")]).strip()


@pytest.fixture(scope="session")
def built(base: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any]]:
    """Build the image; returns its name and its SBOM."""
    sbom = tmp_path_factory.mktemp("image") / "sbom.json"
    variables = {"BUILDER": "buildah", "IMAGE": NAME, "BASE_IMAGE": base, "SBOM": str(sbom)}
    # Tests may run in several processes, and the image has one name.
    with (Path(tempfile.gettempdir()) / "scriptix-operator-image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        printed = output_of(["make", "-C", str(REPOSITORY), "image"], **variables)
    assert f"Built {NAME} with buildah" in printed
    return NAME, json.loads(sbom.read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def sbom(built: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the SBOM that was written beside the image."""
    return built[1]


@pytest.fixture
def image(built: tuple[str, dict[str, Any]]) -> Iterator[Image]:
    """Mount the image; each test has a container of its own."""
    with mounted(built[0]) as image:
        yield image
