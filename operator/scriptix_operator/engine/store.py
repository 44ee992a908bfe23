"""What the engine knows of each resource: its newest version, and the index by model."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime

from scriptix_operator.api.reasons import Phase
from scriptix_operator.core.eta.timeline import PastRun, PastRuns
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.reconcile.protocol import InProcessState
from scriptix_operator.core.status.conditions import last_key
from scriptix_operator.core.status.gauges import NO_GAUGES, Gauges, gauges_of

__all__ = ["TrainingStore", "is_older"]

PHASES = frozenset(Phase)


class TrainingStore:
    """All resources that are watched.

    Args:
        show: Takes the gauges of a resource as often as they may have changed: when it enters the
            store, with each version, and when it leaves.
    """

    def __init__(self, show: Callable[[TrainingKey, Gauges], None] = lambda *_: None) -> None:
        self._show = show
        self._trainings: dict[TrainingKey, Training] = {}
        self._memories: dict[TrainingKey, InProcessState] = {}
        self._by_model: defaultdict[int, set[TrainingKey]] = defaultdict(set)
        self._past = PastRuns()

    def __iter__(self) -> Iterator[Training]:
        return iter(tuple(self._trainings.values()))

    def get(self, key: TrainingKey) -> Training | None:
        """The newest version known, or None."""
        return self._trainings.get(key)

    def put(self, training: Training) -> bool:
        """Take in a version of a resource, unless a newer one is known.

        Returns:
            Whether it is new to us: not known before, or edited, about to be deleted or taken over
            by another installation since. Another write of status is not, unless it changes what
            can be read.
        """
        known = self._trainings.get(training.key)
        if known is not None and is_older(training.resource_version, known.resource_version):
            return False
        if known is not None and known.uid != training.uid:
            self.remove(training.key)
            known = None
        if known is None or _past_of(training) != _past_of(known):
            self._past.put(training)
        self._trainings[training.key] = training
        self._by_model[training.spec.model_id].add(training.key)
        self._show(training.key, gauges_of(training))
        return (
            known is None or _asked(known) != _asked(training) or _was_taken_over(known, training)
        )

    def renew(self, training: Training) -> None:
        """Take in a version that a step wrote or read.

        Not of a resource that is not known any more: its deletion was told of while the reply to
        the step was on its way.
        """
        if self._knows(training):
            self.put(training)

    def remove(self, key: TrainingKey) -> Training | None:
        """Forget a resource; returns what was known of it."""
        known = self._trainings.pop(key, None)
        self._memories.pop(key, None)
        self._past.remove(key)
        self._show(key, NO_GAUGES)
        if known is not None:
            keys = self._by_model[known.spec.model_id]
            keys.discard(key)
            if not keys:
                del self._by_model[known.spec.model_id]
        return known

    def competitors(self, training: Training) -> list[Training]:
        """The other resources with the same model."""
        keys = self._by_model.get(training.spec.model_id, set())
        return [self._trainings[key] for key in keys if key != training.key]

    def is_being_deleted(self, training: Training) -> bool:
        """Whether the newest version known of a resource is being deleted."""
        return self._knows(training) and self._trainings[training.key].is_being_deleted

    def past_runs(self, fingerprint: str) -> tuple[PastRun, ...]:
        """Runs with an API key that went to their end, as far as resources still tell of them."""
        return self._past.of(fingerprint)

    def log_calls(self, fingerprint: str) -> tuple[datetime, ...]:
        """When log calls were made with an API key, as far as resources still tell of them."""
        return tuple(
            called_at
            for training in self._trainings.values()
            if last_key(training.status) == fingerprint and training.status.log is not None
            for called_at in training.status.log.recent_calls
        )

    def state(self, training: Training) -> InProcessState:
        """What is remembered of a resource beside its status."""
        return (
            self._memories.get(training.key, InProcessState())
            if self._knows(training)
            else InProcessState()
        )

    def store_state(self, training: Training, state: InProcessState) -> None:
        """Remember, as long as the resource is known; not for another that has taken its name."""
        if self._knows(training):
            self._memories[training.key] = state

    def phases(self) -> Counter[Phase]:
        """How many resources are in each phase; Pending where a step has yet to say."""
        return Counter(_phase(training.status.phase) for training in self._trainings.values())

    def unreadable(self) -> list[TrainingKey]:
        """The resources that cannot be read in full."""
        return [key for key, training in self._trainings.items() if training.unreadable]

    def stalled(self) -> int:
        """How many followed runs stand still."""
        return sum(
            training.status.progress_stalled_at is not None for training in self._trainings.values()
        )

    def _knows(self, training: Training) -> bool:
        known = self._trainings.get(training.key)
        return known is not None and known.uid == training.uid


def _asked(training: Training) -> tuple[object, ...]:
    """What people change of a resource."""
    edited = training.generation, training.requested_at, training.is_being_deleted
    return (*edited, training.unreadable)


def _was_taken_over(known: Training, training: Training) -> bool:
    """Whether another installation serves a resource from now on, or none does.

    Our own first write is no news: the watch may tell of it before its reply is read.
    """
    before, after = known.status.served_by, training.status.served_by
    return before is not None and (after is None or after.namespace != before.namespace)


def _past_of(training: Training) -> tuple[datetime | None, str | None]:
    """What the past runs that a status names change with: an end, and the key."""
    return training.status.finished_at, last_key(training.status)


def _phase(text: str | None) -> Phase:
    """The phase in status; one of a newer operator's is written anew by the next step."""
    return Phase(text) if text in PHASES else Phase.PENDING


def is_older(version: str, known: str) -> bool:
    """Compare resourceVersions, which are ordered numbers at every API server there is.

    They count all writes to the API server, so of two resources of one name too: the older is the
    one that was deleted.

    Kubernetes promises the order since 1.35 (KEP-5504). Were one not a number, the newcomer would
    be taken, and a write decided from a stale version would be refused as a conflict.
    """
    try:
        return int(version) < int(known)
    except ValueError:
        return False
