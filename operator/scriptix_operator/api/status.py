"""status of a CustomModelTraining: everything a person asks about.

Strings carry no enum, pattern or format, and schemas only widen: an older CRD must never refuse
what a newer operator has to say. Only lengths are bounded; core/model/text.py cuts remote text to
them. The API server holds the bounds, and reading does not: a newer version may have wider ones.
What a client may have left out because it is empty or zero is optional, too.
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
    "HistoryEntry",
    "Intent",
    "LearningPoint",
    "LogStatus",
    "Metrics",
    "ModelStatus",
    "PendingEnd",
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
    """The remote model as the API last gave it."""

    key: NameText | None = None
    """model_key, the name under which applications use the model."""
    name: NameText | None = None
    """Display name of the model."""
    training_status: int | None = None
    """1 not ready, 2 ready to run, 3 running, 4 success, 5 failed; others are kept as given."""
    status_message: Text | None = None
    """What the API says of it."""


class Queue(ApiModel):
    """Place in the queue for the key's start allowance."""

    position: int = 0
    """1 is next."""
    of: int = 0
    """How many wait."""
    estimated_start_at: Time | None = None
    """When the allowance is expected to reach it."""


class Metrics(ListItem):
    """training_metrics as the API gave them, as decimal strings; missing stays missing."""

    word_error_rate: ShortText | None = None
    """training_metrics.word_error_rate, percent: the word error rate (WER) of the run, which
    maxWordErrorRate, the rating and the column WER go by. "Test set WER (% of incorrect words)" in
    the API's documentation."""
    character_error_rate: ShortText | None = None
    """training_metrics.character_error_rate, percent: the character error rate (CER) of the run,
    which maxCharacterErrorRate goes by. "Test set CER (% of incorrect characters)" in the API's
    documentation."""
    accuracy_improvement: ShortText | None = None
    """training_metrics.accuracy_improvement, percent: improvement over the base model, which
    minAccuracyImprovement goes by."""
    training_hours: ShortText | None = None
    """training_hours as the API gave it; its documentation contradicts itself on the meaning."""
    test_word_error_rate: ShortText | None = None
    """training_metrics.test_word_error_rate, percent; nothing goes by it. "Same as word_error_rate"
    in the API's documentation, whose examples give different numbers for the two."""
    training_word_error_rate: ShortText | None = None
    """training_metrics.training_word_error_rate, percent; nothing goes by it. "Training set WER" in
    the API's documentation."""
    rating: ShortText | None = None
    """Excellent below 10, VeryGood below 15, Good up to 25, Poor above (word error rate)."""


class LearningPoint(ApiModel):
    """One epoch, read from the log."""

    epoch: int
    """Number of the epoch, from 1."""
    of: int
    """Number of epochs planned."""
    word_error_rate: ShortText
    """WER after this epoch, percent."""
    at: Time | None = None
    """When the log says so."""


LearningCurve = Annotated[tuple[LearningPoint, ...], _items(MAX_LEARNING_POINTS)]


class Failure(ApiModel):
    """Why the run failed, or what blocks it, and what to do."""

    reason: ShortText
    """One word for machines."""
    code: ShortText | None = None
    """error_code of the API, where it gave one."""
    message: LongText = ""
    """What happened, in the API's words where it spoke."""
    solution: Text = ""
    """What to do about it."""
    retryable: bool = False
    """Whether another run may help without a human."""


class Baseline(ApiModel):
    """The model just before the first attempt of a request: what an outcome is compared with."""

    training_status: int
    """training_status then."""
    started_training_at: Time | None = None
    """started_training_at then (of the run before), absent if never trained."""


class StartReply(ApiModel):
    """A reply to the start that does not say whether it was accepted."""

    code: ShortText | None = None
    """error_code of the API, where the reply is its own."""
    message: Text = ""
    """What the reply says."""


class Intent(ApiModel):
    """A start that is written down but whose outcome is not."""

    attempt: int
    """Number of the POST for this run, from 1."""
    at: Time
    """When it was written, on the operator's clock."""
    key_fingerprint: ShortText
    """Fingerprint of the API key it is sent with."""
    nonce: ShortText = ""
    """Tells it from an equal one, which another process may write in the same second."""
    reply: StartReply | None = None
    """The reply to the start, where it leaves the outcome open: a 2xx with an error, or a refusal
    by a gateway."""


class PendingEnd(ApiModel):
    """An end of the run that the API has shown without the results that belong to it."""

    training_status: int
    """training_status of the end: 4 or 5."""
    seen_at: Time
    """When a poll first showed it, on the operator's clock; the wait for results counts from
    here."""
    started_training_at: Time | None = None
    """started_training_at in that poll: results with another one belong to another run."""
    finished_at: Time | None = None
    """When the run ended, by the API where it says so."""


