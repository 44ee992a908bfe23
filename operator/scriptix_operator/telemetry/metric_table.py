"""The metrics: name, type, labels and meaning of each, in one table.

telemetry/metrics.py makes the metrics from the table, and tools/metrics_page.py the reference page
docs/reference/metrics.md. Names follow Prometheus and controller-runtime: base units, `_total` for
counters, and labels with few values. A label with a fixed set of values has them in the table; the
others are bounded by the resources, the API keys and the settings. Run ids, model ids and keys are
never labels. A value that status shows, such as a phase, is spelled as there; others are in snake
case.
"""

from itertools import chain
from typing import Final

from scriptix_operator.api.reasons import Outcome, Phase, Stage
from scriptix_operator.core.scheduling.calls import Call
from scriptix_operator.core.scheduling.circuit_breaker import OpenCause
from scriptix_operator.core.status.waiting import BLOCKING_REASONS, WAITING_REASONS
from scriptix_operator.telemetry.metric_types import (
    Label,
    Metric,
    MetricType,
    ReconcileResult,
    SpanOutcome,
    WriteOutcome,
)

__all__ = ["GROUPS", "METRICS"]

HOUR = 3600.0
RECONCILE_SECONDS = (0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 150.0)
"""From a reconcile without a call to one that fetches a log."""
LATENCY_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0)
"""From an idle engine to one that is minutes late."""
API_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""From a fast reply to the time-out of a start."""
RUN_HOURS = (0.5, 1, 2, 4, 6, 8, 12, 16, 20, 24, 36, 48, 72)
"""A run of the API's document takes 20 hours."""
DETECTION_SECONDS = (5, 15, 30, 60, 120, 300, 600, 1800, 3600, 14400)
"""From polls close to the estimated end to an operator that was down for hours."""
QUEUE_HOURS = (1 / 60, 0.25, 0.5, 1, 2, 4, 8, 12, 24, 48, 168)
"""From a start that was free soon to a week in the start queue."""

NAMESPACE = Label("namespace", meaning="namespace of the resource")
NAME = Label("name", meaning="name of the resource")
KEY = Label("key", meaning="fingerprint of the API key, as in `status.run.keyFingerprint`")
OPERATION = Label("operation", tuple(Call))

_GAUGE, _COUNTER, _HISTOGRAM = MetricType.GAUGE, MetricType.COUNTER, MetricType.HISTOGRAM

RECONCILES: Final = Metric(
    "scriptix_reconcile_total",
    _COUNTER,
    "Reconciles by result; an error is a bug, and its traceback is in the log.",
    (Label("result", tuple(ReconcileResult)),),
)
RECONCILE_DURATION: Final = Metric(
    "scriptix_reconcile_duration_seconds",
    _HISTOGRAM,
    "Duration of a reconcile, with its calls to the API and its writes.",
    buckets=RECONCILE_SECONDS,
)
WORKQUEUE_DEPTH: Final = Metric(
    "scriptix_workqueue_depth",
    _GAUGE,
    "Resources that are due and not being reconciled, counted every 5 seconds.",
)
WORKQUEUE_LATENCY: Final = Metric(
    "scriptix_workqueue_latency_seconds",
    _HISTOGRAM,
    "Time from when a resource is due to the begin of its reconcile.",
    buckets=LATENCY_SECONDS,
)
LEADER: Final = Metric("scriptix_leader", _GAUGE, "1 while this process is the leader, else 0.")
BUILD_INFO: Final = Metric(
    "scriptix_build_info",
    _GAUGE,
    "1; the label has the version of the operator.",
    (Label("version", meaning="version of the operator"),),
)
STATUS_WRITES: Final = Metric(
    "scriptix_status_writes_total",
    _COUNTER,
    "Writes of resource status by outcome.",
    (Label("outcome", tuple(WriteOutcome)),),
)
LEDGER_WRITES: Final = Metric(
    "scriptix_ledger_writes_total",
    _COUNTER,
    "Writes of the start ledger by outcome.",
    (Label("outcome", (WriteOutcome.WRITTEN, WriteOutcome.CONFLICT, WriteOutcome.FAILED)),),
)
QUOTA_WRITES: Final = Metric(
    "scriptix_quota_writes_total",
    _COUNTER,
    "Writes of the quota ConfigMap by outcome; a failed write delays nothing and is retried.",
    (Label("outcome", (WriteOutcome.WRITTEN, WriteOutcome.FAILED)),),
)
TRACE_SPANS: Final = Metric(
    "scriptix_trace_spans_total",
    _COUNTER,
    "Spans of traces by outcome: sent to the collector, or dropped because the collector did not "
    "take them. The log names spans that were dropped because too many wait.",
    (Label("outcome", tuple(SpanOutcome)),),
)
NAMESPACE_LISTED: Final = Metric(
    "scriptix_namespace_listed",
    _GAUGE,
    "1 if the last list of a watched namespace succeeded, 0 if it failed.",
    (Label("namespace", meaning="watched namespace; empty if all namespaces are watched"),),
)
PROBLEM_SECONDS: Final = Metric(
    "scriptix_problem_seconds",
    _GAUGE,
    "How long the oldest problem of a part of the operator has lasted; 0: no problem.",
    (Label("source", meaning="part of the operator; /readyz has the problem"),),
)

