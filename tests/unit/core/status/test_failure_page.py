"""docs/failures.md is generated from the failure catalog, and the README links it."""

import re
from pathlib import Path

import pytest

from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.core.status.failure_catalog import FAILURE_CATALOG
from scriptix_operator.core.status.failure_page import failures_page

ROOT = Path(__file__).parents[4]
ROWS = {row.split("`", 2)[1]: row for row in failures_page().splitlines() if row.startswith("| `")}


def test_the_page_in_docs_is_current() -> None:
    """`make docs` writes the page."""
    assert (ROOT / "docs" / "failures.md").read_text(encoding="utf-8") == failures_page()


def test_readme_links_the_failure_page() -> None:
    assert "(docs/failures.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_page_has_one_row_for_each_reason() -> None:
    assert list(ROWS) == list(FAILURE_CATALOG)
    assert set(ROWS) == set(FailureReason)


@pytest.mark.parametrize("reason", FailureReason)
def test_row_shows_all_of_a_reason(reason: FailureReason) -> None:
    advice, row = FAILURE_CATALOG[reason], ROWS[reason]
    cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]]
    assert cells[1] == advice.happened
    assert cells[2] == ("blocks" if advice.blocks else "ends the run")
    assert cells[3] == ("yes" if advice.retryable else "no")
    solutions = [advice.solution, *(case.solution for _, case in advice.cases)]
    assert [solution for solution in solutions if solution not in cells[4]] == []
    signs = [*advice.codes, *advice.examples, advice.recognised]
    assert [sign for sign in signs if sign not in cells[5]] == []
    assert cells[5]
