"""Metrics for Prometheus, on a registry of their own; nothing is created at import.

telemetry/metric_table.py has each metric with its labels and meaning. Each method of Metrics is
named for what happens. A series whose labels have fixed values exists from the start, so that its
first event is seen as an increase.
"""

from collections.abc import Mapping
from itertools import product
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.metrics import MetricWrapperBase

from scriptix_operator import __version__
from scriptix_operator.api.reasons import Phase, Stage
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.scheduling.calls import Call
from scriptix_operator.core.scheduling.key_scheduler import KeyState
from scriptix_operator.core.status.gauges import NO_GAUGES, Gauges
from scriptix_operator.core.status.run_measures import RunMeasures
from scriptix_operator.core.status.waiting import BLOCKING_REASONS, WAITING_REASONS
from scriptix_operator.telemetry import metric_table as table
from scriptix_operator.telemetry.collectors import KeyStates, ProblemSeconds, TrainingGauges
from scriptix_operator.telemetry.health import Problems
from scriptix_operator.telemetry.metric_types import (
    Metric,
    NotificationResult,
    ReconcileResult,
    SpanOutcome,
    WriteOutcome,
)

__all__ = ["Metrics"]

_Made = TypeVar("_Made", bound=MetricWrapperBase)


class Metrics:
    """What the operator counts; scraped through `registry`.

    Args:
        problems: The outstanding problems, read at each scrape.
    """

    def __init__(self, problems: Problems | None = None) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._reconciles = self._make(Counter, table.RECONCILES)
        self._reconcile_duration = self._make_histogram(table.RECONCILE_DURATION)
        self._workqueue_depth = self._make(Gauge, table.WORKQUEUE_DEPTH)
        self._workqueue_latency = self._make_histogram(table.WORKQUEUE_LATENCY)
        self._leader = self._make(Gauge, table.LEADER)
        self._make(Gauge, table.BUILD_INFO).labels(__version__).set(1)
        self._status_writes = self._make(Counter, table.STATUS_WRITES)
        self._ledger_writes = self._make(Counter, table.LEDGER_WRITES)
        self._quota_writes = self._make(Counter, table.QUOTA_WRITES)
        self._notifications = self._make(Counter, table.NOTIFICATIONS)
        self._trace_spans = self._make(Counter, table.TRACE_SPANS)
        self._namespace_listed = self._make(Gauge, table.NAMESPACE_LISTED)
        self._trainings = self._make(Gauge, table.TRAININGS)
        self._waiting = self._make(Gauge, table.TRAININGS_WAITING)
        self._blocked = self._make(Gauge, table.TRAININGS_BLOCKED)
        self._stages = self._make(Gauge, table.STAGES)
        self._stalled = self._make(Gauge, table.TRAININGS_STALLED)
        self._unreadable = self._make(Gauge, table.TRAININGS_UNREADABLE)
        self._served_elsewhere = self._make(Gauge, table.TRAININGS_SERVED_ELSEWHERE)
        self._runs_started = self._make(Counter, table.RUNS_STARTED)
        self._runs_finished = self._make(Counter, table.RUNS_FINISHED)
        self._run_duration = self._make_histogram(table.RUN_DURATION)
        self._detection = self._make_histogram(table.DETECTION)
        self._queue_wait = self._make_histogram(table.QUEUE_WAIT)
        self._estimate_held = self._make(Counter, table.ESTIMATE_HELD)
        self._api_requests = self._make(Counter, table.API_REQUESTS)
        self._api_duration = self._make_histogram(table.API_DURATION)
        self._limits_observed = self._make(Counter, table.LIMITS_OBSERVED)
        self._training_gauges, self._key_states = TrainingGauges(), KeyStates()
        self.registry.register(self._training_gauges)
        self.registry.register(self._key_states)
        self.registry.register(ProblemSeconds(problems or Problems()))

    def _make(self, kind: type[_Made], metric: Metric) -> _Made:
        made = kind(metric.name, metric.help, _names(metric), registry=self.registry)
        return _with_series(made, metric)

    def _make_histogram(self, metric: Metric) -> Histogram:
        made = Histogram(
            metric.name,
            metric.help,
            _names(metric),
            buckets=metric.buckets,
            registry=self.registry,
        )
        return _with_series(made, metric)

    # The operator.

    def reconciled(self, result: ReconcileResult, latency: float, seconds: float) -> None:
        """Count a reconcile.

        Args:
            result: How the reconcile ended.
            latency: Seconds from when the resource was due to the begin; below 0 counts as 0.
            seconds: Duration of the reconcile.
        """
        self._reconciles.labels(result).inc()
        self._workqueue_latency.observe(max(0.0, latency))
        self._reconcile_duration.observe(seconds)

    def workqueue_depth(self, count: int) -> None:
        """Set the number of resources that are due and not being reconciled."""
        self._workqueue_depth.set(count)

    def leading(self, *, leads: bool) -> None:
        """Set whether this process is the leader; only a leader has figures of resources."""
        self._leader.set(leads)
        if not leads:
            self._training_gauges.by_training.clear()
            self._key_states.by_key = {}
            self.phases({})
            self.waiting({})
            self.blocked({})
            self.stages({})
            self.stalled(0)
            self.unreadable(0)
            self.served_elsewhere(0)

    def status_written(self, outcome: WriteOutcome) -> None:
        """Count a write of status."""
        self._status_writes.labels(outcome).inc()

    def ledger_written(self, outcome: WriteOutcome) -> None:
        """Count a write of the start ledger."""
        self._ledger_writes.labels(outcome).inc()

    def quota_written(self, outcome: WriteOutcome) -> None:
        """Count a write of the quota ConfigMap."""
        self._quota_writes.labels(outcome).inc()

    def notification(self, result: NotificationResult) -> None:
        """Count an attempt to send a notification."""
        self._notifications.labels(result).inc()

    def spans_sent(self, count: int, *, is_taken: bool) -> None:
        """Count spans that were sent to the collector, whether it has taken them or not."""
        outcome = SpanOutcome.SENT if is_taken else SpanOutcome.DROPPED
        self._trace_spans.labels(outcome).inc(count)

    def namespace_listed(self, namespace: str, *, is_listed: bool) -> None:
        """Set whether the last list of a watched namespace succeeded; empty: of all of them."""
        self._namespace_listed.labels(namespace).set(is_listed)

    # Trainings.

    def phases(self, counts: Mapping[Phase, int]) -> None:
        """Set the number of resources in each phase; a phase that is missing has none."""
        for phase in Phase:
            self._trainings.labels(phase).set(counts.get(phase, 0))

    def waiting(self, counts: Mapping[str, int]) -> None:
        """Set the number of waiting resources for each reason; a missing reason has none."""
        for reason in WAITING_REASONS:
            self._waiting.labels(reason).set(counts.get(reason, 0))

    def blocked(self, counts: Mapping[str, int]) -> None:
        """Set the number of blocked resources for each reason; a missing reason has none."""
        for reason in BLOCKING_REASONS:
            self._blocked.labels(reason).set(counts.get(reason, 0))

    def stages(self, counts: Mapping[Stage, int]) -> None:
        """Set the number of running trainings in each stage; a stage that is missing has none."""
        for stage in Stage:
            self._stages.labels(stage).set(counts.get(stage, 0))

    def stalled(self, count: int) -> None:
        """Set the number of stalled runs."""
        self._stalled.set(count)

    def unreadable(self, count: int) -> None:
        """Set how many resources have a field that cannot be read."""
        self._unreadable.set(count)

    def served_elsewhere(self, count: int) -> None:
        """Set how many resources another installation serves."""
        self._served_elsewhere.set(count)

    def training(self, key: TrainingKey, gauges: Gauges) -> None:
        """Set the gauges of a resource, replacing all earlier ones."""
        if gauges == NO_GAUGES:
            self._training_gauges.by_training.pop(key, None)
        else:
            self._training_gauges.by_training[key] = gauges

    def run_measured(self, measures: RunMeasures) -> None:
        """Count what a change of status shows of a run."""
        if measures.is_started:
            self._runs_started.inc()
        if measures.queue_seconds is not None:
            self._queue_wait.observe(measures.queue_seconds)
        if measures.detection_seconds is not None:
            self._detection.observe(measures.detection_seconds)
        if measures.outcome is not None:
            self._runs_finished.labels(measures.outcome).inc()
            if measures.run_seconds is not None:
                self._run_duration.labels(measures.outcome).observe(measures.run_seconds)
        for bound, is_held in (("p50", measures.is_p50_held), ("p90", measures.is_p90_held)):
            if is_held is not None:
                self._estimate_held.labels(bound, "true" if is_held else "false").inc()

    # The Scriptix API.

    def api_call(self, call: Call, code: str, seconds: float) -> None:
        """Count a call to the API.

        Args:
            call: The kind of call.
            code: How the call ended, as core/model/remote.py: code_of.
            seconds: How long the call took.
        """
        self._api_requests.labels(call, code).inc()
        self._api_duration.labels(call).observe(seconds)

    def limit_observed(self, call: Call) -> None:
        """Count an observed limit of a kind of call."""
        self._limits_observed.labels(call).inc()

    def keys(self, states: Mapping[str, KeyState]) -> None:
        """Set the state of all API keys by fingerprint, replacing all earlier ones."""
        self._key_states.by_key = states


def _names(metric: Metric) -> list[str]:
    return [label.name for label in metric.labels]


def _with_series(made: _Made, metric: Metric) -> _Made:
    """With all series, where each label has fixed values."""
    if metric.labels and all(label.values for label in metric.labels):
        for values in product(*(label.values for label in metric.labels)):
            made.labels(*values)
    return made
