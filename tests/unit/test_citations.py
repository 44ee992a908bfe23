"""Links, paths and anchors that pages and docstrings cite exist.

A path is cited from the root of the repository, from a package of the operator (`core/decide.py`),
or from the folder of the page. Decisions keep the paths of their time.
"""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPERATOR = ROOT / "operator"
BASES = (ROOT, OPERATOR / "scriptix_operator", OPERATOR / "scriptix_simulator")
TRACKED = subprocess.run(
    ["/usr/bin/env", "git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.splitlines()
NAMES = {Path(name).name for name in TRACKED}
PAGES = [
    name for name in TRACKED if name.endswith(".md") and not name.startswith("docs/decisions/0")
]
MODULES = [name for name in TRACKED if name.startswith("operator/") and name.endswith(".py")]
EXTERNAL = ("kopf/", "PATH_TO_THIS_CHECKOUT/")
"""Paths in other projects, and one that the reader completes."""

FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]+)\)")
PATH = re.compile(r"(?<![\w./:-])((?:[\w.-]+/)+[\w.-]*\w\.(?:lua|md|py|sh|txt|yaml))(#[\w-]+)?\b")
BARE = re.compile(r"`(\w+\.(?:md|py))`")
DECISION = re.compile(r"\bdecisions?[ /](\d{4})\b")


def anchors_of(text: str) -> set[str]:
    """The anchors of a page: explicit ones, and those that GitHub derives from headings."""
    headings = re.findall(r"^#+ +(.+)$", FENCE.sub("", text), re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def found(citation: str, folder: Path) -> bool:
    """Whether a path, with an anchor or without, leads somewhere."""
    path, _, anchor = citation.partition("#")
    if not path:
        return False
    target = next((base / path for base in (*BASES, folder) if (base / path).exists()), None)
    if target is None:
        return False
    return not anchor or anchor in anchors_of(target.read_text(encoding="utf-8"))


def dead_citations(text: str, folder: Path) -> list[str]:
    """The citations in a text that lead nowhere; `folder` holds the page or module."""
    anchors = anchors_of(text)
    links = LINK.findall(FENCE.sub("", text))
    dead = [
        link
        for link in links
        if not (link[1:] in anchors if link.startswith("#") else found(link, folder))
    ]
    paths = [path + anchor for path, anchor in PATH.findall(LINK.sub("", text))]
    dead += [path for path in paths if not (path.startswith(EXTERNAL) or found(path, folder))]
    dead += [name for name in BARE.findall(text) if name not in NAMES]
    decisions = {name[:4] for name in NAMES if re.match(r"\d{4}-.*\.md$", name)}
    return dead + [number for number in DECISION.findall(text) if number not in decisions]


def docstrings(source: str) -> str:
    """The docstrings of a module, its functions, classes and attributes."""
    return "\n".join(
        node.value.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


@pytest.mark.parametrize("page", PAGES)
def test_a_page_cites_what_exists(page: str) -> None:
    path = ROOT / page
    assert dead_citations(path.read_text(encoding="utf-8"), path.parent) == []


def test_docstrings_cite_what_exists() -> None:
    dead = {
        name: cited
        for name in MODULES
        if (
            cited := dead_citations(
                docstrings((ROOT / name).read_text(encoding="utf-8")), (ROOT / name).parent
            )
        )
    }
    assert dead == {}


@pytest.mark.parametrize(
    ("good", "dead"),
    [
        ("core/decide.py", "core/decided.py"),
        ("docs/glossary.md", "docs/glossar.md"),
        ("docs/glossary.md#names", "docs/glossary.md#name"),
        ("docs/start-protocol.md#step-1", "docs/start-protocol.md#step-8"),
        ("[words](docs/glossary.md)", "[words](docs/glossar.md)"),
        ("[names](docs/glossary.md#names)", "[names](docs/glossary.md#name)"),
        ("# Here\n[up](#here)", "# Here\n[up](#there)"),
        ("`reconciler.py`", "`reconciled.py`"),
        ("docs/decisions/0011", "docs/decisions/0099"),
        ("https://example.com/core/decided.py", "see core/decided.py"),
    ],
)
def test_a_dead_citation_is_found(good: str, dead: str) -> None:
    assert dead_citations(good, ROOT) == []
    assert len(dead_citations(dead, ROOT)) == 1
