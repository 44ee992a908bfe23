"""Each threat of docs/threat-model.md names tests of its control, and these tests exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (T\d+) \|.*\|(.*)\|$", TEXT, re.MULTILINE)


def test_threats_are_numbered_without_gaps() -> None:
    assert [number for number, _ in ROWS] == [f"T{i}" for i in range(1, len(ROWS) + 1)]
    assert len(ROWS) > 10


@pytest.mark.parametrize(("number", "tests"), ROWS, ids=[number for number, _ in ROWS])
def test_the_tests_that_a_threat_names_exist(number: str, tests: str) -> None:
    named = [name.strip() for name in tests.split(",")]
    assert named != [""], number
    for name in named:
        file, _, function = name.partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        defined = {
            node.name
            for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        if function:
            assert function in defined, name
        else:
            assert any(one.startswith("test_") for one in defined), name


@pytest.mark.parametrize("asset", re.findall(r"^\| (A\d+) \|", TEXT, re.MULTILINE))
def test_each_asset_is_threatened(asset: str) -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| T")]
    assert any(re.search(rf"\b{asset}\b", row) for row in rows)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", TEXT))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()
