"""Phases, stages and reasons: each a constant with its meaning. They are API."""

from enum import StrEnum

__all__ = [
    "GIVEN_UP",
    "AskedBy",
    "ConditionType",
    "EventReason",
    "FailureReason",
    "LogState",
    "Outcome",
    "Ownership",
    "Phase",
    "Rating",
    "Reason",
    "Stage",
]


class Phase(StrEnum):
    """Where the requested run stands; derived from the other facts, never an input."""

    PENDING = "Pending"
    """Not started: not looked at yet, waiting for the model, or blocked."""
    QUEUED = "Queued"
    """Could start now; waits for the key's start allowance."""
    STARTING = "Starting"
    """The intent to start is written; the outcome is not known yet."""
    RUNNING = "Running"
    """The remote run is being followed."""
    SUCCEEDED = "Succeeded"
    """The run finished and passed its quality gate."""
    FAILED = "Failed"
    """The run ended without a usable model; failure says why and what to do."""
    SUSPENDED = "Suspended"
    """spec.suspend is set: nothing is called. A remote run goes on."""


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
    """A reply to our own start named it."""
    ADOPTED = "Adopted"
    """It was there at first sight of the model."""
    UNCONFIRMED = "Unconfirmed"
    """It appeared after a start of ours whose reply was lost."""


class AskedBy(StrEnum):
    """What asks for a run after the first."""

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
    """It ran and was replaced before its outcome could be read."""


class LogState(StrEnum):
    """Where the collection of a run's log stands (docs/logs.md)."""

    COLLECTING = "Collecting"
    """More is to be fetched, or another try to be made."""
    COMPLETE = "Complete"
    """Fetched for the last time after the end of the run; no entry is missing that the API says
    it has. `truncated` says whether older ones were dropped to keep spec.log.maxBytes."""
    PARTIAL = "Partial"
    """Fetched for the last time, and entries are missing, or may be: no further call is made."""
    REFUSED = "Refused"
    """The cluster refuses the ConfigMap, by a quota, a webhook or missing permission for instance.
    Tried again after an edit of the resource."""
    UNAVAILABLE = "Unavailable"
    """The API has no log of this run."""
    NAME_TAKEN = "NameTaken"
    """The ConfigMap's name belongs to another object; delete or rename that object."""


GIVEN_UP = frozenset({LogState.REFUSED, LogState.UNAVAILABLE, LogState.NAME_TAKEN})
"""No log call is made before the run ends, the resource is edited, or another run begins."""


class Reason(StrEnum):
    """Reason of the conditions while there is no failure; with one it is the FailureReason."""

    OBSERVED = "Observed"
    """The model is about to be polled, or its start to be scheduled."""
    WAITING_FOR_MODEL = "WaitingForModel"
    """The model cannot be started yet; waiting for its data or for its present training."""
    MODEL_IN_USE = "ModelInUse"
    """Another resource is training the same model."""
    WAITING_FOR_START_QUOTA = "WaitingForStartQuota"
    """The API key's start allowance is used up; the queue says when it is this one's turn."""
    STARTING = "Starting"
    """The start is being sent."""
    START_OUTCOME_UNKNOWN = "StartOutcomeUnknown"
    """The reply to the start was lost; the model is watched to learn the outcome."""
    TRAINING = "Training"
    """The run is being followed."""
    PROGRESS_STALLED = "ProgressStalled"
    """The run goes on, but its progress has stood still for longer than its stage ever took."""
    API_UNAVAILABLE = "ApiUnavailable"
    """The API does not answer, or not sensibly; the facts shown are the last ones known."""
    RATE_LIMITED = "RateLimited"
    """The API refused a call because of its rate limits."""
    START_LEDGER_NOT_WRITABLE = "StartLedgerNotWritable"
    """The operator may not write its own ConfigMap, without which nothing is started."""
    WAITING_FOR_NAMESPACES = "WaitingForNamespaces"
    """The start ledger is lost, and rebuilt only once all watched namespaces are listed."""
    WAITING_FOR_RETRY = "WaitingForRetry"
    """The run has failed; another follows by itself (spec.backoffLimit)."""
    UNEXPECTED_STATUS = "UnexpectedStatus"
    """The API shows a training_status that does not fit the run, or that is not documented."""
    TRAINING_SUCCEEDED = "TrainingSucceeded"
    """The run finished and passed its gate."""
    SUSPENDED = "Suspended"
    """spec.suspend is set."""
    UNREADABLE = "Unreadable"
    """A field of spec or status cannot be read by this version; nothing is started. Also the reason
    of Stalled while a run of such a resource is followed."""
    BEING_DELETED = "BeingDeleted"
    """metadata.deletionTimestamp is set: the resource is not reconciled any more."""


