"""docs/reference/settings.md is generated from the settings, and the README links it."""

from pathlib import Path

import pytest

from scriptix_operator.settings import Settings, described
from tools.settings_page import TRACING_ROWS, settings_page

ROOT = Path(__file__).parents[2]
PAGE = settings_page()
ROWS = {row.split("`", 2)[1]: row for row in PAGE.splitlines() if row.startswith("| `")}


def test_the_page_in_docs_is_current() -> None:
    """`make docs` writes the page."""
    assert (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8") == PAGE


def test_readme_links_the_settings_page() -> None:
    assert "(docs/reference/settings.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_page_has_one_row_for_each_setting() -> None:
    variables = [described(name)[0] for name in Settings.model_fields]
    variables += [variable for variable, *_ in TRACING_ROWS]
    assert sorted(ROWS) == sorted(variables)
    assert PAGE.count("\n| `") == len(variables)


@pytest.mark.parametrize(
    "begin",
    [
        "| `SCRIPTIX_LIMIT_STARTS` | `5/1h` | Quota of training starts for each",
        "| `SCRIPTIX_SECRET_TTL` | `1m` | Read each",
        "| `SCRIPTIX_LEADER_ELECTION` | `true` | Elect",
        "| `SCRIPTIX_WATCH_NAMESPACES` | (empty) | Namespaces",
        "| `POD_NAME` | the host's name | Name of",
    ],
)
def test_row_has_default_and_meaning_of_a_setting(begin: str) -> None:
    assert any(row.startswith(begin) for row in ROWS.values())


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_row_has_three_cells(row: str) -> None:
    cells = row.replace("\\|", "").split("|")[1:-1]
    assert len(cells) == 3
    assert all(cell.strip() for cell in cells)
