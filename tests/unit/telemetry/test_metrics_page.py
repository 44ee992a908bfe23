"""docs/reference/metrics.md is generated from the table of metrics, and the README links it."""

from pathlib import Path

import pytest
import yaml

from scriptix_operator.telemetry.metric_table import METRICS
from scriptix_operator.telemetry.metric_types import Metric
from tools.metrics_page import ALERTS, metrics_page

ROOT = Path(__file__).parents[3]
PAGE = metrics_page(yaml.safe_load(ALERTS.read_text(encoding="utf-8")))
ROWS = {row.split("`", 2)[1]: row for row in PAGE.splitlines() if row.startswith("| `")}


def test_the_page_in_docs_is_current() -> None:
    """`make docs` writes the page."""
    assert (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8") == PAGE


def test_readme_links_the_metrics_page() -> None:
    assert "(docs/reference/metrics.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_page_has_one_row_for_each_metric() -> None:
    assert list(ROWS) == [metric.name for metric in METRICS]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: str(metric.name))
def test_row_shows_all_of_a_metric(metric: Metric) -> None:
    _, name, kind, labels, meaning, _, _ = (cell.strip() for cell in ROWS[metric.name].split("|"))
    assert (name, kind) == (f"`{metric.name}`", metric.type.value)
    assert meaning.startswith(metric.help)
    for label in metric.labels:
        texts = [f"`{value}`" for value in label.values] or [label.meaning]
        assert [text for text in (f"`{label.name}`", *texts) if text not in labels] == []


def test_row_names_the_alerts_that_use_a_metric() -> None:
    alerts = [
        {"alert": "A", "expr": "scriptix_leader < 1 or scriptix_leader > 1"},
        {"alert": "B", "expr": "rate(scriptix_workqueue_latency_seconds_bucket[5m]) > 1"},
        {"alert": "C", "expr": "scriptix_leader == 0"},
    ]
    rows = metrics_page(alerts).splitlines()
    used = [row for row in rows if row.startswith("| `") and not row.endswith("|  |")]
    assert [(row.split("`")[1], row.split("|")[5].strip()) for row in used] == [
        ("scriptix_workqueue_latency_seconds", "`B`"),
        ("scriptix_leader", "`A`<br>`C`"),
    ]
