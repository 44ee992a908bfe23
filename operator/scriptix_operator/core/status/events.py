"""The Kubernetes events of a change of status: transitions only."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from scriptix_operator.api.reasons import (
    GIVEN_UP,
    EventReason,
    FailureReason,
    Outcome,
    Ownership,
    Phase,
    Reason,
)
from scriptix_operator.api.status import TrainingStatus
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
from scriptix_operator.core.status.event_catalog import EVENT_CATALOG
from scriptix_operator.core.status.texts import event_texts
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

    @property
    def is_warning(self) -> bool:
        """Whether the event is of type Warning."""
        return EVENT_CATALOG[self.reason].is_warning


EVENT_FOR_REASON: dict[str, EventReason] = {
    Reason.WAITING_FOR_MODEL: EventReason.WAITING_FOR_MODEL,
    Reason.MODEL_IN_USE: EventReason.MODEL_IN_USE,
    Reason.START_OUTCOME_UNKNOWN: EventReason.START_OUTCOME_UNKNOWN,
    Reason.RATE_LIMITED: EventReason.RATE_LIMITED,
    Reason.PROGRESS_STALLED: EventReason.PROGRESS_STALLED,
    Reason.WAITING_FOR_START_QUOTA: EventReason.TRAINING_QUEUED,
    Reason.START_LEDGER_NOT_WRITABLE: EventReason.START_LEDGER_NOT_WRITABLE,
    Reason.WAITING_FOR_NAMESPACES: EventReason.WAITING_FOR_NAMESPACES,
    FailureReason.SECRET_NOT_FOUND: EventReason.SECRET_NOT_FOUND,
    FailureReason.KEY_NOT_FOUND: EventReason.KEY_NOT_FOUND,
    FailureReason.UNAUTHORIZED: EventReason.UNAUTHORIZED,
    FailureReason.MODEL_NOT_FOUND: EventReason.MODEL_NOT_FOUND,
    FailureReason.GATEWAY_REFUSED: EventReason.GATEWAY_REFUSED,
    FailureReason.RESULT_NOT_PUBLISHED: EventReason.RESULT_NOT_PUBLISHED,
}
"""Reasons that get an event when they begin."""

ENDINGS: dict[str, EventReason] = {
    FailureReason.QUALITY_GATE_FAILED: EventReason.QUALITY_GATE_FAILED,
    FailureReason.TIMED_OUT: EventReason.TRAINING_TIMED_OUT,
}


def transition_events(
    old: TrainingStatus, new: TrainingStatus, backoff_limit: int | None = None
) -> tuple[EventRecord, ...]:
    """The events of a change from `old` to `new`, in order.

    Args:
        old: The status before.
        new: The status now.
        backoff_limit: spec.backoffLimit, which tells why a retry is cancelled; None: the limit
            allows the retry.
    """
    kinds: tuple[Callable[[TrainingStatus, TrainingStatus], tuple[EventRecord, ...]], ...]
    cancelled = partial(_cancelled, backoff_limit)
    kinds = (
        _unreadable,
        cancelled,
        _repeated,
        _beginning,
        _stage,
        _rising,
        _at_risk,
        _waiting,
        _end,
        _log,
        _deletion,
    )
    if is_previous_run_restored(old, new):
        kinds = (cancelled, _repeated, _log)  # the end of the restored run had its event
    return tuple(
        EventRecord(item.reason, one_line(item.message, MESSAGE_LIMIT))
        for kind in kinds
        for item in kind(old, new)
    )


def run_outcome(old: TrainingStatus, new: TrainingStatus) -> Outcome | None:
    """The outcome of a run that has just ended; a failed run counts when it fails, retried or not.

    A run that is judged again or restored has ended before.
    """
    now, before = (is_over(status) for status in (new, old))
    if not now or before or is_previous_run_restored(old, new):
        return None
    return Outcome.SUCCEEDED if new.failure is None else Outcome.FAILED


def _is_same_run(old: TrainingStatus, new: TrainingStatus) -> bool:
    return (old.run.id if old.run else None) == (new.run.id if new.run else None)


def _cancelled(
    backoff_limit: int | None, old: TrainingStatus, new: TrainingStatus
) -> tuple[EventRecord, ...]:
    """The request is gone before its start, often because a GitOps tool applies an older value."""
    request = old.pending_request
    if is_previous_run_restored(old, new):
        request = shown_request(asks_for_run(old))
        if old.run is not None and old.run.retries:
            text = _cancelled_retry_text(old.run.retries, request, backoff_limit)
            return (EventRecord(EventReason.REQUEST_CANCELLED, text),)
    elif new.pending_request is not None or asks_of_run(new.run) != asks_of_run(old.run):
        return ()
    if not request:
        return ()
    return (EventRecord(EventReason.REQUEST_CANCELLED, event_texts.request_cancelled(request)),)


def _cancelled_retry_text(number: int, request: str, backoff_limit: int | None) -> str:
    """Why a retry is cancelled: as cancellation.is_cancelled decides."""
    if not request or (backoff_limit is not None and number > backoff_limit):
        return event_texts.retry_cancelled_by_limit(number)
    return event_texts.retry_cancelled_with_request(number, request)


def _repeated(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    """A used value was set again: one event for each edit, since status keeps the text."""
    if new.repeated_request is None or new.repeated_request == old.repeated_request:
        return ()
    return (EventRecord(EventReason.REQUEST_ALREADY_USED, new.repeated_request),)


def _unreadable(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    """Fields cannot be read: one event for each new text, since status keeps the last one."""
    text = reported_unreadable(new)
    if text is None or text == reported_unreadable(old):
        return ()
    return (EventRecord(EventReason.UNREADABLE, text),)


def _beginning(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    if new.run is None or new.run.ownership is None:
        return ()
    if old.run is not None and old.run.ownership is not None and _is_same_run(old, new):
        return ()
    run, model = new.run.id, (new.model.name or new.model.key) if new.model else None
    match new.run.ownership:
        case Ownership.ADOPTED:
            text = event_texts.training_adopted(run, model)
            return (EventRecord(EventReason.TRAINING_ADOPTED, text),)
        case Ownership.OWNED:
            text = event_texts.training_started(run, model)
        case _:
            text = event_texts.training_started_without_reply(run, model)
    return (EventRecord(EventReason.TRAINING_STARTED, text),)


def _stage(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    known = old.stage is not None and new.stage is not None and _is_same_run(old, new)
    if not known or new.stage == old.stage or not is_followed(new):
        return ()
    went_back = (new.progress or 0) < (old.progress or 0)
    before = f"{old.stage}, {old.progress}%" if went_back else ""
    text = event_texts.stage_changed(new.stage, new.progress, before)
    return (EventRecord(EventReason.STAGE_CHANGED, text),)


def _rising(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    """The learning curve rises: one event for each run, since the run keeps the time."""
    if new.run is None or new.run.word_error_rate_rising_at is None or not new.learning_curve:
        return ()
    if _is_same_run(old, new) and old.run and old.run.word_error_rate_rising_at is not None:
        return ()
    last = new.learning_curve[-1]
    text = event_texts.word_error_rate_rising(last.epoch, last.word_error_rate)
    return (EventRecord(EventReason.WORD_ERROR_RATE_RISING, text),)


def _at_risk(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    """The forecast misses the gate: one event for each run, since the run keeps the time."""
    expected = new.forecast
    if new.run is None or new.run.gate_at_risk_at is None or expected is None:
        return ()
    if _is_same_run(old, new) and old.run and old.run.gate_at_risk_at is not None:
        return ()
    text = event_texts.gate_at_risk(expected.word_error_rate, expected.low, expected.high)
    return (EventRecord(EventReason.QUALITY_GATE_AT_RISK, text),)


def _waiting(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    if awaits_retry(new) and not (awaits_retry(old) and _is_same_run(old, new)):
        return (EventRecord(EventReason.RETRY_SCHEDULED, new.message or ""),)
    reason = reason_of(new)
    if reason is None or reason == reason_of(old) or is_finished(new):
        return ()
    event = EVENT_FOR_REASON.get(reason)
    return () if event is None else (EventRecord(event, new.message or ""),)


def _end(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    if not is_finished(new) or (new.phase == old.phase and _is_same_run(old, new)):
        return ()
    message = new.message or ""
    if new.phase == Phase.SUCCEEDED:
        return (EventRecord(EventReason.TRAINING_SUCCEEDED, message),)
    started = new.run is not None and new.run.ownership is not None
    other = EventReason.TRAINING_FAILED if started else EventReason.START_REJECTED
    reason = ENDINGS.get(new.failure.reason if new.failure else "", other)
    return (EventRecord(reason, message),)


def _log(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    """The log is given up: one event, since status keeps the state."""
    if new.log is None or new.log.state not in GIVEN_UP:
        return ()
    if old.log is not None and old.log.state in GIVEN_UP:
        return ()
    return (EventRecord(EventReason.LOG_NOT_STORED, new.log.message or ""),)


def _deletion(old: TrainingStatus, new: TrainingStatus) -> tuple[EventRecord, ...]:
    is_new = reason_of(new) == Reason.BEING_DELETED != reason_of(old)
    return _released_run(new) if is_new else ()


def deletion_events(status: TrainingStatus) -> tuple[EventRecord, ...]:
    """The events of a deleted resource, unless they were published when its deletion began."""
    return () if reason_of(status) == Reason.BEING_DELETED else _released_run(status)


def _released_run(status: TrainingStatus) -> tuple[EventRecord, ...]:
    """A remote run continues, or may continue, although its resource is deleted."""
    if not may_be_running(status) or is_end_pending(status):
        return ()
    text = event_texts.start_released() if is_starting(status) else event_texts.run_released()
    return (EventRecord(EventReason.RELEASED_RUNNING_TRAINING, text),)
