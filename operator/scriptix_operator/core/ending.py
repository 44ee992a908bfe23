"""What follows a look at a followed run: its log, its end, or the next look."""

from datetime import timedelta

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.api.status import Failure
from scriptix_operator.core.backoff import backoff
from scriptix_operator.core.derive import (
    Note,
    awaits_retry,
    has_ended,
    is_end_pending,
    is_finished,
    is_over,
)
from scriptix_operator.core.failures import failure
from scriptix_operator.core.logcollection import (
    is_first_fetch_due,
    log_due_in,
    with_end_seen,
    with_log_stored,
    with_log_unavailable,
)
from scriptix_operator.core.observation import (
    Decision,
    FetchLog,
    LogStored,
    LogUnavailable,
    PublishFailed,
    Rest,
)
from scriptix_operator.core.pending_end import await_results
from scriptix_operator.core.requests import is_run_asked_for, next_run
from scriptix_operator.core.running import training_note, without_poll_facts
from scriptix_operator.core.situation import RECHECK, Situation, soonest
from scriptix_operator.core.takeback import is_taken_back, take_back

__all__ = [
    "conclude",
    "fail",
    "is_retry_held",
    "log_stored",
    "log_unavailable",
    "publish_failed",
]

LOG_PATIENCE = timedelta(hours=1)
"""A retry waits so long for the log of the run that failed: the window of the log allowance. The
API may have only the log of the newest run."""
FIRST_RETRY = 5.0
"""Seconds before a result that could not be published is tried again; doubles up to RECHECK."""
UNTOLD = 4
"""Tries to publish before a failure is told that is no refusal: a hiccup of the cluster is over by
then, after 75 s of waits."""


def conclude(step: Situation, note: Note | None = None) -> Decision:
    """Fetch the log where it is due; else rest: for good after the end, or until the next look.

    A run that has just succeeded is published. A pending end is polled for its results only.
    """
    if is_end_pending(step.status):
        return await_results(step)
    if awaits_retry(step.status) and (
        is_run_asked_for(step.training) or is_taken_back(step.training)
    ):
        # Changed while it ran: there is no retry of what is not asked for any more.
        step = step.having_status(take_back(step.status))
    step = with_end_seen(step)
    due_in, fetch_in = _due_in(step), log_due_in(step)
    if fetch_in == 0:
        action: FetchLog | Rest = FetchLog(due_in)
    elif is_over(step.status):
        action = Rest(soonest(due_in, fetch_in))
    else:
        return step.rest(step.next_look, note)
    published = is_finished(step.status) and step.status.failure is None
    return step.answer(action, note, publish=published)


def is_retry_held(step: Situation) -> bool:
    """Whether a retry whose time has come waits for the log of the run that failed.

    For the first fetch after the end only: the later ones are left out. Tried at least once,
    however late that is: the resource may have been suspended all the while.
    """
    retry_at = step.run.retry_at
    if retry_at is None or not is_first_fetch_due(step):
        return False
    return step.memory.failed_logs == 0 or step.now < retry_at + LOG_PATIENCE


def _due_in(step: Situation) -> float | None:
    """Seconds until there is something to do beside the log; None: until the resource changes."""
    if not is_over(step.status):
        return step.next_look
    if is_run_asked_for(step.training):
        return 0.0  # during the run, so nothing else will wake it
    retry_at = step.run.retry_at if step.status.run else None
    if retry_at is None:
        return None
    if step.now >= retry_at and is_retry_held(step):
        retry_at += LOG_PATIENCE
    return max((retry_at - step.now).total_seconds(), 0.0)


def fail(step: Situation, why: Failure) -> Decision:
    """End the requested run without a remote one."""
    run = step.status.run or next_run(step.training)
    ended = step.having_status(without_poll_facts(step.status)).having(
        run=run,
        failure=why,
        queue=None,
        finished_at=step.now.replace(microsecond=0),
    )
    return conclude(ended)


def publish_failed(step: Situation, failed: PublishFailed) -> Decision:
    """A run has succeeded and its result could not be published: told, and tried again.

    Whoever waits for success finds the result; so it is not told before. What the API said of the
    run is kept all the same: the model may be changed there before the result is published.
    """
    tries = step.memory.failed_publishes + 1
    step = step.remembering(failed_publishes=tries)
    wait = backoff(FIRST_RETRY, tries - 1, RECHECK)
    if not (failed.refused or step.training.is_being_deleted) and tries <= UNTOLD:
        # As it was recorded: an edit of the gate must not count as observed and not be judged
        # again, and the ledger's entry of a start stays open until its outcome is recorded.
        status = step.status
        if is_end_pending(status):
            # The results that have ended the wait are kept: no further poll may show them.
            status = replace(status, metrics=failed.success.status.metrics)
        return Decision(status, Rest(wait), step.memory)
    message = f"The training has succeeded, but its result is not published: {failed.message}"
    why = failure(FailureReason.RESULT_NOT_PUBLISHED, message)
    # The conditions that were decided on tell of a success that was never recorded.
    status = replace(failed.success.status, failure=why, conditions=step.status.conditions)
    step = with_end_seen(step.having_status(status))
    fetch_in = log_due_in(step)
    decision = step.answer(FetchLog(wait) if fetch_in == 0 else Rest(soonest(wait, fetch_in)))
    return replace(decision, settled=failed.success.settled)


def log_stored(step: Situation, stored: LogStored) -> Decision:
    """The log is stored: rest until it is fetched again, or until the next poll."""
    step = with_log_stored(step, stored)
    note = None if has_ended(step.status) else training_note(step.status)
    return _after_log(step, stored.due_in, note)


def log_unavailable(step: Situation, failed: LogUnavailable) -> Decision:
    """The log could not be had now: try later, or say that it cannot be had."""
    return _after_log(with_log_unavailable(step, failed), failed.due_in)


def _after_log(step: Situation, due_in: float | None, note: Note | None = None) -> Decision:
    if is_over(step.status):
        due_in = _due_in(step)
    return step.rest(soonest(due_in, log_due_in(step)), note)
