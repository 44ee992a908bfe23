"""Observations and actions of a reconcile: the vocabulary of `decide`.

The engine runs a loop: decide → act → observe → decide … until the action is RequeueAfter.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from scriptix_operator.api.reasons import LogState
from scriptix_operator.api.status import (
    Failure,
    LearningPoint,
    LogStatus,
    Queue,
    TrainingStatus,
)
from scriptix_operator.core.eta.timeline import PastRun
from scriptix_operator.core.ledger.ledger import InFlightStart, LatestRun, StartOutcome
from scriptix_operator.core.model.remote import CallFailure, LogReply, RemoteModel
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.scheduling.poll_interval import UNCONSTRAINED, GrantedInterval

__all__ = [
    "AcquireStart",
    "Action",
    "Blocked",
    "CheckQueue",
    "Decision",
    "FetchLog",
    "InProcessState",
    "KeyUse",
    "LogExtent",
    "LogStored",
    "LogUnavailable",
    "ModelPolled",
    "NoStartInFlight",
    "Observation",
    "Poll",
    "PollDeferred",
    "PollFailed",
    "Post",
    "PostFailed",
    "Posted",
    "PublishFailed",
    "QueueReached",
    "RebuildPending",
    "RequeueAfter",
    "StartAborted",
    "StartCooldown",
    "StartGranted",
    "StartLedgerNotWritable",
    "StartQueued",
    "Triggered",
    "WriteFailure",
]


@dataclass(frozen=True, slots=True)
class KeyUse:
    """Which API key a call is made with."""

    source: str
    fingerprint: str


# Observations.


@dataclass(frozen=True, slots=True)
class Triggered:
    """A watch event or a due time; nothing about the model is known yet."""

    is_queued: bool = False
    """The resource is in the start queue, which status may not report yet."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """A human must fix something before the API can be called."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class StartLedgerNotWritable:
    """The cluster does not let the operator write its start ledger."""


@dataclass(frozen=True, slots=True)
class RebuildPending:
    """The start ledger is lost, and not all resources to rebuild it from are known."""

    gap: str
    """The namespaces that are not listed yet."""


@dataclass(frozen=True, slots=True)
class ModelPolled:
    """The API answered a poll."""

    model: RemoteModel
    key: KeyUse
    competitors: tuple[Training, ...] = ()
    """The other resources with this model."""
    in_flight: InFlightStart | None = None
    """The in-flight start of this model in the ledger."""
    latest_run: LatestRun | None = None
    """The latest run of the model that the ledger knows."""
    revision: int = 0
    """Version of the ledger that was read before the model: a start is charged in no other."""
    asked_at: datetime | None = None
    """When the poll was sent, which bounds its age; None: just now."""
    past: tuple[PastRun, ...] = ()
    """Completed runs with this API key."""
    granted_interval: GrantedInterval = UNCONSTRAINED
    """What the key's quota grants of the requested poll intervals."""
    jitter: float = 0.5
    """A random number from 0 to 1, drawn by the engine: the core has no randomness."""
    is_holder_unlisted: bool = False
    """The resource of the in-flight start may exist although the store does not have it: its
    namespace was not listed completely since this process leads, or it cannot be parsed."""
    has_hidden_competitor: bool = False
    """Another resource with this model may exist although it is not among the competitors, for the
    same reasons."""
    unreadable_holder: TrainingKey | None = None
    """A resource that cannot be parsed, and may have a run of this model under way."""


@dataclass(frozen=True, slots=True)
class NoStartInFlight:
    """No poll is made: the resource is being deleted, and no start of it is in flight."""


@dataclass(frozen=True, slots=True)
class PollDeferred:
    """The call is not made now.

    The key's status quota is used up, other resources come first, or the key was replaced since the
    poll.
    """

    seconds: float
    """Seconds until asking again makes sense, unless the resource is triggered earlier."""


