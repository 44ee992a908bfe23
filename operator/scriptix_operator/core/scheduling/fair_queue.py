"""Start-time fair queueing (SFQ), a weighted fair queue: kinds of calls with guaranteed shares.

Each kind has a start tag, which grows by 1/weight with each call. The kind with the smallest tag is
dispatched, and within a kind the resource that has waited longest. With the weights 2 for `r` and 1
for `w`, while both want more calls:

    dispatched   r    w    r    r    w    r    r    w
    start tag    0    0   0.5   1    1   1.5   2    2

The virtual time is the tag of the call dispatched last. A kind that joins after a pause begins
there, and not at its old tag: its unused share went to the other kinds.

Nothing blocks here: a resource joins the queue, and is dispatched when its turn comes. It then has
DISPATCH_TIMEOUT to make its call.
"""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["DISPATCH_TIMEOUT", "FairQueue"]

K = TypeVar("K", bound=Hashable)
"""The key of a resource."""
C = TypeVar("C", bound=Hashable)
"""The kind of a call."""

DISPATCH_TIMEOUT = 5.0
"""Seconds after which a dispatched resource that has not called loses its dispatch."""


@dataclass(slots=True)
class _Flow(Generic[K]):
    """The resources that wait for one kind of call."""

    weight: float
    waiting: OrderedDict[K, None] = field(default_factory=OrderedDict)
    start_tag: float = 0.0
    """Calls divided by weight, plus the pauses: the kind with the smallest tag comes next."""


class FairQueue(Generic[K, C]):
    """The order of the resources that want to call.

    Args:
        weights: The share of each kind of call, relative to the others.
    """

    def __init__(self, weights: Mapping[C, float]) -> None:
        self._flows = {kind: _Flow[K](weight) for kind, weight in weights.items()}
        self._kinds: dict[K, C] = {}
        """The kinds of the waiting resources."""
        self._virtual_time = 0.0
        """The start tag of the call dispatched last; no waiting kind has a smaller one."""
        self._dispatched: dict[K, float] = {}
        """The dispatch times of resources that have not called yet; monotonic seconds."""

    def __len__(self) -> int:
        return len(self._kinds) + len(self._dispatched)

    @property
    def dispatched(self) -> int:
        """The number of dispatched resources that have not called yet."""
        return len(self._dispatched)

    def join(self, key: K, kind: C) -> None:
        """Join the queue, or keep the position; a dispatch stays."""
        if key in self._dispatched or self._kinds.get(key) == kind:
            return
        self.leave(key)
        flow = self._flows[kind]
        # An unused share is not saved up: it would starve the other kinds later.
        flow.start_tag = max(flow.start_tag, self._virtual_time)
        self._kinds[key] = kind
        flow.waiting[key] = None

    def leave(self, key: K) -> None:
        """Remove a resource that does not want to call any more."""
        self._dispatched.pop(key, None)
        kind = self._kinds.pop(key, None)
        if kind is not None:
            del self._flows[kind].waiting[key]

    def dispatch(self, at: float) -> K | None:
        """Dispatch the next resource, for `at`; None if none waits."""
        busy = [flow for flow in self._flows.values() if flow.waiting]
        if not busy:
            return None
        flow = min(busy, key=lambda flow: flow.start_tag)
        self._virtual_time = flow.start_tag
        flow.start_tag += 1 / flow.weight
        key, _ = flow.waiting.popitem(last=False)
        del self._kinds[key]
        self._dispatched[key] = at
        return key

    def dispatched_for(self, key: K) -> float | None:
        """The dispatch time of `key`; None if `key` was not dispatched."""
        return self._dispatched.get(key)

    def defer(self, key: K, at: float) -> None:
        """Move a dispatch to a later time."""
        self._dispatched[key] = at

    def has_dispatch_after(self, now: float) -> bool:
        """Whether a resource was dispatched for a later time."""
        return any(at > now for at in self._dispatched.values())

    def drop_missed(self, now: float) -> None:
        """Drop the dispatches of resources that have not called in time."""
        missed = [key for key, at in self._dispatched.items() if at < now - DISPATCH_TIMEOUT]
        for key in missed:
            del self._dispatched[key]
