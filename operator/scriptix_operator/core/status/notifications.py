"""Which transitions of a resource are announced, and what is still to be sent.

`status.pendingNotifications` is the outbox: the write of a transition adds its entry, so both are
recorded or neither is, and a write after the delivery removes the entry. A transition without such
a write, such as one from before notifications were switched on, is never announced.
"""

import hashlib
from collections.abc import Collection
from datetime import datetime, timedelta
from enum import StrEnum

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import ConditionType, EventReason, Ownership, Reason
from scriptix_operator.api.status import (
    MAX_PENDING_NOTIFICATIONS,
    Condition,
    PendingNotification,
    TrainingStatus,
)
from scriptix_operator.api.times import format_time
from scriptix_operator.core.model.text import one_line
from scriptix_operator.core.status.conditions import (
    is_followed,
    is_over,
    is_previous_run_restored,
    reason_of,
)

__all__ = [
    "LIFETIME",
    "NotificationType",
    "is_expired",
    "notification_id",
    "transitions",
    "with_outbox",
    "without_outbox",
]

LIFETIME = timedelta(hours=24)
"""For so long a notification is retried."""
MESSAGE = 512
"""Characters of a message: the whole outbox of a resource stays small."""


class NotificationType(StrEnum):
    """What a notification announces."""

    STARTED = "Started"
    """A run is followed: the operator has started or adopted it."""
    SUCCEEDED = "Succeeded"
    """The run has passed its quality gate, and its result is published."""
    FAILED = "Failed"
    """The run has failed; another one may follow automatically (spec.backoffLimit)."""
    BLOCKED = "Blocked"
    """The resource continues once a human has fixed a problem."""
    STALLED = "Stalled"
    """The run makes no progress for longer than expected in its stage."""


def with_outbox(
    old: TrainingStatus, new: TrainingStatus, uid: str, now: datetime, handled: Collection[str]
) -> TrainingStatus:
    """The status to write in place of `new`: with the outbox of the resource after the write.

    Args:
        old: The status in the cluster.
        new: The status as decided.
        uid: The resource's uid.
        now: UTC.
        handled: Ids of the entries that need no delivery any more.
    """
    left = tuple(
        entry for entry in old.pending_notifications if notification_id(uid, entry) not in handled
    )
    outbox = (*left, *transitions(old, new, now))[-MAX_PENDING_NOTIFICATIONS:]
    if outbox == new.pending_notifications:
        return new
    return replace(new, pending_notifications=outbox)


def without_outbox(old: TrainingStatus, new: TrainingStatus) -> TrainingStatus:
    """The status to write while notifications are off; an old outbox alone causes no write."""
    if not new.pending_notifications or new == old:
        return new
    return replace(new, pending_notifications=())


def transitions(
    old: TrainingStatus, new: TrainingStatus, now: datetime
) -> tuple[PendingNotification, ...]:
    """The transitions from `old` to `new` that are to be announced, in order."""
    if is_previous_run_restored(old, new):
        return ()  # the end of the restored run was announced
    found: list[PendingNotification] = []

    def add(kind: NotificationType, reason: str, message: str | None) -> None:
        entry = PendingNotification(
            type=kind.value,
            run_id=new.run.id if new.run else "",
            reason=reason,
            message=one_line(message or "", MESSAGE),
            at=now.replace(microsecond=0),
        )
        found.append(entry)

    is_same_run = (old.run.id if old.run else None) == (new.run.id if new.run else None)
    if _has_begun(new) and not (is_same_run and _has_begun(old)):
        is_adopted = new.run is not None and new.run.ownership == Ownership.ADOPTED
        begun = EventReason.TRAINING_ADOPTED if is_adopted else EventReason.TRAINING_STARTED
        add(NotificationType.STARTED, begun.value, new.message)
    if _is_stalled(new) and not (is_same_run and _is_stalled(old)):
        add(NotificationType.STALLED, Reason.PROGRESS_STALLED.value, new.message)
    blocked, before = _blocking(new), _blocking(old)
    if blocked is not None and (before is None or before.reason != blocked.reason):
        add(NotificationType.BLOCKED, blocked.reason, blocked.message)
    end = _end(new)
    if end is not None and not (is_same_run and _end(old) == end):
        why = new.failure.reason if new.failure else reason_of(new) or ""
        add(end, why, new.message)
    return tuple(found)


def notification_id(uid: str, entry: PendingNotification) -> str:
    """The id of a notification: the same at each attempt, after restarts, and for each leader."""
    at = "" if entry.at is None else format_time(entry.at)
    facts = f"{uid}\n{entry.type}\n{entry.run_id}\n{entry.reason}\n{at}"
    return f"cmt_{hashlib.sha256(facts.encode()).hexdigest()[:32]}"


def is_expired(entry: PendingNotification, now: datetime) -> bool:
    """Whether a notification is given up. An entry without a time was written by hand."""
    return entry.at is None or now - entry.at >= LIFETIME


def _has_begun(status: TrainingStatus) -> bool:
    return status.run is not None and status.run.ownership is not None


def _is_stalled(status: TrainingStatus) -> bool:
    return status.progress_stalled_at is not None and is_followed(status)


def _blocking(status: TrainingStatus) -> Condition | None:
    """The condition Stalled of a run that has not ended."""
    if is_over(status):
        return None
    stalled = (one for one in status.conditions if one.type == ConditionType.STALLED)
    return next((one for one in stalled if one.status == "True"), None)


def _end(status: TrainingStatus) -> NotificationType | None:
    if not is_over(status):
        return None
    return NotificationType.FAILED if status.failure else NotificationType.SUCCEEDED
