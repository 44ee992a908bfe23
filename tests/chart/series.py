"""The series and labels of the operator, and expressions that use others."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from itertools import chain

from scriptix_operator.telemetry.metric_table import METRICS
from scriptix_operator.telemetry.metric_types import MetricType

__all__ = ["GROUPING", "SERIES", "exposed", "faults"]

SERIES = re.compile(r"\b((?:scriptix|process)_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(?:=|!=|=~|!~)"([^"]*)"')
GROUPING = re.compile(r"\bby \(([^)]*)\)")
OF_THE_TARGET = {"job", "pod"}
"""Labels that Prometheus adds to scraped series."""
TEXTS: dict[str, set[str]] = {
    "code": {"2xx", "unusable", "none", *(str(status.value) for status in HTTPStatus)},
    "job": {"scriptix-system/scriptix-operator", "$job"},
}
for label in chain(*(metric.labels for metric in METRICS)):
    if label.values:
        TEXTS.setdefault(label.name, set()).update(label.values)
"""Label values that an expression may use."""


def exposed() -> dict[str, set[str]]:
    """Return the labels of each series of the operator.

    tests/unit/telemetry/test_metrics.py compares the table with a scrape.
    """
    process = {"process_resident_memory_bytes", "process_cpu_seconds_total"}
    series: dict[str, set[str]] = {name: set() for name in process}
    for metric in METRICS:
        labels = {label.name for label in metric.labels}
        if metric.type is MetricType.HISTOGRAM:
            series |= {f"{metric.name}_count": labels, f"{metric.name}_sum": labels}
            series[f"{metric.name}_bucket"] = labels | {"le"}
        else:
            series[metric.name] = labels
    return series


def faults(expression: str) -> Iterator[str]:
    """Name the series and labels of an expression that the operator lacks."""
    series = exposed()
    for name, matchers in SERIES.findall(expression):
        if name not in series:
            yield f"no series {name}"
            continue
        for label, text in MATCHER.findall(matchers):
            if label not in series[name] | OF_THE_TARGET:
                yield f"{name} has no label {label}"
            elif text not in TEXTS[label]:
                yield f"{label} is never {text}"
    labels = {label for name, _ in SERIES.findall(expression) for label in series.get(name, ())}
    for grouping in GROUPING.findall(expression):
        yield from (f"no label {g}" for g in grouping.split(", ") if g not in labels)
