"""What a search assumes: the API's dialect, the wishes of the user, the faults, the mutation."""

from dataclasses import dataclass, field, replace
from enum import Enum, auto

from scriptix_operator.core.reconcile.context import Durations
from tests.model.values import Budget, View

__all__ = ["LENIENT", "ONCE_READY", "RERUN", "TICKS", "Mutation", "Rules"]

ONCE_READY = frozenset({2})
READY = View(2, 0)
RERUN = frozenset({2, 4})
LENIENT = frozenset({2, 3, 4})
"""Statuses from which the API starts a training; 5 is to the protocol what 4 is."""

TICKS = Durations(send_window=1, post_timeout=1, grace_period=1, agree=1, results=30)
"""The durations of docs/start-protocol.md in ticks: no order of events needs finer ones."""
TIMEOUT = 604800
"""spec.timeoutSeconds, the longest."""


class Mutation(Enum):
    """A protocol that is not ours, to see the search fail."""

    ENTRY_AFTER_POST = auto()
    """The ledger's entry is opened once the POST was sent."""
    INTENT_AFTER_ENTRY = auto()
    """The intent is written once the entry is open."""
    ANY_LEDGER = auto()
    """The entry is opened in whatever version of the ledger is there."""
    HASTY = auto()
    """That nothing has happened is believed after S, without W and P."""
    ONE_POLL = auto()
    """That nothing has happened is believed after one look."""
    NEVER_STALE = auto()
    """No look is taken for stale."""
    NEW_BASELINE = auto()
    """Each attempt is compared with the model as it was just before that attempt."""
    NO_FENCE = auto()
    """A process may be paused between its last check and the POST."""
    LEDGER_MEANWHILE = auto()
    """The entry is looked up when the reply to a look is read, though another model's step may be
    writing the ledger then, which leaves nothing to read."""
    LONELY_INTENT = auto()
    """An intent without an entry in the ledger is taken for a POST that may be on its way."""
    GATEWAY_BELIEVED = auto()
    """A gateway's 4xx to a POST is taken for the API's."""
    DELETION_UNSEEN = auto()
    """A resource counts as long as it exists, also when its deletion has begun."""
    REMOVAL_UNSEEN = auto()
    """The last check before a POST does not ask whether the store still has the resource."""
    UNREADABLE_IS_ABSENT = auto()
    """A start time that cannot be read is taken for none."""
    UNLISTED_IS_GONE = auto()
    """A resource in a namespace that could not be listed is taken for gone."""
    REBUILT_FROM_SOME = auto()
    """A lost ledger is rebuilt from the resources that could be listed."""
    REPLY_COMPARED = auto()
    """The start time in the reply to a POST is taken for the one that polls show."""
    END_NOT_BELIEVED = auto()
    """A pending end waits for its results, whatever else happens."""
    USED_FORGOTTEN = auto()
    """A token asks for a run whenever it is not the one before."""
    SUCCESS_BELIEVED = auto()
    """A 2xx to a POST is taken for a start, whatever error it carries."""
    ERROR_BELIEVED = auto()
    """A 2xx to a POST that carries an error is taken for a refusal."""
    ABANDONED = auto()
    """The outcome of a start is not polled for once the deletion of its resource has begun."""


@dataclass(frozen=True)
class Rules:
    """One search.

    Args:
        budget: What may go wrong, and how often.
        starts_from: The API's dialect.
        resources: How many there are, all for the same model.
        existing: spec.existingTraining of each of them.
        rerun: The first resource asks for another run, after one that it has adopted.
        model: As it is at first.
        reply: Whether the reply to a POST shows the model.
        off: Seconds by which that reply shows another start time than polls do.
        rivalry: Both processes take themselves for the leader, all the time.
        same_clock: Both processes write the same second into what they write.
        slow_looks: Time may pass between what a look shows and what is decided from it.
    """

    budget: Budget = field(default_factory=Budget)
    starts_from: frozenset[int] = ONCE_READY
    resources: int = 1
    existing: str = "Adopt"
    rerun: bool = False
    model: View = READY
    reply: bool = True
    off: int = 0
    rivalry: bool = False
    same_clock: bool = False
    slow_polls: bool = False
    mutation: Mutation | None = None

    def having(self, budget: Budget) -> "Rules":
        """The same rules with other faults."""
        return replace(self, budget=budget)

    @property
    def durations(self) -> Durations:
        """As the operator takes them; the API keeps to TICKS whatever that believes."""
        match self.mutation:
            case Mutation.HASTY:
                return _Hasty(1, 1, 1, 1)
            case Mutation.ONE_POLL:
                return replace(TICKS, agree=0)
            case _:
                return TICKS


class _Hasty(Durations):
    @property
    def unseen(self) -> float:
        return self.grace_period
