"""Each threat of docs/threat-model.md names tests of its control, and these tests exist."""

import re
from pathlib import Path

import pytest

from tests.unit.named_tests import missing_tests

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (T\d+) \|.*\|(.*)\|$", TEXT, re.MULTILINE)


def test_threats_are_numbered_without_gaps() -> None:
    assert [number for number, _ in ROWS] == [f"T{i}" for i in range(1, len(ROWS) + 1)]
    assert len(ROWS) > 10


@pytest.mark.parametrize(("number", "tests"), ROWS, ids=[number for number, _ in ROWS])
def test_the_tests_that_a_threat_names_exist(number: str, tests: str) -> None:
    assert missing_tests(tests) == [], number


@pytest.mark.parametrize("asset", re.findall(r"^\| (A\d+) \|", TEXT, re.MULTILINE))
def test_each_asset_is_threatened(asset: str) -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| T")]
    assert any(re.search(rf"\b{asset}\b", row) for row in rows)


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", TEXT))
def test_links_lead_somewhere(link: str) -> None:
    assert (ROOT / "docs" / link).exists()
