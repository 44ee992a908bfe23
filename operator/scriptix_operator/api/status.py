"""status of a CustomModelTraining: what users see.

Strings carry no enum, pattern or format, and schemas only widen: an older CRD must never refuse
what a newer operator writes. Only lengths are bounded; core/model/text.py cuts remote text to them.
The API server enforces the bounds, and reading does not: a newer version may have wider ones.
Fields that a client may omit because they are empty or zero are optional, too.
"""

from typing import Annotated, Any

from pydantic import Field

from scriptix_operator.api.base import ApiModel, ListItem
from scriptix_operator.api.times import Time

__all__ = [
    "Baseline",
    "Condition",
    "Display",
    "Failure",
    "Forecast",
    "HistoryEntry",
    "Intent",
    "LearningPoint",
    "LogStatus",
    "Metrics",
    "ModelStatus",
    "PendingEnd",
    "PendingNotification",
    "Published",
    "Queue",
    "Run",
    "ServedBy",
    "StartReply",
    "TrainingStatus",
]

SHORT = 64
NAME = 253
TEXT = 1024
LONG_TEXT = 4096

MAX_HISTORY = 10
MAX_ASKED_BY = 4
MAX_USED_REQUESTS = 256
MAX_LEARNING_POINTS = 40
MAX_LOG_CONFIG_MAPS = 64
MAX_RECENT_LOG_CALLS = 20
MAX_CONDITIONS = 16
MAX_TIMELINE = 16
MAX_PENDING_NOTIFICATIONS = 16


def _characters(most: int) -> Any:  # noqa: ANN401 - pydantic's own type of a Field
    """The bound of a text, for the schema only."""
    return Field(json_schema_extra={"maxLength": most})


def _items(most: int) -> Any:  # noqa: ANN401 - the same
    """The bound of a list, for the schema only."""
    return Field(json_schema_extra={"maxItems": most})


ShortText = Annotated[str, _characters(SHORT)]
NameText = Annotated[str, _characters(NAME)]
Text = Annotated[str, _characters(TEXT)]
LongText = Annotated[str, _characters(LONG_TEXT)]
AskedByTexts = Annotated[tuple[ShortText, ...], _items(MAX_ASKED_BY)]
Timeline = Annotated[tuple[int, ...], _items(MAX_TIMELINE)]


class ModelStatus(ApiModel):
    """The remote model as the API last reported it."""

    key: NameText | None = None
    """model_key, the name under which applications use the model."""
    name: NameText | None = None
    """Display name of the model."""
    training_status: int | None = None
    """1 not ready, 2 ready to run, 3 running, 4 success, 5 failed; others are kept unchanged."""
    status_message: Text | None = None
    """Description of the status by the API."""


class Queue(ApiModel):
    """Queue position in the start queue of the API key."""

    position: int = 0
    """Position in the queue, from 1: the next to start."""
    of: int = 0
    """Number of trainings in the queue."""
    estimated_start_at: Time | None = None
    """When the start is expected."""


class Metrics(ListItem):
    """training_metrics as the API reported them, as decimal strings; missing ones stay absent."""

    word_error_rate: ShortText | None = None
    """training_metrics.word_error_rate, percent: the word error rate (WER) of the run, which
    maxWordErrorRate, the rating and the column WER use. "Test set WER (% of incorrect words)" in
    the API's documentation."""
    character_error_rate: ShortText | None = None
    """training_metrics.character_error_rate, percent: the character error rate (CER) of the run,
    which maxCharacterErrorRate uses. "Test set CER (% of incorrect characters)" in the API's
    documentation."""
    accuracy_improvement: ShortText | None = None
    """training_metrics.accuracy_improvement, percent: improvement over the base model, which
    minAccuracyImprovement uses."""
    training_hours: ShortText | None = None
    """training_hours as the API reported it; the API's documentation is contradictory about it."""
    test_word_error_rate: ShortText | None = None
    """training_metrics.test_word_error_rate, percent; not used. "Same as word_error_rate"
    in the API's documentation, whose examples give different numbers for the two."""
    training_word_error_rate: ShortText | None = None
    """training_metrics.training_word_error_rate, percent; not used. "Training set WER" in
    the API's documentation."""
    rating: ShortText | None = None
    """Excellent below 10, VeryGood below 15, Good up to 25, Poor above (word error rate)."""


class LearningPoint(ApiModel):
    """One epoch, read from the log."""

    epoch: int
    """Number of the epoch, from 1."""
    of: int
    """Number of epochs planned; 0: the log does not say."""
    word_error_rate: ShortText
    """WER after this epoch, percent."""
    at: Time | None = None
    """Time of the log entry."""


