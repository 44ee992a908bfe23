"""The assumptions of a search: the API's variant, the user's spec, the faults, the mutation."""

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
    """A deliberately wrong protocol, on which the search must find a broken promise."""

    IN_FLIGHT_AFTER_POST = auto()
    """The in-flight start is written to the ledger only after the POST was sent."""
    INTENT_AFTER_IN_FLIGHT = auto()
    """The intent is written after the in-flight start."""
    ANY_LEDGER = auto()
    """The in-flight start is written over any version of the ledger."""
    HASTY = auto()
    """Not happened is decided after G alone, without W and P."""
    ONE_POLL = auto()
    """Not happened is decided after a single poll."""
    NEVER_STALE = auto()
    """No poll is treated as stale."""
    NEW_BASELINE = auto()
    """Each attempt has its own baseline, read just before that attempt."""
    NO_FENCE = auto()
    """A process may be paused between its last check and the POST."""
    LEDGER_MEANWHILE = auto()
    """The in-flight start is read when the reply to a poll arrives. The reconcile of another model
    may be writing the ledger then, so that there is nothing to read."""
    INTENT_IS_AMBIGUOUS = auto()
    """An intent without an in-flight start is treated as a POST that may have left."""
    GATEWAY_TRUSTED = auto()
    """A gateway's 4xx to a POST is treated as the API's."""
    DELETION_UNSEEN = auto()
    """A resource is started also after its deletion has begun."""
    REMOVAL_UNSEEN = auto()
    """The last check before a POST does not verify that the store still has the resource."""
    UNREADABLE_IS_ABSENT = auto()
    """An unreadable run start time is treated as absent."""
    UNLISTED_IS_GONE = auto()
    """A resource in a namespace that could not be listed is treated as deleted."""
    REBUILT_FROM_SOME = auto()
    """A lost ledger is rebuilt although not all resources could be listed."""
    REPLY_COMPARED = auto()
    """The run start time in the reply to a POST is compared with those of polls."""
    END_IGNORED = auto()
    """A pending end keeps waiting for its results after a deletion, a suspend or a time-out."""
    USED_TOKEN_REUSED = auto()
    """A token asks for a run whenever it differs from the previous one."""
    SUCCESS_TRUSTED = auto()
    """A 2xx to a POST is treated as a start, even if it carries an error."""
    ERROR_TRUSTED = auto()
    """A 2xx to a POST that carries an error is treated as a rejection."""
    ABANDONED = auto()
    """Once the deletion of a resource has begun, the outcome of its start is not polled for."""


@dataclass(frozen=True)
class Rules:
    """One search.

    Args:
        budget: How often each fault may happen.
        starts_from: The statuses from which the API starts a training.
        resources: The number of resources, all with the same model.
        existing: spec.existingTraining of each resource.
        rerun: The first resource asks for another run after an adopted one.
        model: The initial view of the model.
        reply: Whether the reply to a POST shows the model.
        off: Seconds between the run start time in that reply and the one in polls.
        two_leaders: Both processes consider themselves the leader all the time.
        same_clock: Both processes write the same second.
        slow_polls: Time may pass between the reply to a poll and the decision on it.
    """

    budget: Budget = field(default_factory=Budget)
    starts_from: frozenset[int] = ONCE_READY
    resources: int = 1
    existing: str = "Adopt"
    rerun: bool = False
    model: View = READY
    reply: bool = True
    off: int = 0
    two_leaders: bool = False
    same_clock: bool = False
    slow_polls: bool = False
    mutation: Mutation | None = None

    def having(self, budget: Budget) -> "Rules":
        """The same rules with other faults."""
        return replace(self, budget=budget)

    @property
    def durations(self) -> Durations:
        """The durations that the operator uses; the API always keeps to TICKS."""
        match self.mutation:
            case Mutation.HASTY:
                return _Hasty(1, 1, 1, 1)
            case Mutation.ONE_POLL:
                return replace(TICKS, agree=0)
            case _:
                return TICKS


class _Hasty(Durations):
    @property
    def longest_in_flight(self) -> float:
        return self.grace_period
