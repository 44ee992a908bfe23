"""The golden renders: the changes of each case of values, stored for review.

`cluster` is whole. Of each other case there are the documents that differ from it, and the names of
those that the case lacks. `python -m tests.chart.renders` updates them (`make renders`).
"""

import os
import sys
import tempfile
from pathlib import Path

from tests.chart.helm import Helm, documents
from tests.chart.tools import HELM, TOOLS

__all__ = ["CASES", "difference", "golden", "read"]

FOLDER = Path(__file__).resolve().parent
CASES = sorted(path.stem for path in (FOLDER / "cases").glob("*.yaml"))
WHOLE = "cluster"
SEPARATOR = "---\n"


def values_of(case: str) -> Path:
    """Return the file with a case's values."""
    return FOLDER / "cases" / f"{case}.yaml"


def golden(case: str) -> Path:
    """Return the file with the case's golden render."""
    return FOLDER / "renders" / f"{case}.yaml"


def read(helm: Helm, case: str) -> str:
    """Return the current render of a case."""
    text = helm.template(values_of(case))
    return text if case == WHOLE else difference(helm.template(values_of(WHOLE)), text)


def difference(whole: str, other: str) -> str:
    """Return the documents of the other render that the whole lacks, and name the missing ones."""
    base = _by_name(whole)
    theirs = _by_name(other)
    lacking = [f"# without {name}\n" for name in base if name not in theirs]
    changed = [text for name, text in theirs.items() if base.get(name) != text]
    return "".join(lacking) + "".join(SEPARATOR + text for text in changed)


def _by_name(render: str) -> dict[str, str]:
    named = {}
    for text in render.split(SEPARATOR)[1:]:
        for document in documents(text):
            metadata = document["metadata"]
            where = metadata.get("namespace", "the cluster")
            named[f"{document['kind']} {metadata['name']} in {where}"] = text
    return named


def main() -> int:
    """Write all golden renders."""
    with tempfile.TemporaryDirectory() as home:
        tools = TOOLS.find_or_build(os.environ, sys.stderr)
        helm = Helm(tools / HELM, Path(home))
        for left in (FOLDER / "renders").glob("*.yaml"):
            left.unlink()
        for case in CASES:
            golden(case).write_text(read(helm, case))
    return 0


if __name__ == "__main__":
    sys.exit(main())