LearningCurve = Annotated[tuple[LearningPoint, ...], _items(MAX_LEARNING_POINTS)]


class Forecast(ApiModel):
    """The expected final WER of the run, extrapolated from the learning curve."""

    word_error_rate: ShortText
    """Expected WER of the finished run, percent."""
    low: ShortText
    """Lower end of the 80 % band, percent: one of ten runs like this one ends below."""
    high: ShortText
    """Upper end of the 80 % band, percent: one of ten runs like this one ends above."""
    at: Time | None = None
    """When the forecast was made: after a fetch of the log."""


class Published(ApiModel):
    """What the result ConfigMap holds."""

    run_id: ShortText
    """Identity of the run that was published."""
    model_key: NameText | None = None
    """model_key in the ConfigMap."""
    word_error_rate: ShortText | None = None
    """WER of the published run, percent; maxWordErrorRateIncrease counts from this rate."""
    character_error_rate: ShortText | None = None
    """CER of the published run, percent."""
    published_at: Time | None = None
    """When the operator published the result."""


class Failure(ApiModel):
    """Why the run failed, or what blocks it, and what to do."""

    reason: ShortText
    """Reason in CamelCase, for programs."""
    code: ShortText | None = None
    """error_code of the API, if it reported one."""
    message: LongText = ""
    """What happened; the message of the API, if there is one."""
    solution: Text = ""
    """Remedy: what to do about the failure."""
    retryable: bool = False
    """Whether another run may succeed without a user's action."""


class Baseline(ApiModel):
    """Status and run start time of the model before the first attempt, to compare polls with."""

    training_status: int
    """training_status then."""
    started_training_at: Time | None = None
    """started_training_at of the previous run; absent if the model was never trained."""


class StartReply(ApiModel):
    """A reply to the start that does not say whether it was accepted."""

    code: ShortText | None = None
    """error_code, if the API itself has replied."""
    message: Text = ""
    """Message of the reply."""


class Intent(ApiModel):
    """Write-ahead record of a start whose outcome is not recorded yet."""

    attempt: int
    """Attempt, from 1: grows only after a start with unknown outcome turned out not to have
    happened; refused and unsent POSTs keep it."""
    at: Time
    """When the intent was written, by the operator's clock."""
    key_fingerprint: ShortText
    """Fingerprint of the API key that the start uses."""
    nonce: ShortText = ""
    """Nonce: distinguishes the intent from an equal one of another process in the same second."""
    reply: StartReply | None = None
    """The reply to the start, if it leaves the outcome unknown: a 2xx with an error, or a refusal
    by a gateway."""


class PendingEnd(ApiModel):
    """An end of the run that the API reports without its results."""

    training_status: int
    """training_status of the end: 4 or 5."""
    seen_at: Time
    """When a poll first showed the end, by the operator's clock; the wait for results begins
    then."""
    started_training_at: Time | None = None
    """started_training_at in that poll: results with another value belong to another run."""
    finished_at: Time | None = None
    """When the run ended; the time of the API, if it reports one."""


class Run(ApiModel):
    """The requested run."""

    id: ShortText
    """Identity of the run, unique within the resource."""
    token: ShortText = ""
    """spec.runToken that requested this run, unchanged."""
    requested_at: NameText = ""
    """Annotation scriptix.io/requested-at that requested this run, unchanged."""
    asked_by: AskedByTexts | None = None
    """The new values that requested this run: RunToken, RequestedAt. Empty: the first run, which
    the resource itself requests."""
    attempt: int = 1
    """Attempt, from 1: grows only after a start with unknown outcome turned out not to have
    happened; refused and unsent POSTs keep it."""
    ownership: ShortText | None = None
    """Owned, Adopted or Unconfirmed; absent before a remote run exists."""
    key_source: NameText | None = None
    """Source of the API key."""
    key_fingerprint: ShortText | None = None
    """Fingerprint of the API key; never the key."""
    claimed_at: Time | None = None
    """Time of the adoption or of the last intent (earlier intents started no run); timeoutSeconds
    counts from this time."""
    baseline: Baseline | None = None
    """The model just before the first attempt."""
    started_training_at: Time | None = None
    """Run start time of the first poll that showed the run; identifies the run. The reply to the
    start never sets it."""
    refused: Baseline | None = None
    """The model when the API refused its start (409); no further start before the model changes."""
    intent: Intent | None = None
    """The start in progress."""
    next_attempt_at: Time | None = None
    """When the next attempt may be made at the earliest, because earlier ones had no effect."""
    queued_at: Time | None = None
    """Since when the run could start; the age of a rerun in the queue."""
    retries: int = 0
    """Failed runs for the same request before this one."""
    retry_at: Time | None = None
    """When the next run for the same request starts, after this run has failed."""
    pending_end: PendingEnd | None = None
    """The end of this run, reported by the API, while its results are awaited."""
    gate_at_risk_at: Time | None = None
    """When the whole band of status.forecast first missed spec.qualityGate; one event announces
    it."""
    word_error_rate_rising_at: Time | None = None
    """When the learning curve was first seen to rise over several epochs; one event announces
    it."""


