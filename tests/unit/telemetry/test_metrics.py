"""telemetry/metrics.py: a scrape returns the table, with the values of what has happened."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.parser import text_string_to_metric_families

from scriptix_operator import __version__
from scriptix_operator.api.reasons import FailureReason, Outcome, Phase, Reason, Stage
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.ratelimit.limiter import LimitUse
from scriptix_operator.core.ratelimit.limits import Limit
from scriptix_operator.core.scheduling.calls import Call
from scriptix_operator.core.scheduling.circuit_breaker import OpenCause
from scriptix_operator.core.scheduling.key_scheduler import KeyState
from scriptix_operator.core.status.gauges import NO_GAUGES, Gauges
from scriptix_operator.core.status.run_measures import RunMeasures
from scriptix_operator.telemetry.health import Problems
from scriptix_operator.telemetry.metric_table import METRICS
from scriptix_operator.telemetry.metric_types import (
    Metric,
    MetricType,
    NotificationResult,
    ReconcileResult,
    WriteOutcome,
)
from scriptix_operator.telemetry.metrics import Metrics

KEY, OTHER_KEY = "0123456789ab", "ba9876543210"
EIGHT = datetime(2025, 1, 16, 8, tzinfo=UTC)


def shown(metrics: Metrics, series: str, /, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(series, labels)


def a_state(**facts: Any) -> KeyState:  # noqa: ANN401 - values of its fields
    """The state of a key with one quota."""
    quotas = {Call.START: (LimitUse(Limit(5, 3600.0), 2),)}
    given = {
        "quotas": quotas,
        "start_queue_length": 0,
        "poll_interval_ratio": 1.0,
        "open_cause": None,
        "is_used": True,
    }
    return KeyState(**{**given, **facts})


# The table.


def scraped() -> dict[str, Family]:
    """Scrape a process in which everything has happened once."""
    problems = Problems()
    problems.report("Watch", "The watch fails.")
    metrics = Metrics(problems)
    for call in Call:
        metrics.api_call(call, "2xx", 1)
    metrics.namespace_listed("n", is_listed=True)
    metrics.training(TrainingKey("n", "t"), Gauges(1, 1.0, EIGHT, EIGHT, 1, EIGHT))
    quotas = dict.fromkeys(Call, (LimitUse(Limit(5, 3600.0), 2),))
    metrics.keys({KEY: a_state(quotas=quotas)})
    families = text_string_to_metric_families(generate_latest(metrics.registry).decode())
    ours = (one for one in families if one.name.startswith("scriptix_"))
    return {one.name: one for one in ours if not one.name.endswith("_created")}


def family_name(metric: Metric) -> str:
    """The name that the parser gives: that of a counter has no suffix."""
    is_counter = metric.type is MetricType.COUNTER
    return metric.name.removesuffix("_total") if is_counter else metric.name


def test_scrape_has_the_metrics_of_the_table_and_no_others() -> None:
    assert sorted(scraped()) == sorted(map(family_name, METRICS))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: str(metric.name))
def test_scrape_has_type_help_and_labels_of_the_table(metric: Metric) -> None:
    family = scraped()[family_name(metric)]
    assert (family.type, family.documentation) == (metric.type.value, metric.help)
    series = [one.labels for one in family.samples]
    assert {frozenset(labels.keys() - {"le"}) for labels in series} == {
        frozenset(label.name for label in metric.labels)
    }
    for label in metric.labels:
        assert bool(label.values) is not bool(label.meaning)
        assert not label.values or {labels[label.name] for labels in series} == {*label.values}
    bounds = {labels["le"] for labels in series if "le" in labels}
    assert bounds == ({*map(str, map(float, metric.buckets)), "+Inf"} if metric.buckets else set())


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: str(metric.name))
def test_names_follow_the_conventions_of_prometheus(metric: Metric) -> None:
    assert re.fullmatch(r"scriptix_[a-z0-9]+(_[a-z0-9]+)*", metric.name)
    assert metric.name.endswith("_total") == (metric.type is MetricType.COUNTER)
    assert bool(metric.buckets) == (metric.type is MetricType.HISTOGRAM)
    assert not metric.buckets or metric.name.endswith("_seconds")
    # Base units only; a word error rate is a percentage everywhere.
    units = ("_milliseconds", "_minutes", "_hours", "_percent", "_kilobytes")
    assert metric.name.endswith("_word_error_rate_percent") or not metric.name.endswith(units)
    assert metric.help.endswith(".")


# The operator.


def test_version_is_shown() -> None:
    assert shown(Metrics(), "scriptix_build_info", version=__version__) == 1


def test_reconciles_are_counted_by_result_and_timed() -> None:
    metrics = Metrics()
    assert shown(metrics, "scriptix_reconcile_total", result="error") == 0
    metrics.reconciled(ReconcileResult.SUCCESS, 0.5, 2.0)
    metrics.reconciled(ReconcileResult.ERROR, -3.0, 1.0)
    assert shown(metrics, "scriptix_reconcile_total", result="success") == 1
    assert shown(metrics, "scriptix_reconcile_total", result="error") == 1
    assert shown(metrics, "scriptix_reconcile_duration_seconds_sum") == 3.0
    assert shown(metrics, "scriptix_workqueue_latency_seconds_count") == 2
    assert shown(metrics, "scriptix_workqueue_latency_seconds_sum") == 0.5


def test_writes_are_counted_by_outcome() -> None:
    metrics = Metrics()
    metrics.quota_written(WriteOutcome.FAILED)
    assert shown(metrics, "scriptix_quota_writes_total", outcome="failed") == 1
    assert shown(metrics, "scriptix_quota_writes_total", outcome="written") == 0
    metrics.status_written(WriteOutcome.CONFLICT)
    metrics.ledger_written(WriteOutcome.FAILED)
    assert shown(metrics, "scriptix_status_writes_total", outcome="conflict") == 1
    assert shown(metrics, "scriptix_ledger_writes_total", outcome="failed") == 1


def test_notifications_are_counted_by_result() -> None:
    metrics = Metrics()
    metrics.notification(NotificationResult.DELIVERED)
    assert shown(metrics, "scriptix_notifications_total", result="delivered") == 1
    assert shown(metrics, "scriptix_notifications_total", result="expired") == 0


def test_leading_is_one_or_zero() -> None:
    metrics = Metrics()
    metrics.leading(leads=True)
    assert shown(metrics, "scriptix_leader") == 1
    metrics.leading(leads=False)
    assert shown(metrics, "scriptix_leader") == 0


def test_problem_seconds_return_to_zero_when_cleared() -> None:
    now = [100.0]
    problems = Problems(lambda: now[0])
    metrics = Metrics(problems)
    problems.report("Namespaces", "Namespace b is not listed.", subject="b")
    now[0] += 30.0
    problems.report("Namespaces", "Namespace c is not listed.", subject="c")
    assert shown(metrics, "scriptix_problem_seconds", source="Namespaces") == 30.0
    problems.clear("Namespaces", "b")
    assert shown(metrics, "scriptix_problem_seconds", source="Namespaces") == 0.0
    problems.clear("Namespaces", "c")
    assert shown(metrics, "scriptix_problem_seconds", source="Namespaces") == 0.0


def test_two_instances_share_nothing_and_each_shows_its_process() -> None:
    first, second = Metrics(), Metrics()
    first.run_measured(RunMeasures(is_started=True))
    assert shown(second, "scriptix_runs_started_total") == 0
    families = {
        family.name
        for family in text_string_to_metric_families(generate_latest(second.registry).decode())
    }
    assert {"process_resident_memory_bytes", "python_info"} <= families


# Trainings.


def test_phase_or_reason_that_is_not_reported_has_no_trainings() -> None:
    metrics = Metrics()
    metrics.phases({Phase.QUEUED: 3, Phase.RUNNING: 1})
    metrics.phases({Phase.RUNNING: 4})
    assert shown(metrics, "scriptix_trainings", phase="Queued") == 0
    assert shown(metrics, "scriptix_trainings", phase="Running") == 4
    metrics.waiting({"ModelInUse": 2})
    metrics.waiting({"RateLimited": 1})
    assert shown(metrics, "scriptix_trainings_waiting", reason="ModelInUse") == 0
    assert shown(metrics, "scriptix_trainings_waiting", reason="RateLimited") == 1
    metrics.stages({Stage.FINE_TUNING: 2})
    metrics.stages({Stage.MAIN_TRAINING: 1})
    assert shown(metrics, "scriptix_trainings_in_stage", stage="FineTuning") == 0
    assert shown(metrics, "scriptix_trainings_in_stage", stage="MainTraining") == 1
    metrics.blocked({"SecretNotFound": 2})
    metrics.blocked({"Unauthorized": 1})
    assert shown(metrics, "scriptix_trainings_blocked", reason="SecretNotFound") == 0
    assert shown(metrics, "scriptix_trainings_blocked", reason="Unauthorized") == 1


PROGRESS = "scriptix_training_progress_ratio"
WORD_ERROR_RATE = "scriptix_training_word_error_rate_percent"
PUBLISHED = "scriptix_training_published_timestamp_seconds"
COMPLETION = "scriptix_training_estimated_completion_timestamp_seconds"
POSITION = "scriptix_training_queue_position"
START = "scriptix_training_estimated_start_timestamp_seconds"


def test_process_that_does_not_lead_counts_no_resources() -> None:
    metrics = Metrics()
    metrics.phases({Phase.RUNNING: 2})
    metrics.waiting({Reason.OBSERVED: 2})
    metrics.blocked({FailureReason.UNAUTHORIZED: 2})
    metrics.stages({Stage.FINE_TUNING: 2})
    metrics.stalled(2)
    metrics.unreadable(2)
    metrics.served_elsewhere(2)
    metrics.leading(leads=False)
    counted = [
        sample
        for family in metrics.registry.collect()
        if family.name.startswith("scriptix_trainings")
        for sample in family.samples
    ]
    assert counted
    assert [sample for sample in counted if sample.value] == []


def test_series_of_a_training_follow_its_gauges() -> None:
    metrics = Metrics()
    nine = EIGHT + timedelta(hours=1)
    ten = EIGHT + timedelta(hours=2)
    for name in ("x", "y"):
        metrics.training(TrainingKey("team-a", name), Gauges(0.45, 12.5, EIGHT, nine, 3, ten))
    metrics.training(TrainingKey("team-a", "x"), Gauges(0.46, None))
    assert shown(metrics, PROGRESS, namespace="team-a", name="x") == 0.46
    assert shown(metrics, WORD_ERROR_RATE, namespace="team-a", name="x") is None
    metrics.training(TrainingKey("team-a", "x"), NO_GAUGES)
    metrics.training(TrainingKey("team-a", "never-seen"), NO_GAUGES)
    assert shown(metrics, PROGRESS, namespace="team-a", name="x") is None
    assert shown(metrics, PROGRESS, namespace="team-a", name="y") == 0.45
    assert shown(metrics, WORD_ERROR_RATE, namespace="team-a", name="y") == 12.5
    assert shown(metrics, PUBLISHED, namespace="team-a", name="y") == EIGHT.timestamp()
    assert shown(metrics, COMPLETION, namespace="team-a", name="y") == nine.timestamp()
    assert shown(metrics, POSITION, namespace="team-a", name="y") == 3
    assert shown(metrics, START, namespace="team-a", name="y") == ten.timestamp()


def test_measures_of_a_run_are_counted() -> None:
    metrics = Metrics()
    assert shown(metrics, "scriptix_runs_finished_total", outcome="Failed") == 0
    metrics.run_measured(RunMeasures(is_started=True, queue_seconds=7200.0))
    metrics.run_measured(RunMeasures(outcome=Outcome.FAILED, detection_seconds=40.0))
    metrics.run_measured(
        RunMeasures(
            outcome=Outcome.SUCCEEDED, run_seconds=5400.0, is_p50_held=False, is_p90_held=True
        )
    )
    assert shown(metrics, "scriptix_runs_started_total") == 1
    assert shown(metrics, "scriptix_runs_finished_total", outcome="Failed") == 1
    wait, run = "scriptix_training_queue_wait_seconds", "scriptix_training_run_duration_seconds"
    assert shown(metrics, f"{wait}_bucket", le="7200.0") == 1
    assert shown(metrics, f"{wait}_bucket", le="3600.0") == 0
    assert shown(metrics, f"{run}_count", outcome="Failed") == 0
    assert shown(metrics, f"{run}_sum", outcome="Succeeded") == 5400.0
    detection = "scriptix_training_end_detection_seconds"
    assert shown(metrics, f"{detection}_count") == 1
    assert shown(metrics, f"{detection}_sum") == 40.0
    held = "scriptix_estimate_held_total"
    assert shown(metrics, held, bound="p50", held="false") == 1
    assert shown(metrics, held, bound="p50", held="true") == 0
    assert shown(metrics, held, bound="p90", held="true") == 1


# The Scriptix API.


def test_calls_are_counted_by_operation_and_code() -> None:
    metrics = Metrics()
    metrics.api_call(Call.STATUS, "2xx", 0.2)
    metrics.api_call(Call.STATUS, "429", 0.1)
    metrics.api_call(Call.START, "2xx", 2.0)
    requests = "scriptix_api_requests_total"
    assert shown(metrics, requests, operation="status", code="2xx") == 1
    assert shown(metrics, requests, operation="status", code="429") == 1
    assert shown(metrics, requests, operation="start", code="2xx") == 1
    duration = "scriptix_api_request_duration_seconds"
    assert shown(metrics, f"{duration}_count", operation="status") == 2
    assert shown(metrics, f"{duration}_sum", operation="start") == 2.0


def test_series_of_a_key_end_when_the_key_is_forgotten() -> None:
    metrics = Metrics()
    metrics.keys(
        {
            KEY: a_state(
                start_queue_length=4, poll_interval_ratio=3.0, open_cause=OpenCause.KEY_REJECTED
            ),
            OTHER_KEY: a_state(),
        }
    )
    quota = {"operation": "start", "key": KEY, "window": "1h"}
    circuit, ratio = "scriptix_circuit_breaker_open", "scriptix_poll_interval_ratio"
    assert shown(metrics, "scriptix_api_quota_limit", **quota) == 5
    assert shown(metrics, "scriptix_api_quota_used", **quota) == 2
    assert shown(metrics, circuit, key=KEY, cause="key_rejected") == 1
    assert shown(metrics, circuit, key=KEY, cause="api_unreachable") == 0
    assert shown(metrics, circuit, key=OTHER_KEY, cause="key_rejected") == 0
    assert shown(metrics, ratio, key=KEY) == 3.0
    assert shown(metrics, "scriptix_start_queue_length", key=KEY) == 4
    metrics.keys({KEY: a_state(is_used=False)})
    assert shown(metrics, "scriptix_api_quota_used", **quota) == 2
    assert shown(metrics, circuit, key=KEY, cause="key_rejected") is None
    assert shown(metrics, ratio, key=KEY) is None
    metrics.keys({})
    assert shown(metrics, "scriptix_api_quota_used", **quota) is None
