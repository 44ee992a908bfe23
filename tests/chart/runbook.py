"""The pages of docs/runbook, and the blocks of commands in them."""

import re
from dataclasses import dataclass
from pathlib import Path

from tests.gotools.toolchain import REPOSITORY

__all__ = ["FOLDER", "PAGES", "Block", "blocks", "sections"]

FOLDER = REPOSITORY / "docs" / "runbook"
PAGES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "README")
BLOCK = re.compile(r"^```([^\n]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of commands.

    Args:
        kind: `sh`: kubectl; `sh pods`: needs a running pod, too; `promql`: for Prometheus.
        lines: The commands, one for each line.
    """

    kind: str
    lines: tuple[str, ...]


def page_of(name: str) -> Path:
    """The page of an alert."""
    return FOLDER / f"{name}.md"


def blocks(page: str) -> list[Block]:
    """Read the blocks of a page, in order."""
    text = page_of(page).read_text(encoding="utf-8")
    return [Block(kind, tuple(body.splitlines())) for kind, body in BLOCK.findall(text)]


def sections(page: str) -> dict[str, str]:
    """Read the sections of a page by their titles; the part before the first has the page's."""
    parts = re.split(r"^#+ (.*)\n", page_of(page).read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))
