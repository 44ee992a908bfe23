"""The store: the newest version of each resource, and an index by model."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from scriptix_operator.api.reasons import Phase, Stage
from scriptix_operator.core.cluster.served_by import last_seen_at
from scriptix_operator.core.eta.timeline import PastRun, PastRuns
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.reconcile.in_process_state import InProcessState
from scriptix_operator.core.status.conditions import is_followed, last_key
from scriptix_operator.core.status.gauges import NO_GAUGES, Gauges, gauges_of
from scriptix_operator.core.status.run_measures import NOTHING_SEEN, SeenRun
from scriptix_operator.core.status.waiting import blocking_reason, waiting_reason
from scriptix_operator.engine.clock import Clock

__all__ = ["TrainingStore", "is_older"]

PHASES = frozenset(Phase)
STAGES = frozenset(Stage)


class TrainingStore:
    """All resources that are watched.

    Args:
        show: Takes the gauges of a resource whenever they may have changed: when the resource
            enters the store, with each version, and when it leaves.
        clock: Tells when a write of another installation is seen.
    """

    def __init__(
        self,
        show: Callable[[TrainingKey, Gauges], None] = lambda *_: None,
        clock: Clock | None = None,
    ) -> None:
        self._show = show
        self._clock = clock or Clock()
        self._trainings: dict[TrainingKey, Training] = {}
        self._states: dict[TrainingKey, InProcessState] = {}
        self._by_model: defaultdict[int, set[TrainingKey]] = defaultdict(set)
        self._seen_runs: dict[TrainingKey, SeenRun] = {}
        self._past = PastRuns()

    def __iter__(self) -> Iterator[Training]:
        return iter(tuple(self._trainings.values()))

    def get(self, key: TrainingKey) -> Training | None:
        """The newest known version of a resource, or None."""
        return self._trainings.get(key)

    def put(self, training: Training) -> bool:
        """Take in a version of a resource, unless a newer one is known.

        Returns:
            Whether the version triggers a reconcile: the resource is new, or was edited, is being
            deleted, or was taken over by another installation. A mere write of status does not,
            unless it changes which fields can be read.
        """
        known = self._trainings.get(training.key)
        if known is not None and is_older(training.resource_version, known.resource_version):
            return False
        if known is not None and known.uid != training.uid:
            self.remove(training.key)
            known = None
        if known is None or _past_of(training) != _past_of(known):
            self._past.put(training)
        seen_at = last_seen_at(known, training, self._clock.now())
        training = replace(training, served_seen_at=seen_at)
        self._trainings[training.key] = training
        self._by_model[training.spec.model_id].add(training.key)
        self._show(training.key, gauges_of(training))
        return (
            known is None
            or _edited_parts(known) != _edited_parts(training)
            or _was_taken_over(known, training)
        )

    def renew(self, training: Training) -> None:
        """Take in a version that a reconcile wrote or read.

        A resource that is not in the store any more stays out: the watch reported its deletion
        before the reconcile received its reply.
        """
        if self._knows(training):
            self.put(training)

    def remove(self, key: TrainingKey) -> Training | None:
        """Remove a resource; returns its last version."""
        known = self._trainings.pop(key, None)
        self._states.pop(key, None)
        self._seen_runs.pop(key, None)
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
        """Whether the newest known version of a resource is being deleted."""
        return self._knows(training) and self._trainings[training.key].is_being_deleted

    def past_runs(self, fingerprint: str) -> tuple[PastRun, ...]:
        """Completed runs with an API key, as far as statuses record them."""
        return self._past.of(fingerprint)

    def log_calls(self, fingerprint: str) -> tuple[datetime, ...]:
        """Times of log calls with an API key, as far as statuses record them."""
        return tuple(
            called_at
            for training in self._trainings.values()
            if training.status.log is not None and last_key(training.status) == fingerprint
            for called_at in training.status.log.recent_calls
        )

    def state(self, training: Training) -> InProcessState:
        """The in-process state of a resource."""
        return (
            self._states.get(training.key, InProcessState())
            if self._knows(training)
            else InProcessState()
        )

    def store_state(self, training: Training, state: InProcessState) -> None:
        """Keep the in-process state of a resource while it is in the store under the same uid."""
        if self._knows(training):
            self._states[training.key] = state

    def seen_run(self, training: Training) -> SeenRun:
        """What the metrics remember of the run of a resource."""
        return self._seen_runs.get(training.key, NOTHING_SEEN)

    def store_seen_run(self, training: Training, seen: SeenRun) -> None:
        """Keep what the metrics remember of a run while the resource is in the store."""
        if seen == NOTHING_SEEN:
            self._seen_runs.pop(training.key, None)
        elif self._knows(training):
            self._seen_runs[training.key] = seen

    def phases(self) -> Counter[Phase]:
        """The number of resources by phase; Pending before the first reconcile."""
        return Counter(_phase(training.status.phase) for training in self._trainings.values())

    def waiting(self) -> Counter[str]:
        """The number of resources whose run waits for its start, by reason."""
        return Counter(
            reason
            for training in self._trainings.values()
            if (reason := waiting_reason(training)) is not None
        )

    def blocked(self) -> Counter[str]:
        """The number of blocked resources, by the reason of their failure."""
        return Counter(
            reason
            for training in self._trainings.values()
            if (reason := blocking_reason(training)) is not None
        )

    def unreadable(self) -> list[Training]:
        """The resources that cannot be read in full."""
        return [training for training in self._trainings.values() if training.unreadable]

    def stalled(self) -> int:
        """The number of followed runs whose progress is stalled."""
        return sum(
            training.status.progress_stalled_at is not None for training in self._trainings.values()
        )

    def stages(self) -> Counter[Stage]:
        """The number of followed runs by stage; a run without a known stage is in none."""
        return Counter(
            Stage(training.status.stage)
            for training in self._trainings.values()
            if is_followed(training.status) and training.status.stage in STAGES
        )

    def _knows(self, training: Training) -> bool:
        known = self._trainings.get(training.key)
        return known is not None and known.uid == training.uid


def _edited_parts(training: Training) -> tuple[object, ...]:
    """The parts of a resource that users change."""
    edited = training.generation, training.requested_at, training.is_being_deleted
    return (*edited, training.unreadable)


def _was_taken_over(known: Training, training: Training) -> bool:
    """Whether the installation that serves a resource has changed.

    Our own first write does not count: its watch event may arrive before its reply.
    """
    before, after = known.status.served_by, training.status.served_by
    return before is not None and (after is None or after.namespace != before.namespace)


def _past_of(training: Training) -> tuple[datetime | None, str | None]:
    """The parts of a status that change its past runs: the end of the run, and the key."""
    return training.status.finished_at, last_key(training.status)


def _phase(text: str | None) -> Phase:
    """The phase in status; the next reconcile replaces a phase of a newer operator."""
    return Phase(text) if text in PHASES else Phase.PENDING


def is_older(version: str, known: str) -> bool:
    """Compare resourceVersions, which are ordered numbers at every API server there is.

    The numbers count all writes to the API server, so they also order two resources with one name:
    the older is the one that was deleted.

    Kubernetes guarantees the order since 1.35 (KEP-5504). If a version is not a number, the
    newcomer is taken, and a write decided from a stale version is refused as a conflict.
    """
    try:
        return int(version) < int(known)
    except ValueError:
        return False
