"""Cancelled requests: a rerun or a retry that the resource no longer asks for.

A request can be cancelled until something is sent for it; the API cannot cancel a run.
"""

from decimal import Decimal, InvalidOperation

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason, Outcome
from scriptix_operator.api.status import Failure, HistoryEntry, Metrics, Run, TrainingStatus
from scriptix_operator.core.model.progress import DONE, rating_of, stage_of
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.requests.requests import (
    is_first_run,
    is_unsent,
    standing_asks,
    without_run,
)
from scriptix_operator.core.status.conditions import awaits_retry
from scriptix_operator.core.status.failures import failure
from scriptix_operator.core.status.texts import end_texts
from scriptix_operator.core.status.used_requests import used_requests

__all__ = ["cancel_request", "is_cancelled"]


def is_cancelled(training: Training) -> bool:
    """Whether the unsent run in status is not asked for any more.

    A retry is cancelled once spec.backoffLimit is below its number. A request is cancelled once no
    member asks any more, for example after runToken is reverted in Git.
    """
    status, run = training.status, training.status.run
    waits = awaits_retry(status)
    if run is None or training.unreadable or not (waits or _is_cancellable(status)):
        return False
    if run.retries + waits > training.spec.backoff_limit:
        return True
    return not (is_first_run(status) or standing_asks(training))


def _is_cancellable(status: TrainingStatus) -> bool:
    """Whether nothing was sent for the run in status, and an ended one can take its place."""
    return is_unsent(status) and bool(status.history) and status.history[0].finished_at is not None


def cancel_request(status: TrainingStatus) -> TrainingStatus:
    """The status without the request: the previous run, restored from history."""
    if awaits_retry(status) and status.run is not None:
        return replace(status, run=replace(status.run, retry_at=None))
    last, *earlier = status.history
    log, progress = status.log, last.progress
    if progress is None and last.outcome == Outcome.SUCCEEDED:
        progress = DONE  # the entry is from a version without history[].progress
    if log is not None:
        # History does not say whether the log was complete: the log is fetched once more. The end
        # is old, so once is enough. By the operator's clock, which may be behind the API's.
        times = (at for at in (last.finished_at, status.last_observed_at) if at is not None)
        ended_at = min(times, default=None)
        log = replace(without_run(log), end_seen_at=ended_at, next_fetch_at=ended_at)
    return TrainingStatus(
        observed_generation=status.observed_generation,
        model=status.model,
        run=Run(
            id=last.id,
            token=last.token,
            requested_at=last.requested_at,
            asked_by=last.asked_by,
            attempt=last.attempt,
            ownership=last.ownership,
            key_source=last.key_source,
            key_fingerprint=last.key_fingerprint,
            claimed_at=last.started_at,
            started_training_at=last.started_training_at,
        ),
        progress=progress,
        stage=None if progress is None else stage_of(progress).value,
        started_at=last.started_at,
        finished_at=last.finished_at,
        last_observed_at=status.last_observed_at,
        metrics=last.metrics or _metrics(last.word_error_rate),
        published=status.published,
        learning_curve=last.learning_curve,
        timeline=last.timeline,
        failure=_failure(last),
        log=log,
        history=tuple(earlier),
        used_requests=used_requests(status),
        served_by=status.served_by,
        pending_notifications=status.pending_notifications,
    )


def _metrics(word_error_rate: str | None) -> Metrics | None:
    """The metrics of a history entry from a version without history[].metrics."""
    if word_error_rate is None:
        return None
    try:
        rating = rating_of(Decimal(word_error_rate)).value
    except InvalidOperation:  # a status edited by hand
        rating = None
    return Metrics(word_error_rate=word_error_rate, rating=rating)


def _failure(entry: HistoryEntry) -> Failure | None:
    if entry.outcome == Outcome.SUCCEEDED:
        return None
    known = (reason for reason in FailureReason if reason == entry.reason)
    reason = next(known, FailureReason.UNKNOWN)
    return failure(reason, entry.message or end_texts.run_failed_without_reason())
