"""Which Kubernetes events a change of status is worth: transitions only."""

from collections.abc import Callable
from dataclasses import dataclass

from scriptix_operator.api.reasons import (
    GIVEN_UP,
    EventReason,
    FailureReason,
    Outcome,
    Ownership,
    Phase,
    Reason,
)
from scriptix_operator.api.status import Run, TrainingStatus
from scriptix_operator.core.model.text import one_line
from scriptix_operator.core.status.conditions import (
    awaits_retry,
    is_end_pending,
    is_finished,
    is_followed,
    is_over,
    is_previous_run_restored,
    is_starting,
    may_be_running,
    reason_of,
)
from scriptix_operator.core.status.unreadable import reported_unreadable
from scriptix_operator.core.status.used_requests import asks_for_run, asks_of_run, shown_request

__all__ = ["EventRecord", "deletion_events", "run_outcome", "transition_events"]

MESSAGE_LIMIT = 1024
"""The API server refuses longer event messages."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One event to publish."""

    reason: EventReason
    message: str
    warning: bool = False


EVENT_FOR_REASON: dict[str, tuple[EventReason, bool]] = {
    Reason.WAITING_FOR_MODEL: (EventReason.WAITING_FOR_MODEL, False),
    Reason.MODEL_IN_USE: (EventReason.MODEL_IN_USE, True),
    Reason.START_OUTCOME_UNKNOWN: (EventReason.START_OUTCOME_UNKNOWN, True),
    Reason.RATE_LIMITED: (EventReason.RATE_LIMITED, True),
    Reason.PROGRESS_STALLED: (EventReason.PROGRESS_STALLED, True),
    Reason.WAITING_FOR_START_QUOTA: (EventReason.TRAINING_QUEUED, False),
    FailureReason.SECRET_NOT_FOUND: (EventReason.SECRET_NOT_FOUND, True),
    FailureReason.KEY_NOT_FOUND: (EventReason.KEY_NOT_FOUND, True),
    FailureReason.UNAUTHORIZED: (EventReason.UNAUTHORIZED, True),
    FailureReason.MODEL_NOT_FOUND: (EventReason.MODEL_NOT_FOUND, True),
    FailureReason.GATEWAY_REFUSED: (EventReason.GATEWAY_REFUSED, True),
    FailureReason.RESULT_NOT_PUBLISHED: (EventReason.RESULT_NOT_PUBLISHED, True),
}
"""Reasons that are news when they come up."""

ENDINGS: dict[str, EventReason] = {
    FailureReason.QUALITY_GATE_FAILED: EventReason.QUALITY_GATE_FAILED,
    FailureReason.TIMED_OUT: EventReason.TRAINING_TIMED_OUT,
}


