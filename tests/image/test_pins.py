"""A package that differs from its pin ends the build; see also tests/unit/test_dockerfile.py."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.timeout(1800)  # the first test builds the base
@pytest.mark.parametrize(
    ("pattern", "instead", "words"),
    [
        (r"sha256:[0-9a-f]{64}", f"sha256:{'0' * 64}", "PACKAGES DO NOT MATCH THE HASHES"),
        (r" *\\\n *--hash=\S+", "", "Hashes are required in --require-hashes mode"),
    ],
    ids=["another sum", "no sum"],
)
def test_package_without_the_pinned_sum_ends_the_build(
    base: str, tmp_path: Path, pattern: str, instead: str, words: str
) -> None:
    requirements = tmp_path / "requirements"
    shutil.copytree(REPOSITORY / "requirements", requirements)
    pins = (requirements / "runtime.txt").read_text(encoding="utf-8")
    (requirements / "runtime.txt").write_text(re.sub(pattern, instead, pins), encoding="utf-8")
    build = ["buildah", "build", "--isolation", "chroot", "--target", "build"]
    reply = subprocess.run(
        [*build, "--build-arg", f"BASE_IMAGE={base}", "-f", REPOSITORY / "Dockerfile", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert reply.returncode != 0
    assert words in reply.stdout + reply.stderr
