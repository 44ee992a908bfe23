"""The derived parts of status: phase, display strings and conditions.

Each status leaves the core through `derive_status`, so the derived parts always agree with the
facts.
"""

from dataclasses import dataclass
from datetime import datetime

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import ConditionType, FailureReason, Phase, Reason
from scriptix_operator.api.spec import TrainingSpec
from scriptix_operator.api.status import LONG_TEXT, Condition, Display, TrainingStatus
from scriptix_operator.core.model.text import clean
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.gate_condition import gate_condition, stamped
from scriptix_operator.core.status.retry import retry_text
from scriptix_operator.core.status.texts import resource_texts
from scriptix_operator.core.status.unreadable import describe_unreadable, reported_unreadable
from scriptix_operator.core.status.used_requests import (
    pending_request,
    repeated_request,
    used_requests,
)

__all__ = [
    "ConditionReason",
    "awaits_retry",
    "derive_status",
    "has_ended",
    "is_blocked",
    "is_end_pending",
    "is_finished",
    "is_followed",
    "is_over",
    "is_polled",
    "is_previous_run_restored",
    "is_starting",
    "is_unpublished",
    "last_key",
    "may_be_running",
    "phase_of",
    "reason_of",
    "release",
]


@dataclass(frozen=True, slots=True)
class ConditionReason:
    """Why the status is as it is: a reason for machines, a message for people."""

    reason: str
    """A Reason or a FailureReason; the status of a newer operator may hold another value."""
    message: str


def has_ended(status: TrainingStatus) -> bool:
    """Whether the run in status is over, well or not; a retry may follow automatically."""
    return status.finished_at is not None


def awaits_retry(status: TrainingStatus) -> bool:
    """Whether the run in status has failed and another for the same request follows."""
    return has_ended(status) and status.run is not None and status.run.retry_at is not None


def is_unpublished(status: TrainingStatus) -> bool:
    """Whether the run has succeeded and its result is still to be published."""
    why = status.failure
    held_up = why is not None and why.reason == FailureReason.RESULT_NOT_PUBLISHED
    return held_up and has_ended(status) and status.run is not None


def is_over(status: TrainingStatus) -> bool:
    """Whether only the log of the run in status is left to do; a retry may follow."""
    return has_ended(status) and not is_unpublished(status)


def is_finished(status: TrainingStatus) -> bool:
    """Whether the request is over, well or not, with its result published and no retry due."""
    return is_over(status) and not awaits_retry(status)


def is_blocked(status: TrainingStatus) -> bool:
    """Whether a human must fix something before the run continues."""
    return status.failure is not None and not is_over(status)


def is_followed(status: TrainingStatus) -> bool:
    """Whether the operator follows a remote run."""
    return status.run is not None and status.run.ownership is not None and not has_ended(status)


def is_starting(status: TrainingStatus) -> bool:
    """Whether status has an intent whose outcome is not recorded."""
    return status.run is not None and status.run.intent is not None and not has_ended(status)


def is_end_pending(status: TrainingStatus) -> bool:
    """Whether the API has shown the end of the followed run, and its results are awaited."""
    return is_followed(status) and status.run is not None and status.run.pending_end is not None


def may_be_running(status: TrainingStatus) -> bool:
    """Whether a run of this resource is, or may be, running at the API."""
    return is_followed(status) or is_starting(status)


def last_key(status: TrainingStatus) -> str | None:
    """Fingerprint of the API key of the run in status; while a rerun waits, of the previous run."""
    runs = (status.run, *status.history)
    return next((run.key_fingerprint for run in runs if run and run.key_fingerprint), None)


def is_previous_run_restored(old: TrainingStatus, new: TrainingStatus) -> bool:
    """Whether `new` shows a run that was over in `old`: its end was reported then."""
    return new.run is not None and any(past.id == new.run.id for past in old.history)


def is_polled(training: Training) -> bool:
    """Whether the model is polled regularly, as long as the resource does not change."""
    return not (training.spec.suspend or has_ended(training.status))


def phase_of(spec: TrainingSpec, status: TrainingStatus) -> Phase:
    """The phase; terminal phases outrank Suspended, and a blocked run keeps its phase."""
    if is_finished(status):
        return Phase.FAILED if status.failure else Phase.SUCCEEDED
    if spec.suspend:
        return Phase.SUSPENDED
    if is_starting(status):
        return Phase.STARTING
    if is_followed(status) or is_unpublished(status):
        return Phase.RUNNING
    return Phase.QUEUED if status.queue else Phase.PENDING


def reason_of(status: TrainingStatus) -> str | None:
    """The reason in the conditions; None where there are no conditions yet."""
    return next((c.reason for c in status.conditions if c.type == ConditionType.SUCCEEDED), None)


