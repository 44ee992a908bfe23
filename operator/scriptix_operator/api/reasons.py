"""Phases, stages and reasons: each a constant with its meaning. They are API."""

from enum import StrEnum

__all__ = [
    "GIVEN_UP",
    "AskedBy",
    "ConditionType",
    "EventReason",
    "FailureReason",
    "GateReason",
    "LogState",
    "Outcome",
    "Ownership",
    "Phase",
    "Rating",
    "Reason",
    "Stage",
]


class Phase(StrEnum):
    """Phase of the requested run; derived from the other facts, never an input."""

    PENDING = "Pending"
    """Not started: not polled yet, waiting for the model, or blocked."""
    QUEUED = "Queued"
    """The run could start now, and waits for the start quota of the API key."""
    STARTING = "Starting"
    """The intent is written; the outcome of the start is not known yet."""
    RUNNING = "Running"
    """The remote run is polled to its end."""
    SUCCEEDED = "Succeeded"
    """The run finished and passed its quality gate."""
    FAILED = "Failed"
    """The run ended without a usable model; failure has the cause and the remedy."""
    SUSPENDED = "Suspended"
    """spec.suspend is set: all API calls stop. A remote run continues."""


class Stage(StrEnum):
    """Stage of a running training, by training_progress (percent)."""

    DATA_PREPROCESSING = "DataPreprocessing"
    """0 to below 10."""
    INITIAL_EPOCHS = "InitialEpochs"
    """10 to below 30."""
    MAIN_TRAINING = "MainTraining"
    """30 to below 70."""
    FINE_TUNING = "FineTuning"
    """70 to below 90."""
    FINAL_EVALUATION = "FinalEvaluation"
    """90 and above."""


class Rating(StrEnum):
    """What a word error rate means in practice (percent)."""

    EXCELLENT = "Excellent"
    """Below 10."""
    VERY_GOOD = "VeryGood"
    """10 to below 15."""
    GOOD = "Good"
    """15 to 25."""
    POOR = "Poor"
    """Above 25."""


class Ownership(StrEnum):
    """How the operator came to the run that it follows."""

    OWNED = "Owned"
    """The API accepted this operator's start, and its reply arrived."""
    ADOPTED = "Adopted"
    """The run existed at the first poll of the model."""
    UNCONFIRMED = "Unconfirmed"
    """The run appeared after this operator's start, whose reply was lost."""


class AskedBy(StrEnum):
    """What requests a run after the first."""

    RUN_TOKEN = "RunToken"  # noqa: S105 - the name of a field
    """A new value of spec.runToken."""
    REQUESTED_AT = "RequestedAt"
    """A new value of the annotation scriptix.io/requested-at."""


class Outcome(StrEnum):
    """How a run in the history ended."""

    SUCCEEDED = "Succeeded"
    """Finished and passed its gate."""
    FAILED = "Failed"
    """Ended without a usable model."""
    UNKNOWN = "Unknown"
    """The run was replaced before its outcome could be read."""


class LogState(StrEnum):
    """State of the collection of a run's log (docs/logs.md)."""

    COLLECTING = "Collecting"
    """More entries are to be fetched, or a fetch is to be retried."""
    COMPLETE = "Complete"
    """Fetched for the last time after the end of the run; all entries are there that the API
    reports. `truncated` says whether older ones were dropped to keep spec.log.maxBytes."""
    PARTIAL = "Partial"
    """Fetched for the last time; entries are missing, or may be. No further call is made."""
    REFUSED = "Refused"
    """The cluster refuses the ConfigMap, for instance by a quota, a webhook or a missing
    permission. Retried after an edit of the resource."""
    UNAVAILABLE = "Unavailable"
    """The API has no log of this run."""
    NAME_TAKEN = "NameTaken"
    """Another object has the name of the ConfigMap; delete or rename that object."""


GIVEN_UP = frozenset({LogState.REFUSED, LogState.UNAVAILABLE, LogState.NAME_TAKEN})
"""No log call is made before the run ends, the resource is edited, or another run begins."""