@dataclass(frozen=True, slots=True)
class PollFailed:
    """A poll was not answered or was refused, or the circuit breaker prevented a call.

    The open circuit breaker prevents polls and starts.
    """

    failure: CallFailure
    key_source: str | None = None
    since: datetime | None = None
    """Since when the circuit breaker of the key is open; None: it is closed."""
    again_in: float | None = None
    """Seconds until the key may be used again, after a refusal for its rate."""
    has_key_worked: bool = False
    """The API has accepted the key before."""
    named_until: datetime | None = None
    """When the API asks to be called again; None: the API named no time, or calls are made."""


@dataclass(frozen=True, slots=True)
class QueueReached:
    """The resource is next in the start queue, or not in the queue (any more)."""


@dataclass(frozen=True, slots=True)
class StartGranted:
    """The key's start quota has room, and this resource is next in the queue."""

    model: RemoteModel
    key: KeyUse
    nonce: str = ""
    """The nonce of the intent, drawn by the engine, since the core has no randomness."""


@dataclass(frozen=True, slots=True)
class StartQueued:
    """The key's start quota is used up, or other resources come first."""

    queue: Queue | None
    """The queue position to report; None: none yet, or the one that status has."""
    wait: float
    """Seconds until asking again makes sense."""


@dataclass(frozen=True, slots=True)
class StartAborted:
    """The start was not sent: the ledger has changed since the model was polled."""


@dataclass(frozen=True, slots=True)
class Posted:
    """The API accepted the start."""

    model: RemoteModel | None
    """The model in the reply; None where the reply had no body."""


@dataclass(frozen=True, slots=True)
class PostFailed:
    """The API refused the start, or its reply is not known."""

    failure: CallFailure
    again_in: float | None = None
    """Seconds until the key may start again, after a refusal for its rate."""


@dataclass(frozen=True, slots=True)
class LogExtent:
    """How much of a run's log there is, in a reply and in the cluster."""

    reply: LogReply
    of_run: int
    """Entries of the run in the reply."""
    known: int
    """Entries of the run that are stored, or were dropped to keep the bound."""
    skipped: int = 0
    """Entries in the reply that are older than the run."""


@dataclass(frozen=True, slots=True)
class LogStored:
    """The log was fetched and stored."""

    log: LogStatus
    learning_curve: tuple[LearningPoint, ...]
    due_in: float | None
    """Seconds until the next action other than the log is due; None: none is."""
    extent: LogExtent
    asked_at: datetime | None = None
    """When the log call was sent, which bounds the age of the log; None: just now."""


class WriteFailure(StrEnum):
    """Why the cluster did not take a log."""

    REFUSED = "Refused"
    """The cluster refuses the log until someone fixes the reported problem."""
    FAILED = "Failed"
    """The cluster may take the log at the next attempt."""


@dataclass(frozen=True, slots=True)
class LogUnavailable:
    """The log could not be fetched or stored now."""

    wait: float | None
    """Seconds until another attempt makes sense; None: none does."""
    state: LogState
    due_in: float | None
    """Seconds until the next action other than the log is due; None: none is."""
    tried: bool = True
    """False: the key's log quota is used up, so no call was made."""
    was_called: bool = False
    """The log call was made, so it counts against the quota, whatever its result."""
    refusal: CallFailure | None = None
    """The API or a gateway answered that there is no log, or the 2xx cannot be used."""
    write_failure: WriteFailure | None = None
    """The cluster did not take the log, or does not let the operator read what is stored."""
    message: str | None = None
    """Why, for people; None: nothing is wrong, or the reason is shown elsewhere."""


@dataclass(frozen=True, slots=True)
class PublishFailed:
    """The result of a run that has succeeded could not be published."""

    success: "Decision"
    """The decision to report success, which was not recorded."""
    message: str
    """The cluster's reply."""
    refused: bool
    """The cluster refuses the result until someone fixes the reported problem."""


Observation = (
    Triggered
    | Blocked
    | StartLedgerNotWritable
    | RebuildPending
    | ModelPolled
    | NoStartInFlight
    | PollDeferred
    | PollFailed
    | QueueReached
    | StartGranted
    | StartQueued
    | StartAborted
    | Posted
    | PostFailed
    | LogStored
    | LogUnavailable
    | PublishFailed
)


# Actions.