def derive_status(
    training: Training,
    status: TrainingStatus,
    now: datetime,
    condition_reason: ConditionReason | None = None,
) -> TrainingStatus:
    """Bring the derived parts of `status` in line with its facts and the present spec.

    Args:
        training: The resource, with the observed spec and generation.
        status: The facts.
        now: For lastTransitionTime, UTC.
        condition_reason: The new reason and message; None keeps those that status has.
    """
    phase = phase_of(training.spec, status)
    repeated, unreadable = repeated_request(training, status), describe_unreadable(training)
    suffix = "".join(f" {text}" for text in (unreadable, repeated) if text is not None)
    room = LONG_TEXT - len(suffix)
    if training.is_being_deleted and _is_released(status, condition_reason):
        condition_reason = release(status)
    else:
        condition_reason = (
            _overriding_reason(training.spec, phase, status, room)
            or condition_reason
            or _kept_reason(status)
        )
    message = clean(condition_reason.message, room) + suffix
    before = {condition.type: condition for condition in status.conditions}
    truths = _truths(phase, status, condition_reason)
    if unreadable is not None:
        summary = truths[ConditionType.SUCCEEDED]
        truths = _summed_up(summary, ConditionType.STALLED)
    conditions = []
    for kind, truth in truths.items():
        reason, text = condition_reason.reason, message
        if kind is ConditionType.STALLED and unreadable is not None:
            reason, text = Reason.UNREADABLE.value, unreadable
        # A copy keeps the fields of the condition that another version has written.
        condition = replace(
            before.get(kind) or Condition(type=kind),
            status=truth,
            reason=reason,
            message=text,
            observed_generation=training.generation,
        )
        conditions.append(_with_transition_time(condition, before.get(kind), now))
    if (judged := gate_condition(status.conditions)) is not None:
        conditions.append(stamped(judged, training.generation, now))
    return replace(
        status,
        observed_generation=training.generation,
        phase=phase.value,
        message=message,
        display=_display(phase, status),
        pending_request=pending_request(training, status),
        repeated_request=repeated,
        used_requests=used_requests(status),
        conditions=tuple(conditions),
    )


def release(status: TrainingStatus) -> ConditionReason:
    """The reason of a resource that is being deleted and is not reconciled any more."""
    text = resource_texts.being_deleted()
    if is_followed(status) and not is_end_pending(status):
        text = resource_texts.being_deleted_while_running()
    elif is_starting(status):
        text = resource_texts.being_deleted_while_starting()
    return ConditionReason(Reason.BEING_DELETED, text)


def _is_released(status: TrainingStatus, condition_reason: ConditionReason | None) -> bool:
    """Whether a resource that is being deleted is released; once released, it stays so.

    A start with unknown outcome is resolved first.
    """
    if not is_starting(status):
        return not is_finished(status)
    said = None if condition_reason is None else condition_reason.reason
    return Reason.BEING_DELETED in {said, reason_of(status)}


def _with_transition_time(condition: Condition, old: Condition | None, now: datetime) -> Condition:
    """With the transition time, which stays as long as the condition's status does."""
    is_kept = old is not None and old.status == condition.status
    if is_kept and condition.last_transition_time is not None:
        return condition
    return replace(condition, last_transition_time=now.replace(microsecond=0))


def _overriding_reason(
    spec: TrainingSpec, phase: Phase, status: TrainingStatus, room: int
) -> ConditionReason | None:
    """The reason of a failure (what happened, then the remedy or the retry), or of a suspension."""
    if status.failure is not None and phase is not Phase.SUSPENDED:
        solution = status.failure.solution
        # However long the API's words are, the remedy must not be cut off.
        message = clean(status.failure.message, room - len(solution) - 2)
        if status.run is not None and awaits_retry(status):
            text = retry_text(spec, status.run, resource_texts.failure_with_solution(message))
            return ConditionReason(Reason.WAITING_FOR_RETRY, text)
        text = resource_texts.failure_with_solution(message, solution)
        return ConditionReason(status.failure.reason, text)
    if phase is Phase.SUSPENDED:
        return ConditionReason(Reason.SUSPENDED, _suspended(status))
    return None


def _suspended(status: TrainingStatus) -> str:
    if is_starting(status):
        return resource_texts.suspended_while_starting()
    if is_followed(status) and not is_end_pending(status):
        return resource_texts.suspended_while_running()
    return resource_texts.suspended()


def _kept_reason(status: TrainingStatus) -> ConditionReason:
    reason = reason_of(status)
    message = (status.message or "").removesuffix(f" {status.repeated_request}")
    message = message.removesuffix(f" {reported_unreadable(status)}")
    if reason in set(Reason) - {Reason.SUSPENDED, Reason.UNREADABLE} and message:
        return ConditionReason(Reason(reason), message)
    return ConditionReason(Reason.OBSERVED, resource_texts.first_poll_pending())


def _truths(
    phase: Phase, status: TrainingStatus, condition_reason: ConditionReason
) -> dict[ConditionType, str]:
    extra: ConditionType | None
    match phase:
        case Phase.SUCCEEDED:
            summary, extra = "True", None
        case Phase.FAILED:
            summary, extra = "False", ConditionType.STALLED
        case Phase.SUSPENDED:
            summary, extra = "Unknown", ConditionType.SUSPENDED
        case _:
            summary = "Unknown"
            blocked = is_blocked(status)
            extra = ConditionType.STALLED if blocked else ConditionType.RECONCILING
            if condition_reason.reason == Reason.BEING_DELETED:
                extra = None
    return _summed_up(summary, extra)


def _summed_up(summary: str, extra: ConditionType | None) -> dict[ConditionType, str]:
    truths = {ConditionType.SUCCEEDED: summary, ConditionType.READY: summary}
    return truths if extra is None else {**truths, extra: "True"}


def _display(phase: Phase, status: TrainingStatus) -> Display | None:
    wer = status.metrics.word_error_rate if status.metrics else None
    eta = status.estimated_completion_at
    running = phase is Phase.RUNNING and not is_blocked(status)
    display = Display(
        progress=None if status.progress is None else f"{status.progress}%",
        word_error_rate=None if wer is None else f"{wer}%",
        eta=f"{eta:%m-%d %H:%MZ}" if eta is not None and running else None,
        queue=f"{status.queue.position}/{status.queue.of}" if status.queue else None,
    )
    return None if display == Display() else display
