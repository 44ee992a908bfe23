"""What the store may be missing: namespaces that are not listed, resources that cannot be parsed.

The store is complete for a namespace after its first complete list. A later list that fails hides
no in-flight start, because this process is the only one that starts runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scriptix_operator.api.status import ServedBy
from scriptix_operator.core.cluster.installation import show_namespaces
from scriptix_operator.core.ledger.ledger import InFlightStart
from scriptix_operator.core.model.training import TrainingKey
from scriptix_operator.core.status.texts import start_texts
from scriptix_operator.core.status.unreadable import may_be_starting, server_of
from scriptix_operator.kube.trainings import ALL, Raw

__all__ = ["Coverage"]

SHOWN = 5
"""Namespaces that a message names."""


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A resource that exists and cannot be parsed."""

    uid: str
    version: str
    model_id: object
    """The model id in spec, unchecked."""
    may_be_starting: bool
    """Its status holds an intent, or has a form that may hide one."""
    may_have_run: bool
    """Its status has a run and no end, or a form that may hide that."""
    served_by: ServedBy | None
    """The installation that serves it, if its status names one that can be read."""


class Coverage:
    """Which resources may exist although the store does not have them.

    Args:
        namespaces: The namespaces that are watched; empty: all, with one list.
    """

    def __init__(self, namespaces: Sequence[str] = ()) -> None:
        self.scopes = tuple(dict.fromkeys(namespaces)) or (ALL,)
        """The scopes, each listed on its own: namespaces, or ALL."""
        self._listed: set[str] = set()
        self._unreadable: dict[TrainingKey, _Unreadable] = {}

    @property
    def unlisted(self) -> tuple[str, ...]:
        """The scopes without a complete list since this process became leader."""
        return tuple(scope for scope in self.scopes if scope not in self._listed)

    @property
    def unreadable(self) -> dict[TrainingKey, str]:
        """The resources that cannot be parsed, with their uids."""
        return {key: found.uid for key, found in self._unreadable.items()}

    def servers(self) -> dict[TrainingKey, ServedBy | None]:
        """The resources that cannot be parsed, with the installations that serve them."""
        return {key: found.served_by for key, found in self._unreadable.items()}

    def unreadable_version(self, key: TrainingKey) -> str | None:
        """The newest resourceVersion known of a resource that cannot be parsed."""
        found = self._unreadable.get(key)
        return None if found is None else found.version

    def listed(self, scope: str) -> bool:
        """Take in that a list is complete; returns whether it is the first one of its scope."""
        is_first = scope not in self._listed
        self._listed.add(scope)
        return is_first

    def is_listed(self, namespace: str) -> bool:
        """Whether the store has all resources of a namespace."""
        return namespace in self._listed or ALL in self._listed

    def put_unreadable(self, key: TrainingKey, raw: Raw) -> bool:
        """Take in a resource that cannot be parsed; returns whether this version is new."""
        spec, metadata = raw.get("spec"), raw["metadata"]
        found = _Unreadable(
            uid=metadata["uid"],
            version=metadata["resourceVersion"],
            model_id=spec.get("modelId") if isinstance(spec, Mapping) else None,
            may_be_starting=may_be_starting(raw.get("status")),
            may_have_run=_may_have_run(raw.get("status")),
            served_by=server_of(raw.get("status")),
        )
        is_new = self._unreadable.get(key) != found
        self._unreadable[key] = found
        return is_new

    def forget_unreadable(self, key: TrainingKey) -> None:
        """Take in that a resource can be parsed, or is gone."""
        self._unreadable.pop(key, None)

    def may_hide_starter(self, in_flight: InFlightStart) -> bool:
        """Whether the resource of an in-flight start may exist although the store does not have it.

        A namespace that is not watched hides nothing: removing it from the settings releases its
        runs, as deleting their resources does.
        """
        found = self._unreadable.get(TrainingKey(in_flight.namespace, in_flight.name))
        if found is not None and found.uid == in_flight.uid:
            return True
        is_watched = ALL in self.scopes or in_flight.namespace in self.scopes
        return is_watched and not self.is_listed(in_flight.namespace)

    def may_hide_competitor(self, model_id: int) -> bool:
        """Whether a resource with this model may exist that the store does not have."""
        return bool(self.unlisted) or any(
            found.model_id == model_id or not isinstance(found.model_id, int)
            for found in self._unreadable.values()
        )

    def unreadable_competitor(self, model_id: int) -> TrainingKey | None:
        """A resource that cannot be parsed, and may have a run of this model under way."""
        competitors = (
            key
            for key, found in self._unreadable.items()
            if found.may_have_run and found.model_id == model_id
        )
        return min(competitors, default=None)

    def gap(self) -> str | None:
        """Why a lost ledger cannot be rebuilt now; None: the store has all intents."""
        hidden = {key.namespace for key, found in self._unreadable.items() if found.may_be_starting}
        gap = start_texts.ledger_gap(
            _show(self.unlisted) if self.unlisted else "",
            _show(sorted(hidden)) if hidden else "",
        )
        return gap or None


def _show(scopes: Sequence[str]) -> str:
    """Namespaces as text, as many as a message can hold."""
    names = [name for name in scopes if name != ALL]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return show_namespaces(names[:SHOWN]) + more


def _may_have_run(status: object) -> bool:
    if not isinstance(status, Mapping):
        return status is not None
    return status.get("run") is not None and status.get("finishedAt") is None
