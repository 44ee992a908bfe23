"""What the cluster holds, as far as the caller may see: for `quota` and `plan`."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from kubectl_scriptix.cluster import Cluster
from kubectl_scriptix.errors import PluginError
from kubectl_scriptix.schedule import StartQuota, start_quota
from scriptix_operator.api.names import GROUP, PLURAL
from scriptix_operator.core.eta.timeline import PastRun, PastRuns
from scriptix_operator.core.ledger.rebuild import rebuilt
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.scheduling.quota_document import QuotaDocument
from scriptix_operator.core.status.conditions import last_key

__all__ = ["Live", "read_live"]


@dataclass(frozen=True)
class Live:
    """The trainings and the published quota.

    Attributes:
        trainings: Those that the caller may list.
        document: The published quota; None: there is none, or the caller may not read it.
        now: The time.
        is_whole: Whether the caller may list the trainings of all namespaces.
        namespaces: The namespaces that the caller may list, if not all.
        notes: What limits the answer.
    """

    trainings: Sequence[Training]
    document: QuotaDocument | None
    now: datetime
    is_whole: bool
    namespaces: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    _fingerprints: dict[TrainingKey, str] = field(default_factory=dict)

    def may_show(self, namespace: str) -> bool:
        """Whether the caller may see names of this namespace."""
        return self.is_whole or namespace in self.namespaces

    def key_of(self, training: Training) -> str | None:
        """The fingerprint of the API key that a training uses; None: nothing shows it yet."""
        own = last_key(training.status) or self._listed().get(training.key)
        if own is not None:
            return own
        secret = training.spec.api_key_secret_ref
        for other in self.trainings:
            is_same = other.key.namespace == training.key.namespace
            known = last_key(other.status) or self._listed().get(other.key)
            if is_same and other.spec.api_key_secret_ref == secret and known is not None:
                return known
        return None

    @property
    def only_key(self) -> str | None:
        """The key that all visible trainings use, if there is a single one."""
        known = self.fingerprints()
        return known[0] if len(known) == 1 else None

    def fingerprints(self) -> list[str]:
        """The fingerprints that the caller may see: all, or those of the visible trainings."""
        used = {key for one in self.trainings if (key := self.key_of(one)) is not None}
        published = set() if self.document is None else set(self.document.keys)
        return sorted(published | used if self.is_whole else used)

    def quota(self, fingerprint: str | None) -> StartQuota:
        """The start quota of a key."""
        document = self.document
        charges = rebuilt(self.trainings, 0).charges.get(fingerprint or "", ())
        if document is None or fingerprint is None:
            return start_quota(None, None, charges, self.now)
        published = document.keys.get(fingerprint)
        return start_quota(published, document.written_at, charges, self.now)

    def past_runs(self, fingerprint: str | None) -> tuple[PastRun, ...]:
        """Completed runs with a key."""
        past = PastRuns()
        for training in self.trainings:
            past.put(training)
        return past.of(fingerprint or "")

    def queued(self, fingerprint: str) -> Mapping[str, Sequence[str]]:
        """The head of the published start queue: names by namespace."""
        if self.document is None or fingerprint not in self.document.keys:
            return {}
        namespaces = self.document.keys[fingerprint].start_queue.namespaces
        return {space: [one.name for one in starts] for space, starts in namespaces.items()}

    def _listed(self) -> Mapping[TrainingKey, str]:
        """The keys of the trainings in the published start queues."""
        if not self._fingerprints and self.document is not None:
            for fingerprint in self.document.keys:
                for namespace, names in self.queued(fingerprint).items():
                    keys = (TrainingKey(namespace, name) for name in names)
                    self._fingerprints.update(dict.fromkeys(keys, fingerprint))
        return self._fingerprints


def read_live(cluster: Cluster, operator_namespace: str | None, now: datetime) -> Live:
    """Read what the caller may see: all namespaces, or the own one."""
    is_whole = cluster.may("list", GROUP, PLURAL, all_namespaces=True)
    trainings = cluster.trainings(None if is_whole else cluster.namespace)
    document, notes = _document(cluster, operator_namespace, trainings)
    if not is_whole:
        notes.append(
            f"You may list the trainings of namespace {cluster.namespace} only: those of other "
            "namespaces are not named."
        )
    namespaces = frozenset({cluster.namespace})
    return Live(trainings, document, now, is_whole, namespaces, tuple(notes))


def _document(
    cluster: Cluster, operator_namespace: str | None, trainings: Iterable[Training]
) -> tuple[QuotaDocument | None, list[str]]:
    """The published quota, or a note that says why there is none."""
    served: defaultdict[str, int] = defaultdict(int)
    for training in trainings:
        if training.status.served_by is not None:
            served[training.status.served_by.namespace] += 1
    namespace = operator_namespace or max(served, key=lambda name: served[name], default=None)
    if namespace is None:
        return None, ["No training names the namespace of the operator; use --operator-namespace."]
    try:
        document = cluster.quota_document(namespace)
    except PluginError as error:
        return None, [str(error)]
    if document is None:
        return None, [f"The operator in namespace {namespace} publishes no quota."]
    return document, []
