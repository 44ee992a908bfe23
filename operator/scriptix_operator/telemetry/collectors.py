"""Metrics that are put together at each scrape.

Their series come and go with resources and API keys. Scrapes run in other threads than the engine:
a collector reads only what the engine replaces as a whole, or a copy.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limits import format_duration
from scriptix_operator.core.scheduling.circuit_breaker import OpenCause
from scriptix_operator.core.scheduling.key_scheduler import KeyState
from scriptix_operator.core.status.gauges import Gauges
from scriptix_operator.telemetry import metric_table as table
from scriptix_operator.telemetry.health import Problems
from scriptix_operator.telemetry.metric_types import Metric

__all__ = ["KeyStates", "ProblemSeconds", "TrainingGauges"]


OF_TRAININGS = (
    table.PROGRESS,
    table.WORD_ERROR_RATE,
    table.PUBLISHED,
    table.COMPLETION,
    table.QUEUE_POSITION,
    table.START,
)
"""The metrics of each resource, in the order of the fields of Gauges."""


def _family(metric: Metric) -> GaugeMetricFamily:
    labels = [label.name for label in metric.labels]
    return GaugeMetricFamily(metric.name, metric.help, labels=labels)


class TrainingGauges(Collector):
    """The gauges of each resource. A prometheus_client Gauge would take some 2 KB per series."""

    def __init__(self) -> None:
        self.by_training: dict[TrainingKey, Gauges] = {}

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families of all resources."""
        families = {metric: _family(metric) for metric in OF_TRAININGS}
        for key, gauges in self.by_training.copy().items():
            for metric, value in zip(OF_TRAININGS, gauges, strict=True):
                if isinstance(value, datetime):
                    families[metric].add_metric([key.namespace, key.name], value.timestamp())
                elif value is not None:
                    families[metric].add_metric([key.namespace, key.name], value)
        yield from families.values()


class KeyStates(Collector):
    """The state of each API key."""

    def __init__(self) -> None:
        self.by_key: Mapping[str, KeyState] = {}
        """By fingerprint; replaced as a whole."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the families of all keys."""
        limit, used = _family(table.QUOTA_LIMIT), _family(table.QUOTA_USED)
        circuit, ratio = _family(table.CIRCUIT_OPEN), _family(table.POLL_INTERVAL_RATIO)
        queue = _family(table.START_QUEUE_LENGTH)
        for key, state in self.by_key.items():
            for call, uses in state.quotas.items():
                for use in uses:
                    labels = [call.value, key, format_duration(use.limit.seconds)]
                    limit.add_metric(labels, use.limit.count)
                    used.add_metric(labels, use.used)
            if state.is_used:
                queue.add_metric([key], state.start_queue_length)
                ratio.add_metric([key], state.poll_interval_ratio)
                for cause in OpenCause:
                    circuit.add_metric([key, cause.value], float(state.open_cause is cause))
        yield limit
        yield used
        yield queue
        yield circuit
        yield ratio


class ProblemSeconds(Collector):
    """How long each part of the operator has failed, at the time of the scrape."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._sources: set[str] = set()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield the family of all sources that ever had a problem."""
        family = _family(table.PROBLEM_SECONDS)
        seconds = self._problems.seconds()
        self._sources |= seconds.keys()
        for source in sorted(self._sources):
            family.add_metric([source], seconds.get(source, 0.0))
        yield family