TRAININGS: Final = Metric(
    "scriptix_trainings",
    _GAUGE,
    "CustomModelTraining resources by phase.",
    (Label("phase", tuple(Phase)),),
)
TRAININGS_WAITING: Final = Metric(
    "scriptix_trainings_waiting",
    _GAUGE,
    "Resources in phase Pending or Queued, by the reason of their conditions.",
    (Label("reason", WAITING_REASONS),),
)
TRAININGS_BLOCKED: Final = Metric(
    "scriptix_trainings_blocked",
    _GAUGE,
    "Resources that continue once a human has fixed a problem, by the reason of their failure.",
    (Label("reason", BLOCKING_REASONS),),
)
TRAININGS_STALLED: Final = Metric(
    "scriptix_trainings_stalled",
    _GAUGE,
    "Running trainings without progress for longer than their stage ever took.",
)
TRAININGS_UNREADABLE: Final = Metric(
    "scriptix_trainings_unreadable",
    _GAUGE,
    "Resources with an unreadable field, for which nothing is started; their conditions and the "
    "log name the field.",
)
TRAININGS_SERVED_ELSEWHERE: Final = Metric(
    "scriptix_trainings_served_elsewhere",
    _GAUGE,
    "Resources that another installation serves and this one skips; /readyz names it.",
)
STAGES: Final = Metric(
    "scriptix_trainings_in_stage",
    _GAUGE,
    "Running trainings by the stage of their run.",
    (Label("stage", tuple(Stage)),),
)
PROGRESS: Final = Metric(
    "scriptix_training_progress_ratio",
    _GAUGE,
    "Progress of the run in status, 0 to 1.",
    (NAMESPACE, NAME),
)
COMPLETION: Final = Metric(
    "scriptix_training_estimated_completion_timestamp_seconds",
    _GAUGE,
    "Unix time at which the run is expected to end (p50), while the run is polled.",
    (NAMESPACE, NAME),
)
QUEUE_POSITION: Final = Metric(
    "scriptix_training_queue_position",
    _GAUGE,
    "Position in the start queue as status shows it, from 1, while the resource is queued.",
    (NAMESPACE, NAME),
)
START: Final = Metric(
    "scriptix_training_estimated_start_timestamp_seconds",
    _GAUGE,
    "Unix time at which the start is expected, while the resource is queued.",
    (NAMESPACE, NAME),
)
WORD_ERROR_RATE: Final = Metric(
    "scriptix_training_word_error_rate_percent",
    _GAUGE,
    "Word error rate of the newest run that has one, in percent.",
    (NAMESPACE, NAME),
)
PUBLISHED: Final = Metric(
    "scriptix_training_published_timestamp_seconds",
    _GAUGE,
    "Unix time at which the newest run with a published result ended: finished_at of its result "
    "ConfigMap. Status does not record when the ConfigMap was written.",
    (NAMESPACE, NAME),
)
RUNS_STARTED: Final = Metric(
    "scriptix_runs_started_total",
    _COUNTER,
    "Training runs that the operator has begun to follow, adopted ones included.",
)
RUNS_FINISHED: Final = Metric(
    "scriptix_runs_finished_total",
    _COUNTER,
    "Training runs that ended, by outcome.",
    (Label("outcome", (Outcome.SUCCEEDED, Outcome.FAILED)),),
)
RUN_DURATION: Final = Metric(
    "scriptix_training_run_duration_seconds",
    _HISTOGRAM,
    "Time from the start of a run to its end, as status has both; counted when the run ends.",
    (Label("outcome", (Outcome.SUCCEEDED, Outcome.FAILED)),),
    tuple(hours * HOUR for hours in RUN_HOURS),
)
DETECTION: Final = Metric(
    "scriptix_training_end_detection_seconds",
    _HISTOGRAM,
    "Time from the end of a run, as the API reports it, to the poll that showed the end. Not "
    "counted without a reported end, and for ends within the second of the poll.",
    buckets=DETECTION_SECONDS,
)
QUEUE_WAIT: Final = Metric(
    "scriptix_training_queue_wait_seconds",
    _HISTOGRAM,
    "Time that a run has waited for the start quota: from when the run could start to its start. "
    "Not counted for adopted runs, and for first runs that have waited across a restart.",
    buckets=tuple(hours * HOUR for hours in QUEUE_HOURS),
)
ESTIMATE_HELD: Final = Metric(
    "scriptix_estimate_held_total",
    _COUNTER,
    "Succeeded runs by whether they ended by the p50 and the p90 estimate that status showed first "
    "in the stage MainTraining. Only runs whose first estimate there this process has written.",
    (Label("bound", ("p50", "p90")), Label("held", ("true", "false"))),
)

