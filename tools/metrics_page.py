"""Prints docs/reference/metrics.md, made from the table of metrics and the chart's alerts."""

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import yaml

from scriptix_operator.core.ratelimit.limits import format_duration
from scriptix_operator.telemetry.metric_table import GROUPS
from scriptix_operator.telemetry.metric_types import Label, Metric

__all__ = ["metrics_page"]

ALERTS: Final = Path(__file__).parents[1] / "charts" / "scriptix-operator" / "files" / "alerts.yaml"

INTRODUCTION = """\
# Metrics

<!-- Made from operator/scriptix_operator/telemetry/metric_table.py and
charts/scriptix-operator/files/alerts.yaml by `make docs`; edit them there. -->

The operator serves these metrics at `/metrics` (port 8080, `SCRIPTIX_HTTP_PORT`), beside
`process_*` and `python_info` of the Python client library. A series whose labels have the fixed
values of this page exists from the start. The series of a resource end with the resource, and
those of an API key end when no resource uses the key and no call counts against its quotas.
`key` is the fingerprint of an API key; the key itself is in no metric.

The chart's alerts are in charts/scriptix-operator/files/alerts.yaml, with a page for each in
[the runbook](../runbook/README.md). The chart's dashboard shows every metric of this page.
"""

HEADER = ("| Metric | Type | Labels | Meaning | Alerts |", "|---|---|---|---|---|")


def metrics_page(alerts: Iterable[Mapping[str, str]]) -> str:
    """The whole page as Markdown.

    Args:
        alerts: The alerts of the chart, each with `alert` (its name) and `expr`.
    """
    users: dict[str, list[str]] = {}
    for alert in alerts:
        for name in re.findall(r"\bscriptix_\w+", alert["expr"]):
            known = users.setdefault(name, [])
            if alert["alert"] not in known:
                known.append(alert["alert"])
    parts = [INTRODUCTION]
    for title, metrics in GROUPS.items():
        rows = (_row(metric, users) for metric in metrics)
        parts.append("\n".join((f"## {title}\n", *HEADER, *rows)) + "\n")
    return "\n".join(parts)


def _row(metric: Metric, users: Mapping[str, list[str]]) -> str:
    series = (metric.name, *(f"{metric.name}_{part}" for part in ("bucket", "count", "sum")))
    alerts = [f"`{alert}`" for name in series for alert in users.get(name, ())]
    meaning = metric.help
    if metric.buckets:
        meaning += f" Buckets: {', '.join(map(format_duration, metric.buckets))}."
    cells = (
        f"`{metric.name}`",
        metric.type.value,
        "<br>".join(map(_label, metric.labels)),
        meaning,
        "<br>".join(alerts),
    )
    return f"| {' | '.join(cells)} |"


def _label(label: Label) -> str:
    values = ", ".join(f"`{value}`" for value in label.values)
    return f"`{label.name}`: {values or label.meaning}"


if __name__ == "__main__":
    sys.stdout.write(metrics_page(yaml.safe_load(ALERTS.read_text(encoding="utf-8"))))
