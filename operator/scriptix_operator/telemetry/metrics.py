"""Metrics for Prometheus, on a registry of their own; nothing is created at import.

Cardinality is bounded: labels are taken from small fixed sets (`call`, `outcome`, `phase`), with
two exceptions. The two gauges of a training carry its namespace and name, so that a dashboard can
show a run's progress; that is at most two series for each resource in the store. Watched namespaces
are labels, too: there are as many as the settings name. Run ids, model ids and keys are never
labels.
"""

from collections.abc import Iterator, Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from scriptix_operator.api.reasons import Outcome, Phase
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.status.gauges import NO_GAUGES, Gauges
from scriptix_operator.telemetry.health import Problems

__all__ = ["Metrics"]

API_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""From a fast reply to the time-out of a start."""
LAG_SECONDS = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300)
"""From an idle engine to one that is minutes late."""


class Metrics:
    """What the operator counts, by methods named after what happens; scraped through `registry`.

    Args:
        problems: The outstanding problems, read at each scrape.
    """

    def __init__(self, problems: Problems | None = None) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(_ProblemSeconds(problems or Problems()))
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._api_requests = Counter(
            "scriptix_api_requests_total",
            "Calls to the Scriptix API by kind of call and outcome.",
            ["call", "outcome"],
            registry=self.registry,
        )
        self._api_seconds = Histogram(
            "scriptix_api_request_seconds",
            "Time from a call's first byte to its reply or failure.",
            ["call"],
            buckets=API_SECONDS,
            registry=self.registry,
        )
        self._trainings = Gauge(
            "scriptix_trainings",
            "CustomModelTraining resources by phase.",
            ["phase"],
            registry=self.registry,
        )
        self._runs_started = Counter(
            "scriptix_runs_started_total",
            "Training runs that the API accepted from this operator.",
            registry=self.registry,
        )
        self._runs_finished = Counter(
            "scriptix_runs_finished_total",
            "Training runs that ended, by outcome.",
            ["outcome"],
            registry=self.registry,
        )
        self._status_writes = Counter(
            "scriptix_status_writes_total",
            "Writes of resource status by outcome.",
            ["outcome"],
            registry=self.registry,
        )
        self._ledger_writes = Counter(
            "scriptix_ledger_writes_total",
            "Writes of the start ledger by outcome.",
            ["outcome"],
            registry=self.registry,
        )
        self._reconciles = Counter(
            "scriptix_steps_total",
            "Reconciliations by result.",
            ["outcome"],
            registry=self.registry,
        )
        self._reconcile_errors = Counter(
            "scriptix_step_errors_total",
            "Reconciliations that ended in an unexpected error; each is logged.",
            registry=self.registry,
        )
        self._due_lag = Histogram(
            "scriptix_due_lag_seconds",
            "Work queue latency: time from due to the begin of the reconciliation.",
            buckets=LAG_SECONDS,
            registry=self.registry,
        )
        self._limits_observed = Counter(
            "scriptix_limits_learned_total",
            "Limits observed in replies of the API that were not known before, by kind of call.",
            ["call"],
            registry=self.registry,
        )
        self._queued = Gauge(
            "scriptix_start_queue_length",
            "Resources in the start queue, which wait for the start quota of their API key.",
            registry=self.registry,
        )
        self._poll_interval_ratio = Gauge(
            "scriptix_poll_stretch_ratio",
            "Requested over granted poll rate, for the most constrained API key (1 = "
            "unconstrained).",
            registry=self.registry,
        )
        self._circuits = Gauge(
            "scriptix_circuits_open",
            "API keys with an open circuit breaker.",
            registry=self.registry,
        )
        self._stalled = Gauge(
            "scriptix_trainings_stalled",
            "Running trainings without progress for longer than their stage ever took.",
            registry=self.registry,
        )
        self._unreadable = Gauge(
            "scriptix_trainings_unreadable",
            "CustomModelTraining resources with an unreadable field, for which nothing is started; "
            "their conditions and the log name the field.",
            registry=self.registry,
        )
        self._left_alone = Gauge(
            "scriptix_trainings_left_alone",
            "Resources that another installation serves and this one skips; /readyz names it.",
            registry=self.registry,
        )
        self._namespace_listed = Gauge(
            "scriptix_namespace_listed",
            "1 if the last list of a watched namespace succeeded, 0 if it failed; the namespace is "
            "empty if all namespaces are watched.",
            ["namespace"],
            registry=self.registry,
        )
        self._leader = Gauge(
            "scriptix_leader",
            "1 while this process is the leader, else 0.",
            registry=self.registry,
        )
        self._training_gauges = _TrainingGauges()
        self.registry.register(self._training_gauges)
        # Exposed from the start, so that the first run is seen as an increase.
        for outcome in Outcome:
            self._runs_finished.labels(outcome)
        self.phases({})

    def api_call(self, call: str, outcome: str, seconds: float) -> None:
        """Count a call to the API.

        Args:
            call: `start`, `status` or `log`.
            outcome: `OK` or a FailureKind.
            seconds: How long it took.
        """
        self._api_requests.labels(call, outcome).inc()
        self._api_seconds.labels(call).observe(seconds)

    def phases(self, counts: Mapping[Phase, int]) -> None:
        """Set the number of resources in each phase; a phase that is missing has none."""
        for phase in Phase:
            self._trainings.labels(phase).set(counts.get(phase, 0))

    def run_started(self) -> None:
        """Count a run that the API accepted."""
        self._runs_started.inc()

    def run_finished(self, outcome: Outcome) -> None:
        """Count a run that ended."""
        self._runs_finished.labels(outcome).inc()

    def status_written(self, outcome: str) -> None:
        """Count a write of status: `Written`, `Conflict`, `Gone` or `Failed`."""
        self._status_writes.labels(outcome).inc()

    def ledger_written(self, outcome: str) -> None:
        """Count a write of the start ledger: `Written`, `Conflict` or `Failed`."""
        self._ledger_writes.labels(outcome).inc()

    def reconciled(self, outcome: str, lag_seconds: float) -> None:
        """Count a reconcile and its latency; one before its due time counts as on time."""
        self._reconciles.labels(outcome).inc()
        self._due_lag.observe(max(0.0, lag_seconds))

    def reconcile_failed(self) -> None:
        """Count a reconcile that ended in an unexpected error."""
        self._reconcile_errors.inc()

    def limit_observed(self, call: str) -> None:
        """Count an observed limit of a kind of call."""
        self._limits_observed.labels(call).inc()

    def queued(self, count: int) -> None:
        """Set the number of resources that wait for a start."""
        self._queued.set(count)

    def poll_interval_ratio(self, ratio: float) -> None:
        """Set the ratio of requested to granted poll rate of the most constrained key."""
        self._poll_interval_ratio.set(ratio)

    def circuits_open(self, count: int) -> None:
        """Set the number of API keys whose circuit breaker is open."""
        self._circuits.set(count)

    def stalled(self, count: int) -> None:
        """Set the number of stalled runs."""
        self._stalled.set(count)

    def unreadable(self, count: int) -> None:
        """Set how many resources have a field that cannot be read."""
        self._unreadable.set(count)

    def left_alone(self, count: int) -> None:
        """Set how many resources another installation serves."""
        self._left_alone.set(count)

    def namespace_listed(self, namespace: str, *, is_listed: bool) -> None:
        """Set whether the last list of a watched namespace succeeded; empty: of all of them."""
        self._namespace_listed.labels(namespace).set(is_listed)

    def leading(self, *, leads: bool) -> None:
        """Set whether this process is the leader."""
        self._leader.set(leads)

    def training(self, key: TrainingKey, gauges: Gauges) -> None:
        """Set the gauges of a resource, replacing all earlier ones."""
        if gauges == NO_GAUGES:
            self._training_gauges.by_training.pop(key, None)
        else:
            self._training_gauges.by_training[key] = gauges


class _TrainingGauges(Collector):
    """The gauges of each resource. A prometheus_client Gauge would take some 2 KB per series."""

    def __init__(self) -> None:
        self.by_training: dict[TrainingKey, Gauges] = {}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        labels = ["namespace", "name"]
        progress = GaugeMetricFamily(
            "scriptix_training_progress_percent",
            "Progress of the run in status, 0 to 100.",
            labels=labels,
        )
        word_error_rate = GaugeMetricFamily(
            "scriptix_training_word_error_rate_percent",
            "Word error rate of the newest run that has one, in percent.",
            labels=labels,
        )
        # A copy: scrapes run in other threads than the one that sets the gauges.
        for key, gauges in self.by_training.copy().items():
            where = [key.namespace, key.name]
            if gauges.progress is not None:
                progress.add_metric(where, gauges.progress)
            if gauges.word_error_rate is not None:
                word_error_rate.add_metric(where, gauges.word_error_rate)
        yield progress
        yield word_error_rate


class _ProblemSeconds(Collector):
    """How long each part of the operator has failed, at the time of the scrape."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._sources: set[str] = set()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "scriptix_problem_seconds",
            "How long the oldest problem of a part of the operator has lasted; 0: no problem.",
            labels=["source"],
        )
        seconds = self._problems.seconds()
        self._sources |= seconds.keys()
        for source in sorted(self._sources):
            family.add_metric([source], seconds.get(source, 0.0))
        yield family
