"""The builder that `make image` uses: the first that works, not the first that is installed."""

import os
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
WORKING = "exit 0"
NO_ENGINE = '[ "$1" != info ] || { echo "Cannot connect to the daemon" >&2; exit 1; }'
NO_STORAGE = '[ "$1" != mount ] || exit 125'


def choose(directory: Path, tools: dict[str, str], **variables: str) -> tuple[int, str, str]:
    """Run builder.sh where these tools are, each a small script; status, output and errors."""
    for name, script in tools.items():
        tool = directory / name
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
    for name in ("bash", "env"):
        (directory / name).symlink_to(f"/usr/bin/{name}")
    reply = subprocess.run(
        [REPOSITORY / "image" / "builder.sh"],
        env={"PATH": str(directory), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return reply.returncode, reply.stdout.strip(), reply.stderr.strip()


@pytest.mark.parametrize(
    ("tools", "chosen"),
    [
        ({"docker": WORKING, "podman": WORKING, "buildah": WORKING}, "docker"),
        ({"docker": NO_ENGINE, "podman": WORKING, "buildah": WORKING}, "podman"),
        ({"docker": NO_ENGINE, "podman": NO_ENGINE, "buildah": WORKING}, "buildah"),
        ({"buildah": WORKING}, "buildah"),
    ],
)
def test_first_working_builder_is_used(tmp_path: Path, tools: dict[str, str], chosen: str) -> None:
    assert choose(tmp_path, tools)[:2] == (0, chosen)


def test_without_builder_error_names_tried_and_installable_ones(tmp_path: Path) -> None:
    status, printed, errors = choose(tmp_path, {"docker": NO_ENGINE, "buildah": NO_STORAGE})
    assert (status, printed) == (1, "")
    assert "docker does not work, podman is not there, buildah does not work" in errors
    assert "apt install buildah" in errors


@pytest.mark.parametrize("mounting", [WORKING, NO_STORAGE])
def test_trial_container_of_buildah_is_removed(tmp_path: Path, mounting: str) -> None:
    asked = tmp_path / "asked"
    recording = f'echo "$@" >>{asked}\n[ "$1" != from ] || echo working-container'
    choose(tmp_path, {"buildah": f"{recording}\n{mounting}"})
    assert asked.read_text().splitlines()[-1] == "rm working-container"


def test_requested_builder_is_the_only_candidate(tmp_path: Path) -> None:
    tools = {"docker": WORKING, "buildah": WORKING}
    assert choose(tmp_path, tools, BUILDER="buildah")[:2] == (0, "buildah")


def test_make_names_a_missing_builder(tmp_path: Path) -> None:
    reply = subprocess.run(
        ["make", "-C", REPOSITORY, "image"],  # noqa: S607 - whichever make runs the tests
        env={**os.environ, "BUILDER": "nonesuch", "SBOM": str(tmp_path / "sbom.json")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert reply.returncode != 0
    assert "make image: nonesuch is not there; install one of docker" in reply.stderr
