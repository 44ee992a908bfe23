"""The types of telemetry/metric_table.py, and the label values that only metrics have."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Label", "Metric", "MetricType", "ReconcileResult", "SpanOutcome", "WriteOutcome"]


class ReconcileResult(StrEnum):
    """How a reconcile ended."""

    SUCCESS = "success"
    """The reconcile has done all that it could."""
    GONE = "gone"
    """The resource was deleted meanwhile."""
    POSTPONED = "postponed"
    """The cluster has refused a request or was unreachable; the reconcile is retried."""
    ERROR = "error"
    """An unexpected error, which is logged; the reconcile is retried."""


class WriteOutcome(StrEnum):
    """How a write to the cluster ended."""

    WRITTEN = "written"
    CONFLICT = "conflict"
    """The object has changed meanwhile; it is read again."""
    GONE = "gone"
    """The resource was deleted meanwhile."""
    FAILED = "failed"
    """The API server has refused the write or was unreachable."""


class SpanOutcome(StrEnum):
    """What became of a span."""

    SENT = "sent"
    DROPPED = "dropped"
    """The collector did not take the span in time."""


class MetricType(StrEnum):
    """Prometheus' name of a type."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Label:
    """A label of a metric."""

    name: str
    values: tuple[str, ...] = ()
    """All values; empty: the values are bounded as `meaning` says."""
    meaning: str = ""
    """The values, where they are not listed."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric."""

    name: str
    type: MetricType
    help: str
    """The meaning, in sentences."""
    labels: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets, in seconds, without +Inf."""
