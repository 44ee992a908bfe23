"""An installation of the operator as its Lease describes it, and namespaces that two serve."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from scriptix_operator.api.names import WATCHES_ANNOTATION

__all__ = [
    "Installation",
    "show_namespaces",
    "show_overlap",
    "watched_namespaces_annotation",
    "watches_of",
]

ALL = "*"
QUIET = timedelta(minutes=5)
"""A Lease lasts 15 s; one that was renewed so long ago is not held, even if two clocks differ."""


@dataclass(frozen=True, slots=True)
class Installation:
    """The operator that holds a Lease.

    Args:
        namespace: The operator's own.
        watches: The namespaces that the operator serves; empty: all. None: not known.
        holder: Name of the process; empty: no process holds the Lease.
        renewed_at: When the holder last renewed the Lease, by the holder's clock; None: never.
        problems: What the holder could not do then, in words; empty: nothing is known.
    """

    namespace: str
    watches: tuple[str, ...] | None
    holder: str
    renewed_at: datetime | None
    problems: str = ""

    def runs(self, now: datetime) -> bool:
        """Whether the holder has renewed the Lease in the last minutes."""
        if not self.holder or self.renewed_at is None:
            return False
        return now - self.renewed_at < QUIET


def show_overlap(ours: Sequence[str], theirs: Sequence[str]) -> str | None:
    """The namespaces that both installations serve, in words; None if there is none."""
    if not ours or not theirs:
        return show_namespaces(ours or theirs)
    both = sorted(set(ours) & set(theirs))
    return show_namespaces(both) if both else None


def show_namespaces(names: Sequence[str]) -> str:
    """Namespaces in words."""
    if not names:
        return "all namespaces"
    return ("namespace " if len(names) == 1 else "namespaces ") + ", ".join(names)


def watched_namespaces_annotation(watches: Sequence[str]) -> dict[str, str]:
    """The annotation in which an operator records the namespaces that it serves."""
    return {WATCHES_ANNOTATION: ",".join(watches) or ALL}


def watches_of(annotation: str | None) -> tuple[str, ...] | None:
    """The namespaces from that annotation's value; None where there is none."""
    if not annotation:
        return None
    return () if annotation == ALL else tuple(annotation.split(","))
