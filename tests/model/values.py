"""The parts of a state: plain tuples, so that equal states are recognized.

Statuses, in-flight starts and ledgers are numbers under which `decisions` keeps the real objects.
The resourceVersions of objects in the cluster grow without end. A copy therefore records only
whether it is of the newest version (`current`).
"""

from datetime import datetime
from enum import Enum, auto
from typing import NamedTuple

__all__ = [
    "Answer",
    "Budget",
    "Copy",
    "Job",
    "LateWrite",
    "Message",
    "Outcome",
    "Process",
    "Recall",
    "Renewal",
    "Started",
    "State",
    "Thing",
    "View",
]


class View(NamedTuple):
    """The model as a GET shows it."""

    status: int
    run_start: int | None
    """Number of the training whose run start time is shown; None: never trained."""
    off: int = 0
    """Seconds by which started_training_at differs from that in other replies."""
    unreadable: bool = False
    """started_training_at is present and cannot be read."""
    bare: bool = False
    """An end without results: no metrics, no error."""

    def __str__(self) -> str:
        event = f"{self.status}"
        if self.unreadable:
            event += " with an unreadable run start time"
        elif self.run_start is not None:
            event += f" of training {self.run_start}"
        if self.off:
            event += f" {self.off:+} s"
        return event + (" without results" if self.bare else "")


class Answer(NamedTuple):
    """The reply to a POST, or the error that its sender sees."""

    kind: str
    """A FailureKind, Accepted, or Aborted: no POST was sent, because the ledger has changed."""
    view: View | None = None
    """The model in the reply."""
    code: str | None = None
    reset: bool = False
    gateway: bool = False
    """A 4xx with the body of a gateway."""
    flawed: bool = False
    """A 2xx that carries an error."""

    def __str__(self) -> str:
        event = "a gateway's 4xx" if self.gateway else "2xx with an error" if self.flawed else ""
        return f"{event or self.kind}{f', {self.code}' if self.code else ''}"


class Recall(NamedTuple):
    """core.reconcile.in_process_state.InProcessState, with times as ages in ticks."""

    in_flight: int | None = None
    reply: Answer | None = None
    age: int | None = None
    """Ticks since the intent was first seen."""
    reset: bool = False
    not_happened: int | None = None
    """Ticks since a poll first showed that the start has not happened."""
    unconfirmed_run: int | None = None
    """Ticks since a poll first showed a run that may be the one before the start."""
    results: int | None = None
    """Ticks since the next poll for results became due."""
    refusals: int = 0


class Outcome(NamedTuple):
    """The outcome of a start: core.ledger.ledger.StartOutcome."""

    in_flight: int
    acted: bool
    run_start: datetime | None
    sent: bool


class Thing(NamedTuple):
    """A resource in the cluster."""

    uid: int
    status: int
    suspended: bool = False
    doomed: bool = False
    """The deletion has begun: metadata.deletionTimestamp is set."""
    token: str = ""
    """spec.runToken."""


class Copy(NamedTuple):
    """The copy of a resource in a process."""

    thing: Thing
    current: bool


class Job(NamedTuple):
    """A reconcile of one resource, between two effects."""

    at: str
    """The next effect: the name of a method of `operator_process.OperatorProcess`."""
    resource: int
    base: Copy
    """The version last read or written, which a write of status replaces."""
    status: int
    """The decided status."""
    action: str
    """The action that follows: poll, acquire, post or requeue."""
    start_outcome: Outcome | None = None
    view: View | None = None
    revision: bool = True
    """Whether the ledger is still of the version that was read before the poll."""
    begun: int | None = None
    """Ticks since the write of the intent began."""
    answer: Answer | None = None
    found: int | None = None
    """A ledger that was read and is not taken over yet, or was written without a reply."""
    then: str = ""
    """The effect that follows the take-over of the ledger."""


