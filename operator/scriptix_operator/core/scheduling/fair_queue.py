"""A weighted fair queue: kinds of calls with guaranteed shares, first come first served within one.

Nothing blocks here: a resource that asks joins the queue, and is dispatched when it is next. A
share that no resource asks for goes to the other kinds, so no quota is idle while calls wait.
"""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["DISPATCH_TIMEOUT", "FairQueue"]

K = TypeVar("K", bound=Hashable)
"""The key of a resource that asks."""
C = TypeVar("C", bound=Hashable)
"""The kind of a call."""

DISPATCH_TIMEOUT = 5.0
"""Seconds after which a dispatched resource that has not called loses its dispatch."""


@dataclass(slots=True)
class _Share(Generic[K]):
    """The resources that wait for one kind of call."""

    weight: float
    waiting: OrderedDict[K, None] = field(default_factory=OrderedDict)
    used: float = 0.0
    """Calls divided by weight: the kind with the smallest value comes next."""


class FairQueue(Generic[K, C]):
    """The order of the resources that want to call.

    Args:
        weights: The share of each kind of call, relative to the others.
    """

    def __init__(self, weights: Mapping[C, float]) -> None:
        self._shares = {kind: _Share[K](weight) for kind, weight in weights.items()}
        self._kinds: dict[K, C] = {}
        """The kinds of the waiting resources."""
        self._reached = 0.0
        """`used` of the kind dispatched last, at that time; no waiting kind has a smaller one."""
        self._called: dict[K, float] = {}
        """The dispatch times of resources that have not called yet; monotonic seconds."""

    def __len__(self) -> int:
        return len(self._kinds) + len(self._called)

    @property
    def called(self) -> int:
        """The number of dispatched resources that have not called yet."""
        return len(self._called)

    def ask(self, key: K, kind: C) -> None:
        """Join the queue, or keep the position; a dispatch stays."""
        if key in self._called or self._kinds.get(key) == kind:
            return
        self.leave(key)
        share = self._shares[kind]
        # An unused share is not saved up: it would starve the other kinds later.
        share.used = max(share.used, self._reached)
        self._kinds[key] = kind
        share.waiting[key] = None

    def leave(self, key: K) -> None:
        """Remove a resource that does not want to call any more."""
        self._called.pop(key, None)
        kind = self._kinds.pop(key, None)
        if kind is not None:
            del self._shares[kind].waiting[key]

    def call(self, at: float) -> K | None:
        """Dispatch the next resource, for `at`; None if none waits."""
        busy = [share for share in self._shares.values() if share.waiting]
        if not busy:
            return None
        share = min(busy, key=lambda share: share.used)
        self._reached = share.used
        share.used += 1 / share.weight
        key, _ = share.waiting.popitem(last=False)
        del self._kinds[key]
        self._called[key] = at
        return key

    def called_for(self, key: K) -> float | None:
        """The dispatch time of `key`; None if `key` was not dispatched."""
        return self._called.get(key)

    def put_off(self, key: K, at: float) -> None:
        """Move a dispatch to a later time."""
        self._called[key] = at

    def is_expecting(self, now: float) -> bool:
        """Whether a resource was dispatched for a later time."""
        return any(at > now for at in self._called.values())

    def drop_missed(self, now: float) -> None:
        """Drop the dispatches of resources that have not called in time."""
        missed = [key for key, at in self._called.items() if at < now - DISPATCH_TIMEOUT]
        for key in missed:
            del self._called[key]
