"""What asks for a run (DESIGN §2), and the run's identity.

A request is the pair (spec.runToken, annotation requested-at), both opaque. The first run is
asked for by the resource itself.
"""

import hashlib

from scriptix_operator.api.reasons import FailureReason, Outcome
from scriptix_operator.api.status import MAX_HISTORY, TEXT, HistoryEntry, Run, TrainingStatus
from scriptix_operator.core.remote import TrainingState
from scriptix_operator.core.text import one_line
from scriptix_operator.core.timeline import is_whole
from scriptix_operator.core.training import Training

__all__ = [
    "begin_retry",
    "begin_run",
    "is_run_asked_for",
    "is_unsent",
    "newest_request",
    "next_run",
]


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
    return _run_for(training, training.spec.run_token, training.requested_at)


def _run_for(training: Training, token: str, requested_at: str) -> Run:
    previous = training.status.run.id if training.status.run else ""
    # Derived, not drawn: deciding twice names the same run, and the core needs no randomness.
    identity = f"{training.uid}\0{previous}\0{token}\0{requested_at}"
    digest = hashlib.sha256(identity.encode()).hexdigest()
    return Run(id=digest[:10], token=token, requested_at=requested_at)


def is_unsent(status: TrainingStatus) -> bool:
    """Whether a run is waited with for which nothing was sent, or only what was refused."""
    run = status.run
    if run is None or status.finished_at is not None:
        return False
    return run.intent is None and run.ownership is None and run.baseline is None


def newest_request(training: Training) -> Run | None:
    """The run in status, which has not ended, under the request that it answers.

    Requests collapse to the newest as long as nothing was sent; an answered one is kept.
    """
    run = training.status.run
    if run is None or not is_unsent(training.status):
        return run
    newest = {"token": training.spec.run_token, "requested_at": training.requested_at}
    return run.model_copy(update={**newest, "retries": 0})


def begin_run(training: Training) -> TrainingStatus:
    """Move the finished run into history and put the requested one in its place."""
    return _replaced(training.status, next_run(training))


def begin_retry(training: Training) -> TrainingStatus:
    """Move the failed run into history and put another for the same request in its place."""
    failed = training.status.run
    if failed is None:
        raise ValueError(f"{training.key} has no run to retry")
    run = _run_for(training, failed.token, failed.requested_at)
    return _replaced(training.status, run.model_copy(update={"retries": failed.retries + 1}))


def _replaced(status: TrainingStatus, successor: Run) -> TrainingStatus:
    run, why = status.run, status.failure
    history = status.history
    if run is not None:
        entry = HistoryEntry(
            id=run.id,
            token=run.token,
            requested_at=run.requested_at,
            attempt=run.attempt,
            ownership=run.ownership,
            started_at=status.started_at,
            finished_at=status.finished_at,
            outcome=_outcome(status),
            reason=why.reason if why else None,
            message=one_line(why.message, TEXT) if why else None,
            word_error_rate=status.metrics.word_error_rate if status.metrics else None,
            timeline=status.timeline if is_whole(status.timeline) else (),
        )
        history = _bounded((entry, *history))
    return TrainingStatus(
        observed_generation=status.observed_generation,
        model=status.model,
        run=successor,
        log=None if status.log is None else status.log.model_copy(update={"state": None}),
        history=history,
        conditions=status.conditions,
    )


def _bounded(history: tuple[HistoryEntry, ...]) -> tuple[HistoryEntry, ...]:
    """Keep the newest, and of the runs for one request rather the last than the ones before it.

    Retries would else push out what was asked for earlier, and setting that again start a run.
    """
    kept = list(history)
    while len(kept) > MAX_HISTORY:
        requests = [(entry.token, entry.requested_at) for entry in kept]
        repeated = [i for i, request in enumerate(requests) if request in requests[:i]]
        del kept[repeated[-1] if repeated else -1]
    return tuple(kept)


def _outcome(status: TrainingStatus) -> Outcome:
    if status.failure is None:
        return Outcome.SUCCEEDED
    seen = status.model.training_status if status.model else None
    replaced = seen in {TrainingState.NOT_READY, TrainingState.READY}
    unread = replaced and status.failure.reason == FailureReason.UNKNOWN
    return Outcome.UNKNOWN if unread else Outcome.FAILED