class Process(NamedTuple):
    """One process of the operator."""

    store: tuple[Copy | None, ...]
    recalls: tuple[Recall, ...]
    ledger: int | None = None
    """The ledger in memory; None: it has to be read."""
    current: bool = False
    """Whether that ledger is the newest version."""
    job: Job | None = None
    misled: bool = False
    """Whether the last poll was stale; the next one is not."""
    unlisted: tuple[int, ...] = ()
    """Resources in namespaces that the process could not list yet."""


class Message(NamedTuple):
    """A POST on its way."""

    resource: int
    uid: int
    in_flight: int | None
    """Number of the in-flight start in the ledger."""
    sender: int
    left: int
    """Ticks within which the POST acts, if it ever does."""
    token: str
    """Run token of the request."""
    awaited: bool
    """Whether the sender still waits for the reply."""


class Renewal(Enum):
    """Whether a re-created resource may start another run, because new data are there."""

    NO_DATA = auto()
    NEW_DATA = auto()
    """New data arrived after the last training began."""
    BESIDE_OPEN = auto()
    """The resource was re-created while its start was in flight and no outcome was recorded. The
    re-created one asks for that same start, and data that arrive meanwhile ask for no other."""


class Started(NamedTuple):
    """A training that a POST of the operator has started."""

    run_start: int
    resource: int
    uid: int
    request: int
    """Number of the request of this resource."""
    token: str
    """Run token of the request."""


class LateWrite(NamedTuple):
    """A write that its sender gave up, and that the cluster may still carry out.

    The write names the version that it replaces, so it is void once there is another version.
    """

    resource: int | None
    """The resource whose status is written; None: the ledger."""
    value: int


class Budget(NamedTuple):
    """How often each fault may still happen."""

    crash: int = 0
    """A process is killed and restarts."""
    succession: int = 0
    """Another process becomes the leader while the former leader continues its reconcile."""
    revisits: int = 0
    """A process that has lost the lead reconciles a resource again after a conflict. Its election
    ends the process soon, but not in the middle of a reconcile."""
    lost: int = 0
    """A POST, or the reply to it, is lost."""
    late: int = 0
    """A sender gives up a POST that is still on its way."""
    refused: int = 0
    """The API answers a POST with 429."""
    write: int = 0
    """The reply to a write in the cluster is lost; the object is written, not written, or later."""
    stale: int = 0
    """A poll shows an earlier view of the model."""
    foreign: int = 0
    """Another client starts the model."""
    data: int = 0
    """New data arrive: a trained model is ready to run again."""
    recreated: int = 0
    """A resource is deleted and re-created from the same manifest."""
    deleted: int = 0
    """A resource is deleted for good."""
    suspend: int = 0
    """spec.suspend is changed."""
    wiped: int = 0
    """The ledger is deleted."""
    doomed: int = 0
    """The deletion of a resource begins, and a finalizer holds it; `deleted` may remove it."""
    unreadable: int = 0
    """A poll shows an unreadable run start time."""
    flawed: int = 0
    """The API answers a POST with 2xx and an error, whether or not it acted."""
    gateway: int = 0
    """A gateway answers a POST with its own 4xx, whether or not the API acted."""
    bare: int = 0
    """A training ends without results; with another one left, the results may arrive later."""
    token: int = 0
    """spec.runToken is changed."""
    overdue: int = 0
    """The time-outs of all current runs pass."""
    unlisted: int = 0
    """A namespace cannot be listed when a process starts; the process lists it later."""


class State(NamedTuple):
    """A state of the whole model."""

    model: View
    past: tuple[View, ...]
    """The views that a stale poll may show."""
    ours: tuple[Started, ...]
    """The trainings that POSTs of the operator have started."""
    renewed: tuple[Renewal, ...]
    """The renewal of each resource."""
    posts: tuple[Message, ...]
    things: tuple[Thing | None, ...]
    ledger: int | None
    processes: tuple[Process, ...]
    leader: int
    late: tuple[LateWrite, ...]
    budget: Budget
    sent: tuple[tuple[int, int, str], ...] = ()
    """Resource, uid and token of each intent, if the search edits tokens."""
    clock: int = 0
    """Seconds that have passed beyond the ages, which have all reached their bounds by then."""
