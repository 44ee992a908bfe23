"""Requests for runs, and the identity of a run.

A request is the pair (spec.runToken, annotation requested-at), opaque but for dates
(core/status/tokens.py). Each member asks on its own, with an unused value
(core/status/used_requests.py). The resource itself asks for the first run.
"""

import hashlib
from collections.abc import Iterable

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason, Outcome
from scriptix_operator.api.status import (
    MAX_HISTORY,
    TEXT,
    HistoryEntry,
    LogStatus,
    Run,
    TrainingStatus,
)
from scriptix_operator.core.eta.timeline import is_whole
from scriptix_operator.core.model.remote import TrainingState
from scriptix_operator.core.model.text import one_line
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.conditions import awaits_retry
from scriptix_operator.core.status.gate_condition import without_judgement
from scriptix_operator.core.status.used_requests import (
    Ask,
    asks_for_run,
    asks_of,
    asks_of_run,
    is_used,
    used_requests,
)

__all__ = [
    "begin_retry",
    "begin_run",
    "is_first_run",
    "is_run_asked_for",
    "is_unsent",
    "newest_request",
    "next_run",
    "standing_asks",
    "without_run",
]


def without_run(log: LogStatus) -> LogStatus:
    """Without the fields that describe the log of one run."""
    return replace(
        log,
        state=None,
        message=None,
        total_entries=None,
        last_fetched_at=None,
        end_seen_at=None,
        next_fetch_at=None,
    )


def standing_asks(training: Training) -> tuple[Ask, ...]:
    """The members that ask for a run now: requesting and cancelling go by this one predicate.

    A value asks as long as it is not used. A value that asked for the run in status stands until
    something is sent for that run, and until the run's retry is sent.
    """
    status = training.status
    pending = asks_for_run(status) if is_unsent(status) or awaits_retry(status) else ()
    return tuple(ask for ask in asks_of(training) if ask in pending or not is_used(status, ask))


def _new_asks(training: Training) -> tuple[Ask, ...]:
    """The members that ask for another run than the one in status."""
    own = asks_of_run(training.status.run)
    return tuple(ask for ask in standing_asks(training) if ask not in own)


def is_run_asked_for(training: Training) -> bool:
    """Whether another run is asked for after the one in status.

    Removing a value, or setting a used one again, asks for nothing.
    """
    if training.unreadable:
        return False  # nothing is started for an unreadable resource
    return training.status.run is not None and bool(_new_asks(training))


def is_first_run(status: TrainingStatus) -> bool:
    """Whether the resource itself asked for the run in status, not a value of a member."""
    return not asks_for_run(status)


def next_run(training: Training) -> Run:
    """The run that answers the present request, with nothing sent for it yet."""
    asks = _new_asks(training) if training.status.run else ()
    run = _run_for(training, training.spec.run_token, training.requested_at)
    return replace(run, asked_by=_members(asks))


def _members(asks: Iterable[Ask]) -> tuple[str, ...]:
    return tuple(ask.member.value for ask in asks)


def _run_for(training: Training, token: str, requested_at: str) -> Run:
    previous = training.status.run.id if training.status.run else ""
    # Derived, not random: deciding twice gives the same id, and the core needs no randomness.
    identity = f"{training.uid}\0{previous}\0{token}\0{requested_at}"
    digest = hashlib.sha256(identity.encode()).hexdigest()
    return Run(id=digest[:10], token=token, requested_at=requested_at)


def is_unsent(status: TrainingStatus) -> bool:
    """Whether a run waits for which nothing was sent, or only starts that were refused."""
    run = status.run
    if run is None or status.finished_at is not None:
        return False
    return run.intent is None and run.ownership is None and run.baseline is None


def newest_request(training: Training) -> Run | None:
    """The run in status, which has not ended, with the newest request.

    Requests collapse to the newest one as long as nothing was sent. A request that a start was sent
    for is kept, and so is the request that a retry repeats.
    """
    run = training.status.run
    if run is None or training.unreadable or not is_unsent(training.status):
        return run
    # The values that a retry repeats are used: they ask for no other run.
    asks = _new_asks(training) if run.retries else standing_asks(training)
    if not asks:
        return run
    return replace(
        run,
        token=training.spec.run_token,
        requested_at=training.requested_at,
        asked_by=_members(asks),
        retries=0,
    )


def begin_run(training: Training) -> TrainingStatus:
    """Move the finished run into history, and put the requested run into status."""
    return _replaced(training.status, next_run(training))


def begin_retry(training: Training) -> TrainingStatus:
    """Move the failed run into history, and put another run for the same request into status."""
    failed = training.status.run
    if failed is None:
        raise ValueError(f"{training.key} has no run to retry")
    run = _run_for(training, failed.token, failed.requested_at)
    run = replace(run, asked_by=failed.asked_by, retries=failed.retries + 1)
    return _replaced(training.status, run)


def _replaced(status: TrainingStatus, successor: Run) -> TrainingStatus:
    history = status.history
    if status.run is not None:
        # A curve has 40 points: only the newest run's is kept, which a cancelled request restores.
        earlier = (replace(past, learning_curve=()) for past in history)
        # A newer version of the operator may keep more entries.
        most = max(MAX_HISTORY, len(history))
        history = (_entry(status, status.run), *earlier)[:most]
    return TrainingStatus(
        observed_generation=status.observed_generation,
        model=status.model,
        run=successor,
        log=None if status.log is None else without_run(status.log),
        history=history,
        used_requests=used_requests(status),
        published=status.published,
        served_by=status.served_by,
        pending_notifications=status.pending_notifications,
        conditions=without_judgement(status.conditions),
    )


def _entry(status: TrainingStatus, run: Run) -> HistoryEntry:
    """The history entry of the run in status; core/requests/cancellation.py reads it."""
    why = status.failure
    return HistoryEntry(
        id=run.id,
        token=run.token,
        requested_at=run.requested_at,
        asked_by=run.asked_by,
        attempt=run.attempt,
        ownership=run.ownership,
        key_source=run.key_source,
        key_fingerprint=run.key_fingerprint,
        started_at=status.started_at,
        started_training_at=run.started_training_at,
        finished_at=status.finished_at,
        outcome=_outcome(status),
        reason=why.reason if why else None,
        message=one_line(why.message, TEXT) if why else None,
        word_error_rate=status.metrics.word_error_rate if status.metrics else None,
        metrics=status.metrics,
        progress=status.progress,
        timeline=status.timeline if is_whole(status.timeline) else (),
        learning_curve=status.learning_curve,
    )


def _outcome(status: TrainingStatus) -> Outcome:
    if status.failure is None:
        return Outcome.SUCCEEDED
    seen = status.model.training_status if status.model else None
    replaced = seen in {TrainingState.NOT_READY, TrainingState.READY}
    unread = replaced and status.failure.reason == FailureReason.UNKNOWN
    return Outcome.UNKNOWN if unread else Outcome.FAILED