API_REQUESTS: Final = Metric(
    "scriptix_api_requests_total",
    _COUNTER,
    "Calls to the Scriptix API by operation and reply.",
    (
        OPERATION,
        Label(
            "code",
            meaning="`2xx`: accepted; the HTTP status of a refusal, such as 429; `unusable`: a 2xx "
            "that the operator cannot use; `none`: no reply",
        ),
    ),
)
API_DURATION: Final = Metric(
    "scriptix_api_request_duration_seconds",
    _HISTOGRAM,
    "Time from a call's first byte to its reply or failure; that of a log contains its wait for "
    "other large logs.",
    (OPERATION,),
    API_SECONDS,
)
QUOTA_LIMIT: Final = Metric(
    "scriptix_api_quota_limit",
    _GAUGE,
    "Calls that a key may make in a window: as configured, or fewer where the API has shown so.",
    (
        OPERATION,
        KEY,
        Label(
            "window",
            meaning="length of the window, such as 1h: as configured, or 1m, 1h or 1d if observed",
        ),
    ),
)
QUOTA_USED: Final = Metric(
    "scriptix_api_quota_used",
    _GAUGE,
    "Calls with a key that count against the limit now, calls in flight included.",
    QUOTA_LIMIT.labels,
)
START_QUEUE_LENGTH: Final = Metric(
    "scriptix_start_queue_length",
    _GAUGE,
    "Resources in the start queue of a key in use.",
    (KEY,),
)
LIMITS_OBSERVED: Final = Metric(
    "scriptix_limits_observed_total",
    _COUNTER,
    "Changes of the limits that the operator has observed in replies of the API.",
    (OPERATION,),
)
CIRCUIT_OPEN: Final = Metric(
    "scriptix_circuit_breaker_open",
    _GAUGE,
    "1 while the circuit breaker of a key in use is open for this cause, else 0.",
    (KEY, Label("cause", tuple(OpenCause))),
)
POLL_INTERVAL_RATIO: Final = Metric(
    "scriptix_poll_interval_ratio",
    _GAUGE,
    "Requested over granted poll rate of the running trainings of a key in use; 1: unconstrained.",
    (KEY,),
)

GROUPS: Final[dict[str, tuple[Metric, ...]]] = {
    "Operator": (
        RECONCILES,
        RECONCILE_DURATION,
        WORKQUEUE_DEPTH,
        WORKQUEUE_LATENCY,
        LEADER,
        BUILD_INFO,
        STATUS_WRITES,
        LEDGER_WRITES,
        QUOTA_WRITES,
        TRACE_SPANS,
        NAMESPACE_LISTED,
        PROBLEM_SECONDS,
    ),
    "Trainings": (
        TRAININGS,
        TRAININGS_WAITING,
        TRAININGS_BLOCKED,
        TRAININGS_STALLED,
        TRAININGS_UNREADABLE,
        TRAININGS_SERVED_ELSEWHERE,
        STAGES,
        PROGRESS,
        COMPLETION,
        QUEUE_POSITION,
        START,
        WORD_ERROR_RATE,
        PUBLISHED,
        RUNS_STARTED,
        RUNS_FINISHED,
        RUN_DURATION,
        DETECTION,
        QUEUE_WAIT,
        ESTIMATE_HELD,
    ),
    "Scriptix API": (
        API_REQUESTS,
        API_DURATION,
        QUOTA_LIMIT,
        QUOTA_USED,
        START_QUEUE_LENGTH,
        LIMITS_OBSERVED,
        CIRCUIT_OPEN,
        POLL_INTERVAL_RATIO,
    ),
}
METRICS: Final[tuple[Metric, ...]] = tuple(chain(*GROUPS.values()))
