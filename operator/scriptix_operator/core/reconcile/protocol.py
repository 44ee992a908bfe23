"""What one step may learn, and what it may do next: the vocabulary of `decide`.

The engine runs a loop: decide → record → act → observe → decide … until the action is Rest.
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


# What a step may learn.


@dataclass(frozen=True, slots=True)
class Triggered:
    """A watch event or a due time; nothing about the model is known yet."""

    is_queued: bool = False
    """The resource is in the start queue, which status may not report yet."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """A human must mend something before the API can be asked."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class StartLedgerNotWritable:
    """The cluster does not let the operator keep its start ledger."""


@dataclass(frozen=True, slots=True)
class RebuildPending:
    """The start ledger is lost, and not all resources are known that it is rebuilt from."""

    gap: str
    """What is not known: which namespaces are not listed."""


@dataclass(frozen=True, slots=True)
class ModelPolled:
    """The API answered a look."""

    model: RemoteModel
    key: KeyUse
    competitors: tuple[Training, ...] = ()
    """The other resources with this model."""
    in_flight: InFlightStart | None = None
    """The start of this model that the ledger has no outcome of."""
    latest_run: LatestRun | None = None
    """What the ledger knows of the model's trainings."""
    revision: int = 0
    """Version of the ledger that was read before the model: a start is debited in no other."""
    asked_at: datetime | None = None
    """When the look was sent, which is how old it may be; None: just now."""
    past: tuple[PastRun, ...] = ()
    """Runs with this API key that went to their end."""
    granted_interval: GrantedInterval = UNCONSTRAINED
    """What the key's allowance leaves of the intervals between looks that are asked for."""
    jitter: float = 0.5
    """0 to 1, drawn by the engine: the core has no randomness."""
    is_holder_unlisted: bool = False
    """The resource of `entry` may exist although the store does not have it: its namespace was not
    listed completely since this process leads, or the resource cannot be parsed."""
    has_hidden_competitor: bool = False
    """Another resource with this model may exist although it is not among the rivals, for the same
    reasons."""
    unreadable_holder: TrainingKey | None = None
    """A resource that cannot be parsed, and may have a run of this model under way."""


@dataclass(frozen=True, slots=True)
class NoStartInFlight:
    """No poll is made: the resource is being deleted, and no start of it is in flight."""


@dataclass(frozen=True, slots=True)
class PollDeferred:
    """The key's allowance for status calls is used up, or others come first."""

    seconds: float
    """Until it is worth asking again, unless it is woken earlier."""


@dataclass(frozen=True, slots=True)
class PollFailed:
    """The API did not answer a look, or refused it; or none is made, as all are in vain."""

    failure: CallFailure
    key_source: str | None = None
    since: datetime | None = None
    """Since when no calls are made with the key but a probe now and then; None: they are."""
    again_in: float | None = None
    """Seconds until the key may be used again, where its rate was the reason."""
    has_key_worked: bool = False
    """The API has accepted the key before."""
    named_until: datetime | None = None
    """Before when the API asks for no calls; None: no time is named, or calls are made."""


@dataclass(frozen=True, slots=True)
class QueueReached:
    """The start queue has come to this resource, or it is not in it (any more)."""


@dataclass(frozen=True, slots=True)
class StartGranted:
    """The key's start allowance has room, and it is this resource's turn."""

    model: RemoteModel
    key: KeyUse
    nonce: str = ""
    """For the intent; drawn by the engine, since the core has no randomness."""


@dataclass(frozen=True, slots=True)
class StartQueued:
    """The key's start allowance is used up, or others come first."""

    queue: Queue | None
    """To report; None: nothing yet, or nothing but what status has."""
    wait: float
    """Seconds until it is worth asking again."""


@dataclass(frozen=True, slots=True)
class StartAborted:
    """The start was not sent: others have written to the ledger since the model was seen."""


@dataclass(frozen=True, slots=True)
class Posted:
    """The API accepted the start."""

    model: RemoteModel | None
    """What the reply said; None where it had no body."""


@dataclass(frozen=True, slots=True)
class PostFailed:
    """The API refused the start, or its answer is not known."""

    failure: CallFailure
    again_in: float | None = None
    """Seconds until the key may start again, where its rate was the reason."""


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
    """Seconds until the next poll is due; None: none is."""
    extent: LogExtent
    asked_at: datetime | None = None
    """When the log call was sent, which is how old the log may be; None: just now."""


class WriteFailure(StrEnum):
    """Why the cluster did not take a log."""

    REFUSED = "Refused"
    """It says so again until somebody changes what the message names."""
    FAILED = "Failed"
    """It may take the log another time."""


