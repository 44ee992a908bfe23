"""A wake-up: the key scheduler's request that a resource asks again."""

from typing import NamedTuple

from scriptix_operator.core.model.training import TrainingKey

__all__ = ["WakeUp"]


class WakeUp(NamedTuple):
    """A resource that is to ask again, and when, in monotonic seconds."""

    key: TrainingKey
    at: float
