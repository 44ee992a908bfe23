"""The resource that owns what is written beside it."""

from dataclasses import dataclass

__all__ = ["Owner"]


@dataclass(frozen=True, slots=True)
class Owner:
    """One incarnation of a CustomModelTraining: a re-created resource has another uid."""

    namespace: str
    name: str
    uid: str