class Reason(StrEnum):
    """Reason of the conditions without a failure; a failure has a FailureReason."""

    OBSERVED = "Observed"
    """The first poll of the model, or the scheduling of its start, is pending."""
    WAITING_FOR_MODEL = "WaitingForModel"
    """The model cannot be started yet: it waits for data, or for its current training."""
    MODEL_IN_USE = "ModelInUse"
    """Another resource is training the same model."""
    WAITING_FOR_START_QUOTA = "WaitingForStartQuota"
    """The start quota of the API key is used up; status.queue has the queue position."""
    STARTING = "Starting"
    """The start is being sent."""
    START_OUTCOME_UNKNOWN = "StartOutcomeUnknown"
    """The outcome of the start is unknown; the model is polled to determine it."""
    TRAINING = "Training"
    """The run is polled to its end."""
    PROGRESS_STALLED = "ProgressStalled"
    """The run continues without progress for longer than expected in its stage."""
    API_UNAVAILABLE = "ApiUnavailable"
    """The API is unreachable, or its replies are unusable; status shows the last known facts."""
    RATE_LIMITED = "RateLimited"
    """The API refused a call because of its rate limits."""
    START_LEDGER_NOT_WRITABLE = "StartLedgerNotWritable"
    """The operator cannot write its start ledger; starts are disabled."""
    WAITING_FOR_NAMESPACES = "WaitingForNamespaces"
    """The start ledger is lost; it is rebuilt when all watched namespaces are listed."""
    WAITING_FOR_RETRY = "WaitingForRetry"
    """The run has failed; another one starts automatically (spec.backoffLimit)."""
    UNEXPECTED_STATUS = "UnexpectedStatus"
    """The API reports a training_status that contradicts the run, or is not documented."""
    TRAINING_SUCCEEDED = "TrainingSucceeded"
    """The run finished and passed its gate."""
    SUSPENDED = "Suspended"
    """spec.suspend is set."""
    UNREADABLE = "Unreadable"
    """This version cannot read a field of spec or status; nothing is started. Also the reason of
    Stalled while a run of such a resource is polled."""
    BEING_DELETED = "BeingDeleted"
    """metadata.deletionTimestamp is set: the resource is not reconciled any more."""


class FailureReason(StrEnum):
    """Why a run failed, or what a user has to fix before the run continues."""

    INSUFFICIENT_DATA = "InsufficientData"
    """The model has less than the minimum hours of training audio."""
    POOR_TRANSCRIPTS = "PoorTranscripts"
    """Transcript accuracy is below the threshold."""
    AUDIO_TRANSCRIPT_MISMATCH = "AudioTranscriptMismatch"
    """Audio files and transcripts do not match."""
    SYSTEM_ERROR = "SystemError"
    """The training failed at the API; it may be retried."""
    TIMED_OUT = "TimedOut"
    """spec.timeoutSeconds passed; the remote run is not cancelled."""
    QUALITY_GATE_FAILED = "QualityGateFailed"
    """The run finished but missed spec.qualityGate; it is not published."""
    START_REJECTED = "StartRejected"
    """The API or the spec refused the start."""
    UNKNOWN = "Unknown"
    """The message of the API matches no known reason; it is shown unchanged."""

    RESULT_NOT_PUBLISHED = "ResultNotPublished"
    """Blocked: the training has succeeded; the cluster refuses its result ConfigMap."""
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason
    """Blocked: the Secret that holds the API key is missing, or may not be read."""
    KEY_NOT_FOUND = "KeyNotFound"
    """Blocked: the Secret has no usable value under the key's name."""
    UNAUTHORIZED = "Unauthorized"
    """Blocked: the API rejects the key (401, 402 or 403)."""
    MODEL_NOT_FOUND = "ModelNotFound"
    """Blocked: the API does not know the model (404)."""
    GATEWAY_REFUSED = "GatewayRefused"
    """Blocked: a proxy or gateway refuses the polls in place of the API."""


class GateReason(StrEnum):
    """Reason of the condition QualityGatePassed; a missed bound has the name of its field."""

    BOUNDS_KEPT = "BoundsKept"
    """The run keeps all bounds."""
    MAX_WORD_ERROR_RATE_EXCEEDED = "MaxWordErrorRateExceeded"
    """The word error rate is above maxWordErrorRate."""
    MAX_WORD_ERROR_RATE_INCREASE_EXCEEDED = "MaxWordErrorRateIncreaseExceeded"
    """The word error rate is above that of the published result by more than
    maxWordErrorRateIncrease."""
    MAX_CHARACTER_ERROR_RATE_EXCEEDED = "MaxCharacterErrorRateExceeded"
    """The character error rate is above maxCharacterErrorRate."""
    MIN_ACCURACY_IMPROVEMENT_MISSED = "MinAccuracyImprovementMissed"
    """The accuracy improvement is below minAccuracyImprovement."""
    METRIC_MISSING = "MetricMissing"
    """The API did not give a metric that the gate bounds, and no other bound is missed."""


