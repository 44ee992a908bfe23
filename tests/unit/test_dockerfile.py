"""The pip options of the image build; tests/image/test_pins.py tests their effect."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def joined(text: str) -> str:
    """Put each command or requirement on one line, without comments."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return re.sub(r"\\\n\s*", " ", "\n".join(lines))


INSTALLS = [
    command.strip()
    for command in re.split(r"&&|\|\||[;\n]", joined(DOCKERFILE))
    if re.search(r"\bpip\d*\b.* (install|download|wheel)\b", command)
]


@pytest.mark.parametrize("command", INSTALLS)
def test_pip_takes_only_wheels_by_hash_or_what_is_already_there(command: str) -> None:
    by_hash = "--require-hashes" in command and "--only-binary :all:" in command
    if re.search(r" (-r|--requirement)\b", command):
        assert by_hash
    elif re.search(r" wheel\b", command):
        # The operator's own package, from this checkout and with the installed setuptools.
        assert "--no-deps --no-build-isolation" in command
        assert command.endswith(" .")
    else:
        assert "--no-deps --no-index" in command


def test_no_install_escapes_that() -> None:
    assert len(INSTALLS) == joined(DOCKERFILE).count(" pip ") == 4
    assert sum("-r requirements/" in command for command in INSTALLS) == 2


@pytest.mark.parametrize("file", ["runtime.txt", "dev.txt"])
def test_every_requirement_is_one_version_with_its_sums(file: str) -> None:
    text = (ROOT / "requirements" / file).read_text(encoding="utf-8")
    entries = [entry.rstrip() for entry in joined(text).splitlines() if entry.strip()]
    assert entries
    pinned = re.compile(r"[\w.-]+(\[[^]]+\])?==[^ ;]+( ;.*?)?( +--hash=sha256:[0-9a-f]{64})+")
    assert [entry for entry in entries if not pinned.fullmatch(entry)] == []
