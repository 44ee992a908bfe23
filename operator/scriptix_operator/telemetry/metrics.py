"""Figures for Prometheus, on a registry of their own; nothing is made at import.

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
"""From an idle engine to one that is minutes behind."""


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
            "Steps of the engine (one look at one resource) by outcome.",
            ["outcome"],
            registry=self.registry,
        )
        self._reconcile_errors = Counter(
            "scriptix_step_errors_total",
            "Steps that ended in an unexpected error; each is in the log.",
            registry=self.registry,
        )
        self._due_lag = Histogram(
            "scriptix_due_lag_seconds",
            "How much later than due a step began.",
            buckets=LAG_SECONDS,
            registry=self.registry,
        )
        self._limits_observed = Counter(
            "scriptix_limits_learned_total",
            "Times that the API's replies taught another limit than was known, by kind of call.",
            ["call"],
            registry=self.registry,
        )
        self._queued = Gauge(
            "scriptix_start_queue_length",
            "Resources that could start now and wait for the start allowance of their API key.",
            registry=self.registry,
        )
        self._poll_interval_ratio = Gauge(
            "scriptix_poll_stretch_ratio",
            "Looks at running trainings that are asked for over those that can be made, at the API "
            "key with the least room; 1: all are looked at as often as they ask for.",
            registry=self.registry,
        )
        self._circuits = Gauge(
            "scriptix_circuits_open",
            "API keys that are rejected, or that the API does not answer; they are only probed.",
            registry=self.registry,
        )
        self._stalled = Gauge(
            "scriptix_trainings_stalled",
            "Running trainings without progress for longer than their stage ever took.",
            registry=self.registry,
        )
        self._unreadable = Gauge(
            "scriptix_trainings_unreadable",
            "CustomModelTraining resources with a field that cannot be read, for which nothing is "
            "started; their conditions and the log name the field.",
            registry=self.registry,
        )
        self._left_alone = Gauge(
            "scriptix_trainings_left_alone",
            "Resources that another installation of the operator serves; /readyz names it.",
            registry=self.registry,
        )
        self._namespace_listed = Gauge(
            "scriptix_namespace_listed",
            "1 where the last list of a watched namespace succeeded, 0 where it failed; with all "
            "namespaces watched, the namespace is empty.",
            ["namespace"],
            registry=self.registry,
        )
        self._leader = Gauge(
            "scriptix_leader",
            "1 while this process is the one that works, else 0.",
            registry=self.registry,
        )
        self._training_gauges = _TrainingGauges()
        self.registry.register(self._training_gauges)
        # There from the start, so that the first one is seen as an increase.
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
        """Tell how many resources are in each phase; a phase that is not named has none."""
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
        """Count a step and how late it began; a step before its time counts as on time."""
        self._reconciles.labels(outcome).inc()
        self._due_lag.observe(max(0.0, lag_seconds))

    def reconcile_failed(self) -> None:
        """Count a step that ended in an unexpected error."""
        self._reconcile_errors.inc()

    def limit_observed(self, call: str) -> None:
        """Count that something was learned of the limit of a kind of call."""
        self._limits_observed.labels(call).inc()

    def queued(self, count: int) -> None:
        """Tell how many wait for a start."""
        self._queued.set(count)

    def poll_interval_ratio(self, ratio: float) -> None:
        """Tell how many times as many looks are asked for as can be made, at most."""
        self._poll_interval_ratio.set(ratio)

    def circuits_open(self, count: int) -> None:
        """Tell how many API keys are only probed."""
        self._circuits.set(count)

    def stalled(self, count: int) -> None:
        """Tell how many runs stand still."""
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
        """Tell whether this process is the one that works."""
        self._leader.set(leads)

    def training(self, key: TrainingKey, gauges: Gauges) -> None:
        """Set the gauges of a resource, in place of all that it had."""
        if gauges == NO_GAUGES:
            self._training_gauges.by_training.pop(key, None)
        else:
            self._training_gauges.by_training[key] = gauges


class _TrainingGauges(Collector):
    """The gauges of each resource. A Gauge of prometheus_client keeps some 2 KB for each series."""

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
        # A copy: scrapes are answered in other threads than the one that sets these.
        for key, gauges in self.by_training.copy().items():
            where = [key.namespace, key.name]
            if gauges.progress is not None:
                progress.add_metric(where, gauges.progress)
            if gauges.word_error_rate is not None:
                word_error_rate.add_metric(where, gauges.word_error_rate)
        yield progress
        yield word_error_rate


class _ProblemSeconds(Collector):
    """For how long each part of the operator has failed, as of the scrape."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._sources: set[str] = set()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "scriptix_problem_seconds",
            "How long the oldest problem of a part of the operator has lasted; 0: there is none.",
            labels=["source"],
        )
        seconds = self._problems.seconds()
        self._sources |= seconds.keys()
        for source in sorted(self._sources):
            family.add_metric([source], seconds.get(source, 0.0))
        yield family
