"""Observations, actions and decisions of a reconcile: the vocabulary of `decide`.

The engine runs a loop: decide → act → observe → decide … until the action is RequeueAfter.
"""

from dataclasses import dataclass, field
from datetime import datetime

from scriptix_operator.api.status import Failure, Queue, TrainingStatus
from scriptix_operator.core.eta.timeline import PastRun
from scriptix_operator.core.ledger.ledger import InFlightStart, LatestRun, StartOutcome
from scriptix_operator.core.model.remote import CallFailure, RemoteModel
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.reconcile.call_results import (
    LogStored,
    LogUnavailable,
    Posted,
    PostFailed,
)
from scriptix_operator.core.reconcile.in_process_state import InProcessState
from scriptix_operator.core.scheduling.poll_interval import UNCONSTRAINED, GrantedInterval

__all__ = [
    "AcquireStart",
    "Action",
    "Blocked",
    "CheckQueue",
    "Decision",
    "FetchLog",
    "KeyUse",
    "ModelPolled",
    "NoStartInFlight",
    "Observation",
    "Poll",
    "PollDeferred",
    "PollFailed",
    "Post",
    "PublishFailed",
    "QueueReached",
    "RebuildPending",
    "RequeueAfter",
    "StartAborted",
    "StartGranted",
    "StartLedgerNotWritable",
    "StartQueued",
    "Triggered",
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
    """Why resources are unknown: namespaces that are not listed yet, and namespaces with a resource
    that cannot be parsed (start_texts.ledger_gap)."""


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
    """Revision of the ledger that was read before the model: a start is charged in no other."""
    asked_at: datetime | None = None
    """When the poll was sent, which bounds its age; None: just now."""
    past: tuple[PastRun, ...] = ()
    """Completed runs with this API key."""
    granted_interval: GrantedInterval = UNCONSTRAINED
    """What the key's quota grants of the requested poll intervals."""
    jitter: float = 0.5
    """A random number from 0 to 1, drawn by the engine: the core has no randomness."""
    is_starter_unlisted: bool = False
    """The starter, the resource of the in-flight start, may exist although the store lacks it: its
    namespace was not listed completely since this process leads, or it cannot be parsed."""
    has_hidden_competitor: bool = False
    """Another resource with this model may exist although it is not among the competitors, for the
    same reasons."""
    unreadable_competitor: TrainingKey | None = None
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
    is_baseline: bool = False
    """The poll is the last one before a start, whose turn has come."""


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
    """Ask for a start permit."""

    model: RemoteModel
    key: KeyUse
    revision: int
    """Revision of the ledger, as in ModelPolled."""


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
class Decision:
    """What one reconcile records and does next: the result of `decide`.

    The engine writes `status` before Post, FetchLog and RequeueAfter, and before a start outcome is
    resolved; before Poll, CheckQueue and AcquireStart the engine only carries the status on.
    """

    status: TrainingStatus
    action: Action
    state: InProcessState = field(default_factory=InProcessState)
    publish: bool = False
    """Write the result ConfigMap before the status: clients that wait for success find it."""
    start_outcome: StartOutcome | None = None
    """The outcome that resolves an in-flight start, after the status is recorded."""
    poll_by: float | None = None
    """Only a poll is due after a RequeueAfter: the next reconcile may wait for the permit of the
    poll, for so many seconds from now at most; None: it may not wait."""
