"""The panels of the dashboard, with queries that Prometheus understands without Grafana."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.chart.helm import CHART

__all__ = ["FILE", "JOB", "Panel", "Query", "panels"]

FILE = CHART / "files" / "dashboard.json"
JOB = "scriptix-operator"
"""The value of the dashboard's variable."""
RATE_INTERVAL = "10s"
"""What Grafana would make of $__rate_interval for a scrape each second, at least."""
LABEL = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class Query:
    """A query of a panel."""

    expression: str
    legend: str

    def name(self, labels: Mapping[str, str]) -> str:
        """The name of a series with these labels."""
        return LABEL.sub(lambda match: labels.get(match[1], ""), self.legend)


@dataclass(frozen=True)
class Panel:
    """A panel.

    Attributes:
        kind: timeseries, or bargauge and stat, which show one instant.
        place: Its left, top, width and height in the grid.
    """

    title: str
    kind: str
    unit: str
    place: tuple[int, int, int, int]
    queries: tuple[Query, ...]

    @property
    def is_instant(self) -> bool:
        """Whether the panel shows one instant."""
        return self.kind != "timeseries"


def panels() -> list[Panel]:
    """Read the panels from the chart."""
    return [_panel(panel) for panel in json.loads(FILE.read_text())["panels"]]


def _panel(panel: Mapping[str, Any]) -> Panel:
    grid = panel["gridPos"]
    return Panel(
        title=panel["title"],
        kind=panel["type"],
        unit=panel["fieldConfig"]["defaults"]["unit"],
        place=(grid["x"], grid["y"], grid["w"], grid["h"]),
        queries=tuple(
            Query(_plain(target["expr"]), target["legendFormat"]) for target in panel["targets"]
        ),
    )


def _plain(expression: str) -> str:
    return expression.replace("$job", JOB).replace("$__rate_interval", RATE_INTERVAL)
