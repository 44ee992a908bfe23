"""Whose turn it is to call: kinds of calls with guaranteed shares, within one the first to ask.

Nobody waits in here: whoever asks stands in line and is called when it is its turn. A share that
nobody asks for goes to the others, so no allowance is idle while somebody wants it.
"""

from collections import OrderedDict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["DISPATCH_TIMEOUT", "FairQueue"]

K = TypeVar("K", bound=Hashable)
"""What tells those who ask apart."""
C = TypeVar("C", bound=Hashable)
"""The kinds of calls."""

DISPATCH_TIMEOUT = 5.0
"""Seconds after which one that was called and has not come is not waited for any more."""


@dataclass(slots=True)
class _Share(Generic[K]):
    """Those who wait for one kind of call."""

    weight: float
    waiting: OrderedDict[K, None] = field(default_factory=OrderedDict)
    used: float = 0.0
    """Calls divided by weight: the kind that has used least comes next."""


class FairQueue(Generic[K, C]):
    """The order of those who want to call.

    Args:
        weights: The share of each kind of call, relative to the others.
    """

    def __init__(self, weights: Mapping[C, float]) -> None:
        self._shares = {kind: _Share[K](weight) for kind, weight in weights.items()}
        self._kinds: dict[K, C] = {}
        """Of those in line."""
        self._reached = 0.0
        """What the kind that was called last had used by then; no kind that waits has used less."""
        self._called: dict[K, float] = {}
        """For when each was called that has not come yet; monotonic seconds."""

    def __len__(self) -> int:
        return len(self._kinds) + len(self._called)

    @property
    def called(self) -> int:
        """How many were called and have not come yet."""
        return len(self._called)

    def ask(self, key: K, kind: C) -> None:
        """Stand in line, or keep one's place; one that was called stays so."""
        if key in self._called or self._kinds.get(key) == kind:
            return
        self.leave(key)
        share = self._shares[kind]
        # What was not asked for is not saved up: it would shut the others out later.
        share.used = max(share.used, self._reached)
        self._kinds[key] = kind
        share.waiting[key] = None

    def leave(self, key: K) -> None:
        """Do not want to call any more."""
        self._called.pop(key, None)
        kind = self._kinds.pop(key, None)
        if kind is not None:
            del self._shares[kind].waiting[key]

    def call(self, at: float) -> K | None:
        """Call the next in line, for `at`; None if nobody is."""
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
        """When it is the turn of `key`; None if it was not called."""
        return self._called.get(key)

    def put_off(self, key: K, at: float) -> None:
        """One that was called is to come later."""
        self._called[key] = at

    def is_expecting(self, now: float) -> bool:
        """Whether somebody was called for a time to come."""
        return any(at > now for at in self._called.values())

    def drop_missed(self, now: float) -> None:
        """Do not wait any more for those who have not come."""
        missed = [key for key, at in self._called.items() if at < now - DISPATCH_TIMEOUT]
        for key in missed:
            del self._called[key]
