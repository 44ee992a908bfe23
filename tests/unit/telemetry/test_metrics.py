"""telemetry/metrics.py: the scraped values after calls, runs and writes."""

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from scriptix_operator.api.reasons import Outcome, Phase
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.status.gauges import NO_GAUGES, Gauges
from scriptix_operator.telemetry.health import Problems
from scriptix_operator.telemetry.metrics import Metrics


def shown(metrics: Metrics, series: str, /, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(series, labels)


def test_calls_are_counted_by_kind_and_outcome_and_timed_by_kind() -> None:
    metrics = Metrics()
    metrics.api_call("status", "OK", 0.2)
    metrics.api_call("status", "RateLimited", 0.1)
    metrics.api_call("start", "OK", 2.0)
    assert shown(metrics, "scriptix_api_requests_total", call="status", outcome="OK") == 1
    assert shown(metrics, "scriptix_api_requests_total", call="status", outcome="RateLimited") == 1
    assert shown(metrics, "scriptix_api_requests_total", call="start", outcome="OK") == 1
    assert shown(metrics, "scriptix_api_request_seconds_count", call="status") == 2
    assert shown(metrics, "scriptix_api_request_seconds_sum", call="start") == 2.0


def test_phase_that_is_not_reported_has_no_trainings() -> None:
    metrics = Metrics()
    assert shown(metrics, "scriptix_trainings", phase="Queued") == 0
    metrics.phases({Phase.QUEUED: 3, Phase.RUNNING: 1})
    metrics.phases({Phase.RUNNING: 4})
    assert shown(metrics, "scriptix_trainings", phase="Queued") == 0
    assert shown(metrics, "scriptix_trainings", phase="Running") == 4


def test_runs_writes_and_reconciles_are_counted() -> None:
    metrics = Metrics()
    assert shown(metrics, "scriptix_runs_finished_total", outcome="Failed") == 0
    metrics.run_started()
    metrics.run_finished(Outcome.FAILED)
    metrics.status_written("Conflict")
    metrics.reconciled("Waiting", 0.5)
    metrics.reconciled("Waiting", -3.0)
    metrics.reconcile_failed()
    assert shown(metrics, "scriptix_runs_started_total") == 1
    assert shown(metrics, "scriptix_runs_finished_total", outcome="Failed") == 1
    assert shown(metrics, "scriptix_status_writes_total", outcome="Conflict") == 1
    assert shown(metrics, "scriptix_steps_total", outcome="Waiting") == 2
    assert shown(metrics, "scriptix_step_errors_total") == 1
    assert shown(metrics, "scriptix_due_lag_seconds_count") == 2
    assert shown(metrics, "scriptix_due_lag_seconds_sum") == 0.5


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


PROGRESS = "scriptix_training_progress_percent"
WORD_ERROR_RATE = "scriptix_training_word_error_rate_percent"


def test_series_of_a_training_follow_its_gauges() -> None:
    metrics = Metrics()
    for name in ("x", "y"):
        metrics.training(TrainingKey("team-a", name), Gauges(45, 12.5))
    metrics.training(TrainingKey("team-a", "x"), Gauges(46, None))
    assert shown(metrics, PROGRESS, namespace="team-a", name="x") == 46
    assert shown(metrics, WORD_ERROR_RATE, namespace="team-a", name="x") is None
    metrics.training(TrainingKey("team-a", "x"), NO_GAUGES)
    metrics.training(TrainingKey("team-a", "never-seen"), NO_GAUGES)
    assert shown(metrics, PROGRESS, namespace="team-a", name="x") is None
    assert shown(metrics, PROGRESS, namespace="team-a", name="y") == 45
    assert shown(metrics, WORD_ERROR_RATE, namespace="team-a", name="y") == 12.5


def test_two_instances_share_nothing_and_each_shows_its_process() -> None:
    first, second = Metrics(), Metrics()
    first.run_started()
    assert shown(second, "scriptix_runs_started_total") == 0
    families = {
        family.name
        for family in text_string_to_metric_families(generate_latest(second.registry).decode())
    }
    assert {"process_resident_memory_bytes", "python_info"} <= families


def test_every_metric_has_a_sentence_as_help_text() -> None:
    families = text_string_to_metric_families(generate_latest(Metrics().registry).decode())
    ours = [one for one in families if one.name.startswith("scriptix_")]
    assert len([one for one in ours if not one.name.endswith("_created")]) == 22
    assert [one.name for one in ours if not one.documentation.endswith(".")] == []