def transition_events(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    """What is new in `new` against `old`, in the order that it happened."""
    kinds: tuple[Callable[[TrainingStatus, TrainingStatus], tuple[EventRecord, ...]], ...]
    kinds = (
        _unreadable,
        _cancelled,
        _repeated,
        _beginning,
        _stage,
        _waiting,
        _end,
        _log,
        _deletion,
    )
    if is_previous_run_restored(old, new):
        kinds = (_cancelled, _repeated, _log)  # what ended before was an event then
    return tuple(
        EventRecord(item.reason, one_line(item.message, MESSAGE_LIMIT), item.warning)
        for kind in kinds
        for item in kind(old, new)
    )


def run_outcome(old: TrainingStatus, new: TrainingStatus) -> Outcome | None:
    """How a run has ended, if one has just now; a failed one counts when it failed, retried or not.

    What was judged again, or stands again, ended before.
    """
    now, before = (is_over(status) for status in (new, old))
    if not now or before or is_previous_run_restored(old, new):
        return None
    return Outcome.SUCCEEDED if new.failure is None else Outcome.FAILED


def _is_same_run(old: TrainingStatus, new: TrainingStatus) -> bool:
    return (old.run.id if old.run else None) == (new.run.id if new.run else None)


def _cancelled(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    """What asked for a run is gone before its start, often by a tool that applies what Git has."""
    request = old.pending_request
    if is_previous_run_restored(old, new):
        if old.run is not None and old.run.retries:
            return (EventRecord(EventReason.REQUEST_CANCELLED, _cancelled_retry(old.run)),)
        request = shown_request(asks_for_run(old))
    elif new.pending_request is not None or asks_of_run(new.run) != asks_of_run(old.run):
        return ()
    if not request:
        return ()
    text = (
        f"The request ({request}) was cancelled before its start, because the resource no longer "
        "has that value; nothing is started for it. If Argo CD or Flux applies the resource, set "
        "the value in Git."
    )
    return (EventRecord(EventReason.REQUEST_CANCELLED, text),)


def _cancelled_retry(run: Run) -> str:
    return (
        f"Retry {run.retries} was cancelled before its start, because spec.backoffLimit was "
        "lowered or the resource no longer has the value that asked for the run; nothing is "
        "started for it."
    )


def _repeated(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    """A used value was set again; status keeps that, so it is one event for each edit."""
    if new.repeated_request is None or new.repeated_request == old.repeated_request:
        return ()
    return (EventRecord(EventReason.REQUEST_ALREADY_USED, new.repeated_request, warning=True),)


def _unreadable(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    """A field cannot be read, or another one; status keeps what was said, over a restart too."""
    text = reported_unreadable(new)
    if text is None or text == reported_unreadable(old):
        return ()
    return (EventRecord(EventReason.UNREADABLE, text, warning=True),)


def _beginning(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    if new.run is None or new.run.ownership is None:
        return ()
    if old.run is not None and old.run.ownership is not None and _is_same_run(old, new):
        return ()
    run, model = f"Run {new.run.id}", (new.model.name or new.model.key) if new.model else None
    of = f" of {model}" if model else ""
    if new.run.ownership == Ownership.ADOPTED:
        text = f"{run} takes over a training{of} that was there."
        return (EventRecord(EventReason.TRAINING_ADOPTED, text),)
    sure = new.run.ownership == Ownership.OWNED
    how = "was started" if sure else "goes on: the start was accepted, its reply was lost"
    return (EventRecord(EventReason.TRAINING_STARTED, f"{run}{of} {how}."),)


def _stage(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    known = old.stage is not None and new.stage is not None and _is_same_run(old, new)
    if not known or new.stage == old.stage or not is_followed(new):
        return ()
    went_back = (new.progress or 0) < (old.progress or 0)
    back = f" (back from {old.stage}, {old.progress}%)" if went_back else ""
    return (EventRecord(EventReason.STAGE_CHANGED, f"{new.stage}, {new.progress}%{back}."),)


def _waiting(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    if awaits_retry(new) and not (awaits_retry(old) and _is_same_run(old, new)):
        return (EventRecord(EventReason.RETRY_SCHEDULED, new.message or "", warning=True),)
    reason = reason_of(new)
    if reason is None or reason == reason_of(old) or is_finished(new):
        return ()
    event = EVENT_FOR_REASON.get(reason)
    return () if event is None else (EventRecord(event[0], new.message or "", event[1]),)


def _end(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    if not is_finished(new) or (new.phase == old.phase and _is_same_run(old, new)):
        return ()
    message = new.message or ""
    if new.phase == Phase.SUCCEEDED:
        return (EventRecord(EventReason.TRAINING_SUCCEEDED, message),)
    started = new.run is not None and new.run.ownership is not None
    other = EventReason.TRAINING_FAILED if started else EventReason.START_REJECTED
    reason = ENDINGS.get(new.failure.reason if new.failure else "", other)
    return (EventRecord(reason, message, warning=True),)


def _log(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    """A log is given up; as long as it is, status says so."""
    if new.log is None or new.log.state not in GIVEN_UP:
        return ()
    if old.log is not None and old.log.state in GIVEN_UP:
        return ()
    return (EventRecord(EventReason.LOG_NOT_STORED, new.log.message or "", warning=True),)


def _deletion(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    is_new = reason_of(new) == Reason.BEING_DELETED != reason_of(old)
    return _released_run(new) if is_new else ()


def deletion_events(status: TrainingStatus) -> tuple[EventRecord, ...]:
    """What to say when the resource is gone, unless it was said when its deletion began."""
    return () if reason_of(status) == Reason.BEING_DELETED else _released_run(status)


def _released_run(status: TrainingStatus) -> tuple[EventRecord, ...]:
    """A run at the API continues, or may do so, although its resource goes away."""
    if not may_be_running(status) or is_end_pending(status):
        return ()
    text = (
        "The resource was deleted while its training runs at the API; the API cannot cancel it, so "
        "it goes on unobserved."
    )
    if is_starting(status):
        text = (
            "The resource was deleted before the outcome of its start was known. Its training may "
            "run at the API; the API cannot cancel it, so it would go on unobserved."
        )
    return (EventRecord(EventReason.RELEASED_RUNNING_TRAINING, text, warning=True),)