@dataclass(frozen=True, slots=True)
class RequeueAfter:
    """Reconcile again after `seconds`; None: when the resource changes."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Poll:
    """Ask the API for the model."""


@dataclass(frozen=True, slots=True)
class CheckQueue:
    """Ask for the queue position: the model is polled only when the resource is next."""


@dataclass(frozen=True, slots=True)
class AcquireStart:
    """Ask for a permit of the key's start quota."""

    model: RemoteModel
    key: KeyUse
    revision: int
    """Version of the ledger, as in ModelPolled."""


@dataclass(frozen=True, slots=True)
class Post:
    """Start the run: the intent must be recorded first."""


@dataclass(frozen=True, slots=True)
class FetchLog:
    """Fetch and store the log."""

    due_in: float | None
    """Seconds until the next action other than the log is due; None: none is."""


Action = RequeueAfter | Poll | CheckQueue | AcquireStart | Post | FetchLog


@dataclass(frozen=True, slots=True)
class StartCooldown:
    """A start that the API refused for its key, although the key may poll the model."""

    key: str
    """Fingerprint of the API key."""
    failure: Failure
    until: datetime
    """No start with the key before this time: each attempt consumes the shared start quota."""


@dataclass(frozen=True, slots=True)
class InProcessState:
    """The in-process state of a resource: facts that are not in its status.

    A restart loses the state, which only lengthens waits and never causes a start.
    """

    failed_polls: int = 0
    """Consecutive polls without an answer."""
    last_polled_at: datetime | None = None
    """When the last answered poll was made."""
    unreadable: tuple[str, ...] = ()
    """Fields of the last usable reply that could not be read."""
    doubted_at: datetime | None = None
    """Since when the API has refused each poll, contrary to what was known; a second refusal has
    yet to confirm the first. None: the last poll was not refused."""
    gateway_since: datetime | None = None
    """Since when a gateway has refused each poll; None: the last poll was not refused so."""
    interval: float | None = None
    """Wanted poll interval in seconds, for example near the estimated completion; None: the
    requested one."""
    poll_credits: float | None = None
    """Poll credits for the estimated completion, as poll_interval.next_poll."""
    refusals: int = 0
    """Consecutive starts that were refused, or not sent, although the model was ready."""
    cooldown: StartCooldown | None = None
    """The cooldown after a start that was refused for its key."""
    in_flight: InFlightStart | None = None
    """The in-flight start that the next five fields describe."""
    answer: Posted | PostFailed | None = None
    """The API's reply to this process's own start, until the reply is recorded."""
    intent_seen_at: datetime | None = None
    """When this process first saw the in-flight start, or when its own POST ended in a reset."""
    reset_seen: bool = False
    """This process's own POST ended in a reset: the POST is not in flight any more."""
    agreed_at: datetime | None = None
    """When a poll first showed that the ambiguous start cannot happen any more."""
    repeated_at: datetime | None = None
    """When a poll first showed a run with the baseline's run start time."""
    log_wanted: bool = False
    """Status has changed since the log was last fetched."""
    failed_logs: int = 0
    """Consecutive failed log fetches."""
    log_refusals: int = 0
    """Replies of the API that there is no log, since the log was last fetched."""
    log_gateway_refusals: int = 0
    """Replies of a gateway, and unusable replies, since the log was last fetched."""
    log_write_refusals: int = 0
    """Writes of the log that the cluster refused, since the log was last stored."""
    log_write_failures: int = 0
    """Writes of the log that failed, refused or not, since the log was last stored."""
    log_not_before: datetime | None = None
    """When the log may be fetched again: each attempt consumes one of the key's few log calls."""
    failed_publishes: int = 0
    """Consecutive failed attempts to publish the result."""
    results_poll_at: datetime | None = None
    """When the results of a pending end are polled for next; None: not known yet."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer of `decide`.

    The engine writes `status` before Post, FetchLog and RequeueAfter, and before a start outcome is
    resolved; before Poll, CheckQueue and AcquireStart the engine only carries the status on.
    """

    status: TrainingStatus
    action: Action
    state: InProcessState = InProcessState()
    publish: bool = False
    """Write the result ConfigMap before the status: clients that wait for success find it."""
    start_outcome: StartOutcome | None = None
    """The outcome that resolves an in-flight start, after the status is recorded."""