class LogStatus(ApiModel):
    """The stored training log."""

    config_maps: Annotated[tuple[NameText, ...], _items(MAX_LOG_CONFIG_MAPS)] = ()
    """Names of the ConfigMaps, oldest first."""
    entries: int = 0
    """Entries stored."""
    total_entries: int | None = None
    """Number of log entries that the API reports (total_entries); absent if it reports none."""
    bytes: int = 0
    """Bytes stored."""
    truncated: bool = False
    """Whether older entries were dropped to keep spec.log.maxBytes."""
    last_fetched_at: Time | None = None
    """When the log of the run was last fetched."""
    recent_calls: Annotated[tuple[Time, ...], _items(MAX_RECENT_LOG_CALLS)] = ()
    """Times of the latest log calls, oldest first. After a restart the operator charges them to the
    quota of the API key."""
    state: ShortText | None = None
    """Collecting, Complete, Partial, Refused, Unavailable or NameTaken."""
    message: Text | None = None
    """Why the log is incomplete, or was not stored the last time."""
    end_seen_at: Time | None = None
    """When the operator saw the end of the run; the times of the fetches after it depend on
    this."""
    next_fetch_at: Time | None = None
    """When the log is fetched next after the end of the run; absent: no fetch is due."""
    next_segment: int = 1
    """Number of the next sealed segment."""


class HistoryEntry(ListItem):
    """A run before the current one."""

    id: ShortText = ""
    """Identity of the run."""
    token: ShortText = ""
    """spec.runToken that requested the run."""
    requested_at: NameText = ""
    """Annotation scriptix.io/requested-at that requested the run."""
    asked_by: AskedByTexts | None = None
    """As status.run.askedBy."""
    attempt: int = 1
    """Attempt, from 1: grows only after a start with unknown outcome turned out not to have
    happened; refused and unsent POSTs keep it."""
    ownership: ShortText | None = None
    """Owned, Adopted or Unconfirmed; absent if there was no remote run."""
    key_source: NameText | None = None
    """Source of the API key."""
    key_fingerprint: ShortText | None = None
    """Fingerprint of the API key; never the key."""
    started_at: Time | None = None
    """When the run started, as the API reports."""
    started_training_at: Time | None = None
    """Run start time of the first poll that showed the run; absent if no poll did."""
    finished_at: Time | None = None
    """When the run ended."""
    outcome: ShortText = "Unknown"
    """Succeeded, Failed or Unknown."""
    reason: ShortText | None = None
    """Reason of the failure in CamelCase."""
    message: Text | None = None
    """Why the run failed; the message of the API, if there is one."""
    word_error_rate: ShortText | None = None
    """WER of the run, percent."""
    metrics: Metrics | None = None
    """All metrics of the run."""
    progress: int | None = None
    """Percent at the end of the run."""
    timeline: Timeline = ()
    """Progress milestones, as status.timeline, of a run that was completed."""
    learning_curve: LearningCurve = ()
    """Learning curve, as status.learningCurve; only the newest entry has one."""


class Display(ApiModel):
    """Texts for the columns of `kubectl get cmt`."""

    progress: ShortText | None = None
    """Progress, for example 45%."""
    word_error_rate: ShortText | None = None
    """Word error rate, for example 12.5%."""
    eta: ShortText | None = None
    """Expected end (UTC), for example 01-16 16:40Z."""
    queue: ShortText | None = None
    """Queue position, for example 3/12."""


class Condition(ListItem):
    """A condition after the Kubernetes API conventions."""

    type: ShortText
    """Succeeded, Ready, Reconciling, Stalled, Suspended or QualityGatePassed."""
    status: ShortText = "Unknown"
    """True, False or Unknown."""
    reason: ShortText = ""
    """Reason in CamelCase, for programs."""
    message: LongText = ""
    """Message for users."""
    observed_generation: int = 0
    """metadata.generation that the condition refers to; of QualityGatePassed, that of the judged
    gate."""
    last_transition_time: Time | None = None
    """When status last changed."""


class ServedBy(ApiModel):
    """The only installation of the operator that serves the resource."""

    namespace: NameText
    """Namespace of the operator."""
    renewed_at: Time
    """When the installation last wrote the status, by the operator's clock: at least every 15
    minutes until the run has ended, unless the resource is suspended. Other installations that
    watch the resource skip it for 30 minutes after this time."""


