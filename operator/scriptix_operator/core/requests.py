"""What asks for a run (DESIGN §2), and the run's identity.

A request is the pair (spec.runToken, annotation requested-at), both opaque. The first run is
asked for by the resource itself.
"""

import hashlib

from scriptix_operator.api.reasons import FailureReason, Outcome
from scriptix_operator.api.status import MAX_HISTORY, HistoryEntry, Run, TrainingStatus
from scriptix_operator.core.remote import TrainingState
from scriptix_operator.core.training import Training

__all__ = ["begin_run", "is_run_asked_for", "newest_request", "next_run"]


def is_run_asked_for(training: Training) -> bool:
    """Whether another run is asked for after the one in status.

    A member asks iff it is non-empty and differs from its handled value, and the pair is not in
    history: so removing a value, or reverting to an old pair in Git, asks for nothing.
    """
    run = training.status.run
    if run is None:
        return False
    token, requested_at = training.spec.run_token, training.requested_at
    differs = (token and token != run.token) or (requested_at and requested_at != run.requested_at)
    handled = {(entry.token, entry.requested_at) for entry in training.status.history}
    return bool(differs) and (token, requested_at) not in handled


def next_run(training: Training) -> Run:
    """The run that answers the present request, before anything was sent for it."""
    previous = training.status.run.id if training.status.run else ""
    token, requested_at = training.spec.run_token, training.requested_at
    # Derived, not drawn: deciding twice names the same run, and the core needs no randomness.
    identity = f"{training.uid}\0{previous}\0{token}\0{requested_at}"
    digest = hashlib.sha256(identity.encode()).hexdigest()
    return Run(id=digest[:10], token=token, requested_at=requested_at)


def newest_request(training: Training) -> Run | None:
    """The run in status, which has not ended, under the request that it answers.

    Requests collapse to the newest as long as nothing was sent; an answered one is kept.
    """
    run = training.status.run
    if run is None or run.intent is not None or run.ownership is not None or run.baseline:
        return run
    newest = {"token": training.spec.run_token, "requested_at": training.requested_at}
    return run.model_copy(update=newest)


def begin_run(training: Training) -> TrainingStatus:
    """Move the finished run into history and put the requested one in its place."""
    status, run = training.status, training.status.run
    history = status.history
    if run is not None:
        entry = HistoryEntry(
            id=run.id,
            token=run.token,
            requested_at=run.requested_at,
            attempt=run.attempt,
            started_at=status.started_at,
            finished_at=status.finished_at,
            outcome=_outcome(status),
            word_error_rate=status.metrics.word_error_rate if status.metrics else None,
        )
        history = (entry, *history)[:MAX_HISTORY]
    return TrainingStatus(
        observed_generation=status.observed_generation,
        model=status.model,
        run=next_run(training),
        log=None if status.log is None else status.log.model_copy(update={"state": None}),
        history=history,
        conditions=status.conditions,
    )


def _outcome(status: TrainingStatus) -> Outcome:
    if status.failure is None:
        return Outcome.SUCCEEDED
    seen = status.model.training_status if status.model else None
    replaced = seen in {TrainingState.NOT_READY, TrainingState.READY}
    unread = replaced and status.failure.reason == FailureReason.UNKNOWN
    return Outcome.UNKNOWN if unread else Outcome.FAILED