class Run(ApiModel):
    """The requested run."""

    id: ShortText
    """Identity of the run, unique over the resource's life."""
    token: ShortText = ""
    """spec.runToken that this run answers, as it was given."""
    requested_at: NameText = ""
    """Annotation scriptix.io/requested-at that this run answers, as it was given."""
    asked_by: AskedByTexts | None = None
    """Which new values asked for this run: RunToken, RequestedAt. Empty: the resource itself asked,
    for its first run."""
    attempt: int = 1
    """Number of the POST for this run, from 1."""
    ownership: ShortText | None = None
    """Owned, Adopted or Unconfirmed; absent until there is a remote run."""
    key_source: NameText | None = None
    """Where the API key came from."""
    key_fingerprint: ShortText | None = None
    """Fingerprint of the API key; never the key."""
    claimed_at: Time | None = None
    """Time of the last intent, which those before it did not start anything, or of the adoption;
    timeoutSeconds counts from here."""
    baseline: Baseline | None = None
    """The model just before the first attempt."""
    started_training_at: Time | None = None
    """Run start time as a poll has first shown it; it tells this run from others. The reply to the
    start never sets it."""
    refused: Baseline | None = None
    """The model as it was when the API refused to start it (409); not tried again as it is."""
    intent: Intent | None = None
    """The start in progress."""
    queued_at: Time | None = None
    """Since when it could start; the age of a rerun in the queue."""
    retries: int = 0
    """Runs for the same request that have failed before this one."""
    retry_at: Time | None = None
    """This run has failed, and another for the same request follows at this time."""
    pending_end: PendingEnd | None = None
    """The API has shown the end of this run, and its results are awaited."""


class LogStatus(ApiModel):
    """The stored training log."""

    config_maps: Annotated[tuple[NameText, ...], _items(MAX_LOG_CONFIG_MAPS)] = ()
    """Names of the ConfigMaps, oldest first."""
    entries: int = 0
    """Entries stored."""
    total_entries: int | None = None
    """Entries that the API says its log has (total_entries); absent where it does not say so."""
    bytes: int = 0
    """Bytes stored."""
    truncated: bool = False
    """Older entries were dropped to keep spec.log.maxBytes."""
    last_fetched_at: Time | None = None
    """When the log of the run was last fetched."""
    recent_calls: Annotated[tuple[Time, ...], _items(MAX_RECENT_LOG_CALLS)] = ()
    """When the latest log calls were made, oldest first. After a restart the operator counts them
    against the API key's quota."""
    state: ShortText | None = None
    """Collecting, Complete, Partial, Refused, Unavailable or NameTaken."""
    message: Text | None = None
    """Why the log is not whole, or was not stored the last time."""
    end_seen_at: Time | None = None
    """When the operator saw the end of the run; the fetches after the end count from here."""
    next_fetch_at: Time | None = None
    """When the log is due to be fetched next after the end of the run; absent: it is not."""
    next_segment: int = 1
    """Number of the next sealed chunk."""


class HistoryEntry(ListItem):
    """A run before the present one."""

    id: ShortText = ""
    """Identity of the run."""
    token: ShortText = ""
    """spec.runToken that it answered."""
    requested_at: NameText = ""
    """Annotation that it answered."""
    asked_by: AskedByTexts | None = None
    """As status.run.askedBy."""
    attempt: int = 1
    """Number of POSTs it took."""
    ownership: ShortText | None = None
    """Owned, Adopted or Unconfirmed; absent if there was no remote run."""
    key_source: NameText | None = None
    """Where the API key came from."""
    key_fingerprint: ShortText | None = None
    """Fingerprint of the API key; never the key."""
    started_at: Time | None = None
    """When the API says it started."""
    started_training_at: Time | None = None
    """Run start time as a poll has shown it, absent if none has."""
    finished_at: Time | None = None
    """When it ended."""
    outcome: ShortText = "Unknown"
    """Succeeded, Failed or Unknown."""
    reason: ShortText | None = None
    """Why it failed, in one word."""
    message: Text | None = None
    """Why it failed, in the API's words where it spoke."""
    word_error_rate: ShortText | None = None
    """WER of the run, percent."""
    metrics: Metrics | None = None
    """All metrics of the run."""
    progress: int | None = None
    """Percent at its end."""
    timeline: Timeline = ()
    """As status.timeline, of a run that went to its end."""
    learning_curve: LearningCurve = ()
    """As status.learningCurve; only the newest entry has it."""