@dataclass(frozen=True, slots=True)
class LogUnavailable:
    """The log could not be fetched or stored now."""

    wait: float | None
    """Seconds until it is worth trying again; None: it never is."""
    state: LogState
    due_in: float | None
    tried: bool = True
    """False: the key's log allowance is used up, so nobody was asked."""
    was_called: bool = False
    """The log call was made, so it counts against the quota, whatever came of it."""
    refusal: CallFailure | None = None
    """The API or a gateway answered that there is no log, or the 2xx cannot be used."""
    write_failure: WriteFailure | None = None
    """The cluster did not take the log, or does not let the operator read what is stored."""
    message: str | None = None
    """Why, for people; None: nothing is wrong, or it is shown elsewhere."""


@dataclass(frozen=True, slots=True)
class PublishFailed:
    """The result of a run that has succeeded could not be published."""

    success: "Decision"
    """As it was decided, and not recorded."""
    message: str
    """What the cluster said."""
    refused: bool
    """It will say so again until somebody mends it."""


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


# What a step may do next.


@dataclass(frozen=True, slots=True)
class RequeueAfter:
    """Nothing to do for `seconds`; None: until the resource changes."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Poll:
    """Ask the API for the model."""


@dataclass(frozen=True, slots=True)
class CheckQueue:
    """Ask how far the start queue is: before it is this one's turn there is nothing to look for."""


@dataclass(frozen=True, slots=True)
class AcquireStart:
    """Ask for room in the key's start allowance."""

    model: RemoteModel
    key: KeyUse
    revision: int
    """Of the ledger, as ModelSeen has it."""


@dataclass(frozen=True, slots=True)
class Post:
    """Start the run: the intent that goes with it must be recorded first."""


@dataclass(frozen=True, slots=True)
class FetchLog:
    """Fetch and store the log."""

    due_in: float | None
    """Seconds until the next look is due; None: none is."""


Action = RequeueAfter | Poll | CheckQueue | AcquireStart | Post | FetchLog


@dataclass(frozen=True, slots=True)
class StartCooldown:
    """A start that the API refused for its key, although the key may look at the model."""

    key: str
    """Fingerprint of the API key."""
    failure: Failure
    until: datetime
    """Not tried with that key before: each try costs a start of those that share the key."""


@dataclass(frozen=True, slots=True)
class InProcessState:
    """What one process remembers of a resource beside its status.

    Losing it (a restart) only makes waits longer, never causes a start.
    """

    failed_polls: int = 0
    """Looks in a row without an answer."""
    last_polled_at: datetime | None = None
    """When the last look had an answer."""
    unreadable: tuple[str, ...] = ()
    """Fields of the last usable reply that could not be read."""
    doubted_at: datetime | None = None
    """Since when each poll was refused by the API, against what was known; a second one has yet to
    confirm it. None: the last one was not."""
    gateway_since: datetime | None = None
    """Since when each poll was refused by a gateway; None: the last one was not."""
    interval: float | None = None
    """Seconds between looks as wanted, near the expected end for instance; None: as asked for."""
    poll_credits: float | None = None
    """Looks saved up for the expected end, as pacing.next_look."""
    refusals: int = 0
    """Starts in a row that were refused, or not sent, although the model looked ready."""
    cooldown: StartCooldown | None = None
    """The last start was refused for its key."""
    in_flight: InFlightStart | None = None
    """The ledger's open entry that the next five are about."""
    answer: Posted | PostFailed | None = None
    """What the API answered to this process's own start, until that is recorded."""
    intent_seen_at: datetime | None = None
    """When this process first saw the open entry, or else when its own POST ended in a reset."""
    reset_seen: bool = False
    """This process's own POST ended in a reset: nothing of it is on its way any more."""
    agreed_at: datetime | None = None
    """When a look first showed that the ambiguous start cannot happen any more."""
    repeated_at: datetime | None = None
    """When a look first showed a run under the marker of the one before the start."""
    log_wanted: bool = False
    """News since the log was last fetched."""
    failed_logs: int = 0
    """Log fetches in a row that failed."""
    log_refusals: int = 0
    """Replies of the API that there is no log, since the log was last fetched."""
    log_gateway_refusals: int = 0
    """The same of a gateway, and replies that could not be used."""
    log_write_refusals: int = 0
    """Logs that the cluster refused, since one was last stored."""
    log_write_failures: int = 0
    """Logs that the cluster did not take, refused or not, since one was last stored."""
    log_not_before: datetime | None = None
    """When the log may be tried again: each try is one of the key's few log calls."""
    failed_publishes: int = 0
    """Tries in a row to publish the result that failed."""
    results_poll_at: datetime | None = None
    """When the results of a pending end are polled for next; None: not known yet."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What `decide` answers: record `status`, then take `action`."""

    status: TrainingStatus
    action: Action
    state: InProcessState = InProcessState()
    publish: bool = False
    """Write the result ConfigMap before the status: whoever waits for success finds it."""
    start_outcome: StartOutcome | None = None
    """Close the ledger's entry at hand, after the status is recorded."""