class PendingNotification(ListItem):
    """A transition that is still to be announced to the sink of notifications."""

    type: ShortText
    """Started, Succeeded, Failed, Blocked or Stalled."""
    run_id: ShortText = ""
    """Identity of the run; empty: there was none."""
    reason: ShortText = ""
    """Reason in CamelCase of the transition, if there is one."""
    message: Text = ""
    """Message for users at the time of the transition."""
    at: Time | None = None
    """When the operator recorded the transition; the notification is given up 24 hours later."""


class TrainingStatus(ApiModel):
    """State of the requested run, its cause, and what to do."""

    observed_generation: int = -1
    """metadata.generation that this status refers to; -1: not reconciled yet."""
    phase: ShortText | None = None
    """Pending, Queued, Starting, Running, Succeeded, Failed or Suspended."""
    message: LongText | None = None
    """The cause of the state and, if an action helps, what to do."""
    progress: int | None = None
    """Percent; absent until the API has reported one."""
    stage: ShortText | None = None
    """DataPreprocessing, InitialEpochs, MainTraining, FineTuning or FinalEvaluation."""
    model: ModelStatus | None = None
    """The remote model."""
    started_at: Time | None = None
    """When the run started: first as the reply to the start reports it, then as the first poll that
    shows the run reports it."""
    finished_at: Time | None = None
    """When the run ended; the time of the API, if it reports one."""
    estimated_completion_at: Time | None = None
    """Median estimate (p50) of the end of the run."""
    estimated_completion_p90_at: Time | None = None
    """90th percentile (p90) of the estimated end of the run."""
    last_progress_at: Time | None = None
    """When progress was last seen to change."""
    progress_stalled_at: Time | None = None
    """Since when progress is overdue: there is none for longer than expected in this stage. Not a
    failure."""
    timeline: Timeline = ()
    """Progress milestones: seconds into the run at which polls first showed 10, 20, 30, 40, 50, 60,
    70, 80, 90 and 95 percent, as far as reached; -1: missed. The expected ends of later runs are
    estimated from them."""
    last_observed_at: Time | None = None
    """When the API last replied; updated with other changes, or every 10 minutes."""
    poll_interval_seconds: int | None = None
    """Granted poll interval, approximately; present if the quota of the API key does not allow
    spec.pollIntervalSeconds."""
    queue: Queue | None = None
    """Queue position; present while Queued."""
    metrics: Metrics | None = None
    """Metrics of the finished run."""
    published: Published | None = None
    """The result that the ConfigMap NAME-result holds: that of the last run that passed its quality
    gate. Reruns and failures keep it. Absent before the first publication by a version of the
    operator that records it."""
    learning_curve: LearningCurve = ()
    """Word error rate by epoch, from the log."""
    forecast: Forecast | None = None
    """Expected final WER with its 80 % band, while the run is polled: from five epochs of the
    learning curve on, if the log says how many epochs are planned."""
    failure: Failure | None = None
    """Why the run failed, or what blocks it."""
    run: Run | None = None
    """The requested run. The first run is present from its intent, before the API has replied, or
    from its adoption or rejection, and absent again if no run was started. A rerun is present as
    soon as it is requested, also while it waits for its start. ownership says whether a remote run
    exists."""
    log: LogStatus | None = None
    """The stored log. From the request for a rerun until the first log of the new run is stored,
    this is the log of the previous run, and state is absent."""
    history: Annotated[tuple[HistoryEntry, ...], _items(MAX_HISTORY)] = ()
    """Earlier runs, newest first."""
    used_requests: Annotated[tuple[ShortText, ...], _items(MAX_USED_REQUESTS)] = ()
    """Hashes of the 256 values of spec.runToken and scriptix.io/requested-at that were used last,
    oldest first. A used value starts no run."""
    pending_request: Text | None = None
    """The value that requests another run while the current run is not over; that run follows."""
    repeated_request: Text | None = None
    """The value that is set although it was used before, and the run that it requested; absent if
    there is none."""
    served_by: ServedBy | None = None
    """The installation of the operator that serves the resource."""
    pending_notifications: Annotated[
        tuple[PendingNotification, ...], _items(MAX_PENDING_NOTIFICATIONS)
    ] = ()
    """Transitions that are still to be announced to the sink of notifications, oldest first;
    absent if nothing is to be sent, or notifications are off."""
    display: Display | None = None
    """Texts for the printer columns."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            json_schema_extra={
                "maxItems": MAX_CONDITIONS,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        ),
    ] = ()
    """Conditions by type."""
