"""A virtual environment with the Python version of the image, kept in the user's cache."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.gotools.build import cache_root
from tests.operator.process import REPOSITORY

__all__ = ["environment", "find_python", "image_version"]

REQUIREMENTS = [REPOSITORY / "requirements" / name for name in ("runtime.txt", "dev.txt")]
COMPLETE = "complete"


def image_version() -> str:
    """Return the version of the image's base, as `3.13`."""
    found = re.search(r"^ARG BASE_IMAGE=\S*python:(\d+\.\d+)", _text("Dockerfile"), re.MULTILINE)
    assert found is not None
    return found[1]


def find_python(version: str) -> Path | None:
    """Return an interpreter of this version that runs and can make environments, or None."""
    for candidate in _candidates(f"python{version}"):
        code = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
        try:
            reply = subprocess.run(
                [candidate, "-c", code], capture_output=True, text=True, check=False, timeout=60
            )
        except OSError:
            continue
        if reply.stdout.strip() == version:  # a shim of pyenv exists and does not run
            return candidate
    return None


def environment(python: Path, version: str) -> Path:
    """Return the Python of an environment with the pinned requirements; create it if needed."""
    pins = b"".join(path.read_bytes() for path in REQUIREMENTS)
    name = hashlib.sha256(pins + str(python).encode()).hexdigest()[:16]
    directory = cache_root(os.environ) / f"python{version}" / name
    directory.parent.mkdir(parents=True, exist_ok=True)
    with directory.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / COMPLETE).exists():
            shutil.rmtree(directory, ignore_errors=True)
            _run([python, "-m", "venv", directory])
            options = ["--disable-pip-version-check", "--no-input", "--quiet", "--require-hashes"]
            files = [option for path in REQUIREMENTS for option in ("-r", path)]
            _run([directory / "bin" / "python", "-m", "pip", "install", *options, *files])
            (directory / COMPLETE).touch()
    return directory / "bin" / "python"


def _candidates(name: str) -> Iterator[Path]:
    folders = [Path(entry) for entry in os.environ.get("PATH", "").split(os.pathsep) if entry]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders += sorted((pyenv / "versions").glob("*/bin"))
    return (folder / name for folder in folders if (folder / name).is_file())


def _run(command: Sequence[str | Path]) -> None:
    reply = subprocess.run(command, capture_output=True, text=True, check=False)
    assert reply.returncode == 0, f"{command}: {reply.stdout}{reply.stderr}"


def _text(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")