class FailureReason(StrEnum):
    """Why a run failed, or what a human must mend before it goes on."""

    INSUFFICIENT_DATA = "InsufficientData"
    """The model has less than the minimum hours of training audio."""
    POOR_TRANSCRIPTS = "PoorTranscripts"
    """Transcript accuracy is below the threshold."""
    AUDIO_TRANSCRIPT_MISMATCH = "AudioTranscriptMismatch"
    """Audio files and transcripts do not belong together."""
    SYSTEM_ERROR = "SystemError"
    """The remote side failed; may be retried."""
    TIMED_OUT = "TimedOut"
    """spec.timeoutSeconds passed; the remote run is not cancelled."""
    QUALITY_GATE_FAILED = "QualityGateFailed"
    """The run finished but missed spec.qualityGate; it is not published."""
    START_REJECTED = "StartRejected"
    """The API or the spec refused the start."""
    UNKNOWN = "Unknown"
    """The remote message fits no known reason; it is shown whole."""

    RESULT_NOT_PUBLISHED = "ResultNotPublished"
    """Blocked: the training has succeeded; the cluster does not take its result ConfigMap."""
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


class ConditionType(StrEnum):
    """Condition types; Reconciling, Stalled and Suspended are present only when True."""

    SUCCEEDED = "Succeeded"
    """The summary: True succeeded, False failed, Unknown not over yet."""
    READY = "Ready"
    """Mirrors Succeeded, for tools that wait for Ready."""
    RECONCILING = "Reconciling"
    """The operator is working towards the spec (kstatus)."""
    STALLED = "Stalled"
    """Nothing goes on without a human (kstatus)."""
    SUSPENDED = "Suspended"
    """spec.suspend is set."""


class EventReason(StrEnum):
    """Reasons of the Kubernetes events: news only, each fact also stands in status.

    The order is that of a run: kubectl lists events of the same second in it.
    """

    WAITING_FOR_MODEL = "WaitingForModel"
    """The model cannot be started yet."""
    MODEL_IN_USE = "ModelInUse"
    """Another resource is training the same model."""
    TRAINING_QUEUED = "TrainingQueued"
    """The run waits for the key's start allowance."""
    START_OUTCOME_UNKNOWN = "StartOutcomeUnknown"
    """The reply to a start was lost; the model is watched to learn the outcome."""
    TRAINING_STARTED = "TrainingStarted"
    """The API accepted the start."""
    TRAINING_ADOPTED = "TrainingAdopted"
    """A run that was already there is followed."""
    STAGE_CHANGED = "StageChanged"
    """The run reached another stage."""
    TRAINING_SUCCEEDED = "TrainingSucceeded"
    """The run finished and passed its gate."""
    QUALITY_GATE_FAILED = "QualityGateFailed"
    """The run finished and missed its gate."""
    TRAINING_FAILED = "TrainingFailed"
    """The run failed; the message says what to do."""
    TRAINING_TIMED_OUT = "TrainingTimedOut"
    """timeoutSeconds passed."""
    RETRY_SCHEDULED = "RetryScheduled"
    """The run failed, and another follows by itself (spec.backoffLimit)."""
    PROGRESS_STALLED = "ProgressStalled"
    """No progress for much longer than usual."""
    START_REJECTED = "StartRejected"
    """The API or the spec refused the start."""
    RATE_LIMITED = "RateLimited"
    """The API refused a call because of its rate limits."""
    UNAUTHORIZED = "Unauthorized"
    """The API key is missing or rejected."""
    GATEWAY_REFUSED = "GatewayRefused"
    """A proxy or gateway refuses the polls in place of the API."""
    MODEL_NOT_FOUND = "ModelNotFound"
    """The API does not know the model."""
    UNREADABLE = "Unreadable"
    """A field of spec or status cannot be read by this version."""
    REQUEST_ALREADY_USED = "RequestAlreadyUsed"
    """A value that was used before is set again, and starts no run."""
    REQUEST_CANCELLED = "RequestCancelled"
    """A value that asked for a run was removed or replaced before the start: no run is started."""
    RESULT_NOT_PUBLISHED = "ResultNotPublished"
    """The training has succeeded; the cluster does not take its result ConfigMap."""
    LOG_NOT_STORED = "LogNotStored"
    """The log of the run is not stored: status.log.state is Refused, Unavailable or NameTaken."""
    RELEASED_RUNNING_TRAINING = "ReleasedRunningTraining"
    """The resource was deleted while the remote run goes on."""
    SERVED_ELSEWHERE = "ServedElsewhere"
    """Another installation of the operator serves the resource; this one leaves it alone."""
