"""Each fault of docs/reliability.md has a promise, and names tests that exist."""

import re
from pathlib import Path

import pytest

from tests.unit.named_tests import missing_tests

TEXT = Path(__file__).parents[2].joinpath("docs", "reliability.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|]+) \| ([^|]+) \| (tests/[^|]+) \|$", TEXT, re.MULTILINE)


def test_each_fault_has_a_promise_and_tests() -> None:
    section = TEXT.partition("## Faults")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    assert len(ROWS) == len(lines) - 1
    assert len(ROWS) > 20


@pytest.mark.parametrize(("fault", "tests"), [(fault, tests) for fault, _, tests in ROWS])
def test_the_tests_of_a_fault_exist(fault: str, tests: str) -> None:
    assert missing_tests(tests) == [], fault


@pytest.mark.parametrize(
    "name",
    ["", "tests/unit/test_none.py", "tests/unit/test_usage.py::test_none", "tests/conftest.py"],
)
def test_a_test_that_does_not_exist_is_found(name: str) -> None:
    assert missing_tests(name) == [name]
