"""docs/runbook: each alert has a page, each page an alert, and the queries use our series."""

from typing import Any

import pytest
import yaml

from tests.chart.helm import CHART
from tests.chart.runbook import FOLDER, PAGES, blocks, sections
from tests.chart.series import faults

ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for rule in yaml.safe_load((CHART / "files" / "alerts.yaml").read_text(encoding="utf-8"))
}
DEPLOYMENT = "deploy/scriptix-operator"


def test_each_alert_has_a_page_and_each_page_an_alert() -> None:
    assert sorted(ALERTS) == PAGES


@pytest.mark.parametrize("page", PAGES)
def test_page_has_all_sections_and_the_severity(page: str) -> None:
    found = sections(page)
    assert list(found) == [page, "Meaning", "Impact", "Diagnosis", "Mitigation"]
    assert all(found.values())
    assert found[page].startswith(f"Severity: {ALERTS[page]['labels']['severity']}. ")
    assert "```" in found["Diagnosis"]


def test_index_lists_all_pages_with_their_severity() -> None:
    index = (FOLDER / "README.md").read_text(encoding="utf-8")
    rows = [line for line in index.splitlines() if line.startswith("| [")]
    assert [row.split(" | ")[:2] for row in rows] == [
        [f"| [{name}]({name}.md)", rule["labels"]["severity"]] for name, rule in ALERTS.items()
    ]


@pytest.mark.parametrize("page", PAGES)
def test_queries_of_a_page_use_existing_series(page: str) -> None:
    for block in blocks(page):
        assert block.kind in {"sh", "sh pods", "promql"}
        for line in block.lines:
            if block.kind == "promql":
                assert list(faults(line)) == [], line
            elif block.kind == "sh pods":
                # No test cluster has pods; tests/operator/test_runbook.py runs the others.
                assert DEPLOYMENT in line
            else:
                assert line.startswith("kubectl ")