class Display(ApiModel):
    """What the columns of `kubectl get cmt` read."""

    progress: ShortText | None = None
    """For example 45%."""
    word_error_rate: ShortText | None = None
    """For example 12.5%."""
    eta: ShortText | None = None
    """For example 01-16 16:40Z."""
    queue: ShortText | None = None
    """For example 3/12."""


class Condition(ListItem):
    """A condition after the Kubernetes API conventions."""

    type: ShortText
    """Succeeded, Ready, Reconciling, Stalled or Suspended."""
    status: ShortText = "Unknown"
    """True, False or Unknown."""
    reason: ShortText = ""
    """One word for machines."""
    message: LongText = ""
    """One sentence for people."""
    observed_generation: int = 0
    """metadata.generation that this speaks of."""
    last_transition_time: Time | None = None
    """When status last changed."""


class ServedBy(ApiModel):
    """The installation of the operator that serves the resource: no other one does."""

    namespace: NameText
    """Namespace of the operator."""
    renewed_at: Time
    """When it last wrote the status, on the operator's clock; at least every 15 minutes until the
    run has ended, unless the resource is suspended. Another installation that watches the resource
    leaves it alone for 30 minutes from here."""


class TrainingStatus(ApiModel):
    """Where the run stands, why, and what to do."""

    observed_generation: int = -1
    """metadata.generation that this status speaks of; -1: nobody has looked yet."""
    phase: ShortText | None = None
    """Pending, Queued, Starting, Running, Succeeded, Failed or Suspended."""
    message: LongText | None = None
    """One sentence that says what goes on and, where it helps, what to do."""
    progress: int | None = None
    """Percent; absent until the API has given one."""
    stage: ShortText | None = None
    """DataPreprocessing, InitialEpochs, MainTraining, FineTuning or FinalEvaluation."""
    model: ModelStatus | None = None
    """The remote model."""
    started_at: Time | None = None
    """When the API says the run started: as the reply to the start has it, from the first poll that
    shows the run on as that poll has it."""
    finished_at: Time | None = None
    """When the run ended, by the API where it says so."""
    estimated_completion_at: Time | None = None
    """When the run is expected to end: as likely before as after (p50)."""
    estimated_completion_p90_at: Time | None = None
    """When nine of ten runs like this one have ended (p90)."""
    last_progress_at: Time | None = None
    """When progress was last seen to change."""
    progress_stalled_at: Time | None = None
    """Since when progress is overdue: this stage has never taken so long. No failure by itself."""
    timeline: Timeline = ()
    """Seconds into the run at which progress was first seen at 10, 20, 30, 40, 50, 60, 70, 80, 90
    and 95 percent, as far as it has come; -1 where that was missed. Expected ends are learned from
    it."""
    last_observed_at: Time | None = None
    """When the API last answered; refreshed with other changes or every 10 minutes."""
    poll_interval_seconds: int | None = None
    """About how far apart the looks at the model are, where the API key's allowance does not give
    what spec.pollIntervalSeconds asks for."""
    queue: Queue | None = None
    """Place in the start queue; present while Queued."""
    metrics: Metrics | None = None
    """Metrics of the finished run."""
    learning_curve: LearningCurve = ()
    """Word error rate by epoch, from the log."""
    failure: Failure | None = None
    """Why it failed or what blocks it."""
    run: Run | None = None
    """The requested run. The first one is present from the intent to start it, before the API has
    answered, or from its adoption or rejection, and absent again if nothing was started. A rerun is
    present as soon as it is requested, also while it waits for its start. ownership says whether
    there is a run at the API."""
    log: LogStatus | None = None
    """The stored log. From the request for a rerun until the first log of the new run is stored, it
    is the log of the run before, and state is absent."""
    history: Annotated[tuple[HistoryEntry, ...], _items(MAX_HISTORY)] = ()
    """Earlier runs, newest first."""
    used_requests: Annotated[tuple[ShortText, ...], _items(MAX_USED_REQUESTS)] = ()
    """Hashes of the 256 values of spec.runToken and scriptix.io/requested-at that were used last,
    oldest first. A used value starts no run."""
    pending_request: Text | None = None
    """Which value asks for another run while the one in run is not over; that run follows it."""
    repeated_request: Text | None = None
    """Which value is set although it was used before, and which run has answered it; absent where
    none is."""
    served_by: ServedBy | None = None
    """The installation of the operator that serves the resource."""
    display: Display | None = None
    """Strings for the printer columns."""
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