class ConditionType(StrEnum):
    """Condition types; Reconciling, Stalled and Suspended are present only when True."""

    SUCCEEDED = "Succeeded"
    """The summary: True succeeded, False failed, Unknown not over yet."""
    READY = "Ready"
    """Mirrors Succeeded, for tools that wait for Ready."""
    RECONCILING = "Reconciling"
    """The operator is working towards the spec (kstatus)."""
    STALLED = "Stalled"
    """No progress without a user's action (kstatus)."""
    SUSPENDED = "Suspended"
    """spec.suspend is set."""
    QUALITY_GATE_PASSED = "QualityGatePassed"
    """The judgement of the run by its quality gate; present once the gate was judged."""


class EventReason(StrEnum):
    """Reasons of the Kubernetes events; status has each fact, too.

    The order is that of a run: kubectl lists events of the same second in it.
    """

    WAITING_FOR_MODEL = "WaitingForModel"
    """The model cannot be started yet."""
    MODEL_IN_USE = "ModelInUse"
    """Another resource is training the same model."""
    TRAINING_QUEUED = "TrainingQueued"
    """The run waits for the start quota of the API key."""
    START_LEDGER_NOT_WRITABLE = "StartLedgerNotWritable"
    """The operator cannot write its start ledger; starts are disabled."""
    WAITING_FOR_NAMESPACES = "WaitingForNamespaces"
    """The start ledger is lost; it is rebuilt when all watched namespaces are listed."""
    START_OUTCOME_UNKNOWN = "StartOutcomeUnknown"
    """The outcome of a start is unknown; the model is polled to determine it."""
    TRAINING_STARTED = "TrainingStarted"
    """The API accepted the start."""
    TRAINING_ADOPTED = "TrainingAdopted"
    """An existing run was adopted."""
    STAGE_CHANGED = "StageChanged"
    """The run reached another stage."""
    WORD_ERROR_RATE_RISING = "WordErrorRateRising"
    """The word error rate of the run under way rises over several epochs; once a run."""
    QUALITY_GATE_AT_RISK = "QualityGateAtRisk"
    """The run under way is expected to miss its gate; once a run."""
    TRAINING_SUCCEEDED = "TrainingSucceeded"
    """The run finished and passed its gate."""
    QUALITY_GATE_FAILED = "QualityGateFailed"
    """The run finished and missed its gate."""
    TRAINING_FAILED = "TrainingFailed"
    """The run failed; the message has the remedy."""
    TRAINING_TIMED_OUT = "TrainingTimedOut"
    """timeoutSeconds passed."""
    RETRY_SCHEDULED = "RetryScheduled"
    """The run failed; another one starts automatically (spec.backoffLimit)."""
    PROGRESS_STALLED = "ProgressStalled"
    """The run makes no progress for longer than expected in its stage."""
    START_REJECTED = "StartRejected"
    """The API or the spec refused the start."""
    RATE_LIMITED = "RateLimited"
    """The API refused a call because of its rate limits."""
    SECRET_NOT_FOUND = "SecretNotFound"  # noqa: S105 - a reason
    """The Secret that holds the API key is missing, or may not be read."""
    KEY_NOT_FOUND = "KeyNotFound"
    """The Secret has no usable value under the name of the key."""
    UNAUTHORIZED = "Unauthorized"
    """The API rejects the API key."""
    GATEWAY_REFUSED = "GatewayRefused"
    """A proxy or gateway refuses the polls in place of the API."""
    MODEL_NOT_FOUND = "ModelNotFound"
    """The API does not know the model."""
    UNREADABLE = "Unreadable"
    """This version cannot read a field of spec or status."""
    REQUEST_ALREADY_USED = "RequestAlreadyUsed"
    """A value that was used before is set again; it starts no run."""
    REQUEST_CANCELLED = "RequestCancelled"
    """A request was cancelled: its value was removed or replaced before the start."""
    RESULT_NOT_PUBLISHED = "ResultNotPublished"
    """The training has succeeded; the cluster refuses its result ConfigMap."""
    LOG_NOT_STORED = "LogNotStored"
    """The log of the run is not stored: status.log.state is Refused, Unavailable or NameTaken."""
    RELEASED_RUNNING_TRAINING = "ReleasedRunningTraining"
    """The resource was deleted; its remote run continues."""
    SERVED_ELSEWHERE = "ServedElsewhere"
    """Another installation of the operator serves the resource; this one skips it."""
