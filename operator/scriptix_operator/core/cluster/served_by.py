"""Which installation serves a resource, where several watch it.

Each status write names the installation, with the resourceVersion that was read. So of two
installations that would start one run, one writes its intent, and the other one finds its name. An
installation is the namespace of its Lease and start ledger: all processes in it belong to the same
installation, and so do those of a later release in that namespace.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import EventReason
from scriptix_operator.api.status import ServedBy, TrainingStatus
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.model.wording import duration
from scriptix_operator.core.status.conditions import is_finished
from scriptix_operator.core.status.events import EventRecord
from scriptix_operator.core.status.texts import event_texts, resource_texts

__all__ = [
    "last_seen_at",
    "left_alone",
    "left_alone_event",
    "left_for",
    "left_text",
    "needs_renewal",
    "seconds_left",
    "was_served_elsewhere",
    "with_server",
]

RENEWAL = timedelta(minutes=12)
"""Age of `servedBy` at which it is written without other changes. The age is above the 10 minutes
after which a poll refreshes lastObservedAt: a regularly polled resource needs no extra write."""

SILENCE = timedelta(minutes=30)
"""After this time another installation takes over. A working installation has renewed `servedBy`
twice by then, whatever the Scriptix API does. Taking over from a working installation (its API
server was unreachable, or its clock differs) starts nothing twice: resourceVersion decides."""
SILENCE_TEXT = duration(int(SILENCE.total_seconds()))


def with_server(
    training: Training, status: TrainingStatus, installation: str, now: datetime
) -> TrainingStatus:
    """The status to write: `status`, with the installation that writes it.

    An unchanged status is not written, unless other installations could take the resource over.
    """
    is_ours = status.served_by is not None and status.served_by.namespace == installation
    is_due = not is_ours or needs_renewal(training, installation, now)
    if status == training.status and (not is_due or _is_at_rest(training)):
        return status
    served_by = ServedBy(namespace=installation, renewed_at=now)
    return replace(status, served_by=served_by)


def needs_renewal(training: Training, installation: str, now: datetime) -> bool:
    """Whether `servedBy` of a resource that this installation serves is old."""
    served_by = training.status.served_by
    if served_by is None or served_by.namespace != installation or _is_at_rest(training):
        return False
    return abs(now - served_by.renewed_at) >= RENEWAL


def _is_at_rest(training: Training) -> bool:
    """Whether a resource needs no work until it is edited: a takeover would have no effect."""
    return training.spec.suspend or is_finished(training.status) or training.is_being_deleted


def was_served_elsewhere(training: Training, installation: str) -> bool:
    """Whether another installation wrote the status last, however long ago."""
    served_by = training.status.served_by
    return served_by is not None and served_by.namespace != installation


def left_for(training: Training, installation: str, now: datetime) -> float | None:
    """Seconds for which a resource is left alone; None: this installation may serve it."""
    return seconds_left(training.status.served_by, installation, now, training.served_seen_at)


def seconds_left(
    served_by: ServedBy | None, installation: str, now: datetime, seen_at: datetime | None = None
) -> float | None:
    """Seconds for which a resource with this servedBy is left alone; None: not at all.

    A time far in the future is from a wrong clock, or was typed: it is ignored.

    Args:
        served_by: As status has it.
        installation: This installation.
        now: UTC.
        seen_at: As last_seen_at.
    """
    if served_by is None or served_by.namespace == installation:
        return None
    ages = (now - since for since in (served_by.renewed_at, seen_at) if since is not None)
    waits = ((SILENCE - age).total_seconds() for age in ages if abs(age) < SILENCE)
    return max(waits, default=None)


def last_seen_at(known: Training | None, training: Training, now: datetime) -> datetime | None:
    """When this process last saw a write of the installation that serves a resource.

    The clock of another installation may differ by any amount, so that its `renewedAt` seems old
    when it is new. A `renewedAt` that advances, or a new name, shows that the installation works. A
    `renewedAt` that goes back was typed, and shows nothing.

    Args:
        known: The version before, if this process has it.
        training: The newest version.
        now: UTC, by the clock of this process.
    """
    after = training.status.served_by
    if known is None or after is None:
        return None
    before = known.status.served_by
    if before == after:
        return known.served_seen_at
    is_new_name = before is None or before.namespace != after.namespace
    is_write = is_new_name or (before is not None and after.renewed_at > before.renewed_at)
    return now if is_write else None


def left_alone(
    trainings: Iterable[Training], installation: str, now: datetime
) -> dict[str, list[Training]]:
    """The resources that are left alone, by the installation that serves them."""
    left = defaultdict(list)
    for training in trainings:
        served_by = training.status.served_by
        if served_by is not None and left_for(training, installation, now) is not None:
            left[served_by.namespace].append(training)
    return dict(left)


def left_text(other: str, left: list[Training]) -> str:
    """The problem and its remedy, for the administrator of the operator."""
    first = str(min(training.key for training in left))
    return resource_texts.resources_left_alone(len(left), other, SILENCE_TEXT, first)


def left_alone_event(other: str, installation: str) -> EventRecord:
    """The event of a resource that is left alone."""
    text = event_texts.served_elsewhere(other, installation, SILENCE_TEXT)
    return EventRecord(EventReason.SERVED_ELSEWHERE, text)
