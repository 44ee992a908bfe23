"""One lock for each resource: its reconcile, and the write of its outbox, exclude each other."""

import asyncio
from weakref import WeakValueDictionary

from scriptix_operator.core.model.training import TrainingKey

__all__ = ["ResourceLocks"]


class ResourceLocks:
    """Locks by resource; a lock that nobody holds or awaits is forgotten."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[TrainingKey, asyncio.Lock] = WeakValueDictionary()

    def of(self, key: TrainingKey) -> asyncio.Lock:
        """The lock of a resource."""
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        return lock
