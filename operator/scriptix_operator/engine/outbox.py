"""The outbox of each resource as status records it, and what this process has handled of it."""

from collections.abc import Collection
from dataclasses import dataclass, field

from scriptix_operator.api.status import PendingNotification, TrainingStatus
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.status.notifications import (
    notification_id,
    with_outbox,
    without_outbox,
)
from scriptix_operator.engine.clock import Clock
from scriptix_operator.engine.work_queue import WorkQueue

__all__ = ["Outbox"]


@dataclass(slots=True)
class _Known:
    """What is remembered of a resource whose outbox has entries."""

    ids: frozenset[str] = frozenset()
    """Ids of all entries in the newest version."""
    handled: set[str] = field(default_factory=set)
    """Ids of those that are delivered or given up."""


@dataclass(slots=True)
class Outbox:
    """Fills outboxes with each write of status, and queues the resources whose outbox has entries.

    Args:
        clock: The clock.
        is_on: Whether notifications are on; if not, each write empties the outbox.
    """

    clock: Clock
    is_on: bool = False
    due: WorkQueue = field(init=False)
    """When each resource with entries is due for the notifier."""
    _known: dict[TrainingKey, _Known] = field(default_factory=dict)
    """By resource with a due time, or that the notifier handles."""

    def __post_init__(self) -> None:
        """Create the queue."""
        self.due = WorkQueue(self.clock.monotonic)

    def updated(self, training: Training, status: TrainingStatus) -> TrainingStatus:
        """The status to write in place of `status`; `training` is the version in the cluster."""
        if not self.is_on:
            return without_outbox(training.status, status)
        now, handled = self.clock.now(), self._handled(training)
        return with_outbox(training.status, status, training.uid, now, handled)

    def seen(self, training: Training) -> None:
        """Take in a version of a resource, as the store does."""
        if not self.is_on:
            return
        entries = training.status.pending_notifications
        if not entries:
            if training.key in self._known:
                self.forget(training.key)
            return
        ids = frozenset(notification_id(training.uid, entry) for entry in entries)
        known = self._known.setdefault(training.key, _Known())
        if ids - known.ids:
            self.due.bring_forward(training.key, 0.0)
        known.ids = ids
        known.handled &= ids

    def next_entry(self, training: Training) -> PendingNotification | None:
        """The oldest entry that is neither delivered nor given up."""
        handled = self._handled(training)
        for entry in training.status.pending_notifications:
            if notification_id(training.uid, entry) not in handled:
                return entry
        return None

    def handle(self, training: Training, entry: PendingNotification) -> None:
        """Remember that an entry needs no delivery any more; the next write of status drops it."""
        known = self._known.setdefault(training.key, _Known())
        known.handled.add(notification_id(training.uid, entry))

    def forget(self, key: TrainingKey) -> None:
        """Forget a resource that has no entries, or was deleted."""
        self._known.pop(key, None)
        self.due.drop(key)

    def _handled(self, training: Training) -> Collection[str]:
        known = self._known.get(training.key)
        return () if known is None else known.handled
