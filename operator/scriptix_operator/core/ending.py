"""What follows a look at a followed run: its log, its end, or the next look."""

from dataclasses import replace
from datetime import datetime, timedelta

from scriptix_operator.api.reasons import FailureReason, LogState
from scriptix_operator.api.spec import CollectLog
from scriptix_operator.api.status import MAX_RECENT_LOG_CALLS, Failure, LogStatus
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
from scriptix_operator.core.observation import (
    Decision,
    FetchLog,
    LogStored,
    LogUnavailable,
    Memory,
    PublishFailed,
    Rest,
)
from scriptix_operator.core.pending_end import await_results
from scriptix_operator.core.remote import CallFailure
from scriptix_operator.core.requests import is_run_asked_for, next_run
from scriptix_operator.core.running import UNWATCHED, training_note
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

FINAL_LOG_STATES = frozenset({LogState.COMPLETE, LogState.UNAVAILABLE, LogState.NAME_TAKEN})

LOG_PATIENCE = timedelta(hours=1)
"""A retry waits so long for the log of the run that failed: the window of the log allowance. The
API may have only the log of the newest run."""
MAX_LOG_REFUSALS, MAX_LOG_GATEWAY_REFUSALS = 2, 6
"""So many replies that there is no log are believed: two of the API, since one may be of a replica
that does not know the model yet. Those of a gateway say nothing of the log; six of them, which take
about 8 minutes, end the attempts all the same: each is one of the key's few log calls."""
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
    due_in = _due_in(step)
    log_due_in = _log_due_in(step) if _is_log_due(step) else None
    if log_due_in == 0:
        action: FetchLog | Rest = FetchLog(due_in)
    elif is_over(step.status):
        action = Rest(soonest(due_in, log_due_in))
    else:
        return step.rest(step.next_look, note)
    published = is_finished(step.status) and step.status.failure is None
    return step.answer(action, note, publish=published)


def is_retry_held(step: Situation) -> bool:
    """Whether a retry whose time has come waits for the log of the run that failed.

    Tried at least once, however late that is: the resource may have been suspended all the while.
    """
    retry_at = step.run.retry_at
    if retry_at is None or not _is_log_due(step):
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
    ended = step.having(
        run=run,
        failure=why,
        queue=None,
        finished_at=step.now.replace(microsecond=0),
        **UNWATCHED,
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
            status = status.model_copy(update={"metrics": failed.success.status.metrics})
        return Decision(status, Rest(wait), step.memory)
    message = f"The training has succeeded, but its result is not published: {failed.message}"
    why = failure(FailureReason.RESULT_NOT_PUBLISHED, message)
    # The conditions that were decided on tell of a success that was never recorded.
    kept = {"failure": why, "conditions": step.status.conditions}
    step = step.having_status(failed.success.status.model_copy(update=kept))
    log_due_in = _log_due_in(step) if _is_log_due(step) else wait
    now = log_due_in == 0
    decision = step.answer(FetchLog(wait) if now else Rest(min(wait, log_due_in)))
    return replace(decision, settled=failed.success.settled)


def _is_log_due(step: Situation) -> bool:
    status, collect = step.status, step.spec.log.collect
    wanted = {
        CollectLog.NEVER: False,
        CollectLog.ON_FAILURE: is_over(status) and status.failure is not None,
        CollectLog.ALWAYS: True,
    }[collect]
    if not wanted or step.spec.suspend or status.run is None or status.run.ownership is None:
        return False
    if status.failure is not None and status.failure.reason == FailureReason.TIMED_OUT:
        return False  # no further calls, as the message says
    state = status.log.state if status.log else None
    return step.memory.log_wanted or (has_ended(status) and state not in FINAL_LOG_STATES)


def _log_due_in(step: Situation) -> float:
    not_before = step.memory.log_not_before or step.now
    return max((not_before - step.now).total_seconds(), 0.0)


def log_stored(step: Situation, stored: LogStored) -> Decision:
    """The log is stored: complete once the run has ended, else to be fetched again on news."""
    ended = has_ended(step.status)
    log = stored.log.model_copy(
        update={
            "state": (LogState.COMPLETE if ended else LogState.COLLECTING).value,
            "last_fetched_at": step.now.replace(microsecond=0),
            "recent_calls": _recent_calls(step),
        }
    )
    curve = stored.learning_curve or step.status.learning_curve
    step = step.having(log=log, learning_curve=curve)
    step = step.remembering(
        log_wanted=False,
        failed_logs=0,
        log_refusals=0,
        log_gateway_refusals=0,
        log_not_before=None,
    )
    due_in = _due_in(step) if is_over(step.status) else stored.due_in
    return step.rest(due_in, None if ended else training_note(step.status))


def log_unavailable(step: Situation, failed: LogUnavailable) -> Decision:
    """The log cannot be had now: try later, or say that it never will be."""
    step = _with_log_refusal(step, failed.refusal)
    if _is_log_missing(step.memory):
        failed = replace(failed, wait=None, state=LogState.UNAVAILABLE)
    log = step.status.log or LogStatus()
    if failed.was_called:
        log = log.model_copy(update={"recent_calls": _recent_calls(step)})
    if failed.wait is None:
        log = log.model_copy(update={"state": failed.state.value})
    if failed.was_called or failed.wait is None:
        step = step.having(log=log)
    not_before = None if failed.wait is None else step.now + timedelta(seconds=failed.wait)
    step = step.remembering(
        log_wanted=failed.wait is not None,
        failed_logs=step.memory.failed_logs + failed.tried,
        log_not_before=not_before,
    )
    due_in = _due_in(step) if is_over(step.status) else failed.due_in
    return step.rest(soonest(failed.wait, due_in))


def _recent_calls(step: Situation) -> tuple[datetime, ...]:
    known = step.status.log.recent_calls if step.status.log else ()
    return (*known, step.now.replace(microsecond=0))[-MAX_RECENT_LOG_CALLS:]


def _with_log_refusal(step: Situation, refusal: CallFailure | None) -> Situation:
    if refusal is None:
        return step
    memory = step.memory
    if refusal.is_from_gateway:
        return step.remembering(log_gateway_refusals=memory.log_gateway_refusals + 1)
    return step.remembering(log_refusals=memory.log_refusals + 1)


def _is_log_missing(memory: Memory) -> bool:
    is_told = memory.log_refusals >= MAX_LOG_REFUSALS
    return is_told or memory.log_gateway_refusals >= MAX_LOG_GATEWAY_REFUSALS
