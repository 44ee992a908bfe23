"""What one state of the model consists of: plain tuples, so that equal states are found again.

Statuses, entries and ledgers stand as the numbers under which `judgement` keeps the real objects.
Versions of objects in the cluster grow without end; all that counts of them is whether a copy is
of the newest one, so that is what a copy has (`current`).
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
    """What a GET of the model shows."""

    status: int
    marker: int | None
    """Which training started_training_at speaks of: they are numbered; None: never trained."""
    off: int = 0
    """Seconds by which started_training_at differs from what other replies show."""
    unreadable: bool = False
    """started_training_at is present and cannot be read."""
    bare: bool = False
    """An end without results: no metrics, no error."""

    def __str__(self) -> str:
        answered = f"{self.status}"
        if self.unreadable:
            answered += " with a start time that cannot be read"
        elif self.marker is not None:
            answered += f" of training {self.marker}"
        if self.off:
            answered += f" {self.off:+} s"
        return answered + (" without results" if self.bare else "")


class Answer(NamedTuple):
    """What came of a POST, as its sender learns it."""

    kind: str
    """A FailureKind, or Accepted, or Withdrawn: nothing was sent, as the ledger is another's."""
    view: View | None = None
    """In the reply."""
    code: str | None = None
    reset: bool = False
    gateway: bool = False
    """A 4xx in the words of a gateway."""
    flawed: bool = False
    """A 2xx that carries an error."""

    def __str__(self) -> str:
        answered = "a gateway's 4xx" if self.gateway else "2xx with an error" if self.flawed else ""
        return f"{answered or self.kind}{f', {self.code}' if self.code else ''}"


class Recall(NamedTuple):
    """core.reconcile.protocol.Memory, with times as ages in ticks."""

    entry: int | None = None
    answer: Answer | None = None
    age: int | None = None
    """Since the open entry was first seen."""
    reset: bool = False
    agreed: int | None = None
    """Since a look first showed that nothing has happened."""
    repeated: int | None = None
    """Since a poll first showed a run that may be the one before the start."""
    results: int | None = None
    """Since the next poll for results is due."""
    refusals: int = 0


class Outcome(NamedTuple):
    """The outcome of a start: core.ledger.ledger.Settled."""

    entry: int
    acted: bool
    marker: datetime | None
    sent: bool


class Thing(NamedTuple):
    """A resource in the cluster."""

    uid: int
    status: int
    suspended: bool = False
    doomed: bool = False
    """Its deletion has begun: metadata.deletionTimestamp is set."""
    token: str = ""
    """spec.runToken."""


class Copy(NamedTuple):
    """A resource as a process knows it."""

    thing: Thing
    current: bool


class Job(NamedTuple):
    """A step of one resource, between two effects."""

    at: str
    """What comes next; the methods of `shell.Shell` that do it have this name."""
    resource: int
    base: Copy
    """As last read or written: what a write of status replaces."""
    status: int
    """As decided."""
    action: str
    """That follows: look, reserve, post or rest."""
    settled: Outcome | None = None
    view: View | None = None
    revision: bool = True
    """The process has not read the ledger again since before the look."""
    begun: int | None = None
    """Ticks since the writing of the intent began."""
    answer: Answer | None = None
    found: int | None = None
    """A ledger that was read and is not taken over yet, or was written without a reply."""
    then: str = ""
    """Goes on here once the ledger is taken over."""


class Process(NamedTuple):
    """One process of the operator."""

    store: tuple[Copy | None, ...]
    recalls: tuple[Recall, ...]
    ledger: int | None = None
    """As it works with it; None: to be read."""
    current: bool = False
    """It was read, or written, in the version that is there."""
    job: Job | None = None
    misled: bool = False
    """Its last look was stale: the next one is not."""
    unlisted: tuple[int, ...] = ()
    """The resources in namespaces that it could not list so far."""


class Message(NamedTuple):
    """A POST on its way."""

    resource: int
    uid: int
    entry: int | None
    """The number of the ledger's entry that was opened for it."""
    sender: int
    left: int
    """Ticks within which it acts, if it ever does."""
    token: str
    """That it answers."""
    awaited: bool
    """Its sender still waits for the reply."""


class Renewal(Enum):
    """Whether one that is made anew may start again, as new data wait for that."""

    NO_DATA = auto()
    NEW_DATA = auto()
    """They have come since its last training began."""
    BESIDE_OPEN = auto()
    """It was made anew while nothing was recorded of the start before, whose entry is open: that
    start is what it asks for, too, and data that come meanwhile are not for another."""


class Started(NamedTuple):
    """A training that a POST of ours has started."""

    marker: int
    resource: int
    uid: int
    request: int
    """Counts what has asked for trainings of this resource."""
    token: str
    """That it answers."""


class LateWrite(NamedTuple):
    """A write that its sender gave up, and that the cluster may still take.

    It names the version that it replaces, so it is void as soon as there is another.
    """

    resource: int | None
    """Whose status; None: the ledger."""
    value: int


class Budget(NamedTuple):
    """How often each thing may still go wrong."""

    crash: int = 0
    """A process is killed and starts anew."""
    succession: int = 0
    """Another process becomes the leader, while the one before goes on with its step."""
    revisits: int = 0
    """A process that does not lead any more visits a resource anew after a conflict, all the same.
    It is ended soon: its election finds out, beside its steps."""
    lost: int = 0
    """A POST, or the reply to it, is lost."""
    late: int = 0
    """A sender gives up a POST that is still on its way."""
    refused: int = 0
    """The API answers a POST with 429."""
    write: int = 0
    """The reply to a write in the cluster is lost; it is written, or not, or later."""
    stale: int = 0
    """A look shows the model as it was."""
    foreign: int = 0
    """Somebody else starts the model."""
    data: int = 0
    """New data: a trained model is ready to run again."""
    recreated: int = 0
    """A resource is deleted and made anew from the same manifest."""
    deleted: int = 0
    """A resource is deleted for good."""
    suspend: int = 0
    """spec.suspend is changed."""
    wiped: int = 0
    """The ledger is deleted."""
    doomed: int = 0
    """The deletion of a resource begins, and a finalizer holds it; `deleted` may remove it."""
    unreadable: int = 0
    """A poll shows a start time that cannot be read."""
    flawed: int = 0
    """The API answers a POST with 2xx and an error, and has acted or not."""
    gateway: int = 0
    """A gateway answers a POST with a 4xx of its own, and the API has acted or not."""
    bare: int = 0
    """A training ends without results; they arrive, if that happens once more, else never."""
    token: int = 0
    """spec.runToken is changed."""
    overdue: int = 0
    """The time-outs of all runs so far pass."""
    unlisted: int = 0
    """A namespace cannot be listed when a process starts, until later."""


class State(NamedTuple):
    """Everything."""

    model: View
    past: tuple[View, ...]
    """What a stale look may show."""
    ours: tuple[Started, ...]
    """The trainings that our POSTs have started."""
    renewed: tuple[Renewal, ...]
    """By resource."""
    posts: tuple[Message, ...]
    things: tuple[Thing | None, ...]
    ledger: int | None
    processes: tuple[Process, ...]
    leader: int
    late: tuple[LateWrite, ...]
    budget: Budget
    sent: tuple[tuple[int, int, str], ...] = ()
    """Resource, uid and token of each intent, where tokens change."""
    clock: int = 0
    """Seconds that have passed beyond what the ages tell: all of them are over by then."""
