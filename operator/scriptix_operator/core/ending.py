"""What follows a look at a followed run: its log, its end, or the next look."""

from dataclasses import replace
from datetime import timedelta

from scriptix_operator.api.reasons import FailureReason, LogState
from scriptix_operator.api.spec import CollectLog
from scriptix_operator.api.status import Failure, LogStatus
from scriptix_operator.core.derive import Note, has_ended, is_finished
from scriptix_operator.core.failures import failure
from scriptix_operator.core.follow import training_note
from scriptix_operator.core.observation import (
    Decision,
    FetchLog,
    LogStored,
    LogUnavailable,
    PublishFailed,
    Rest,
)
from scriptix_operator.core.requests import next_run
from scriptix_operator.core.situation import RECHECK, Situation

__all__ = ["conclude", "fail", "log_stored", "log_unavailable", "publish_failed"]

FINAL_LOG_STATES = frozenset({LogState.COMPLETE, LogState.UNAVAILABLE, LogState.NAME_TAKEN})

FIRST_RETRY = 5.0
"""Seconds before a result that could not be published is tried again; doubles up to RECHECK."""
UNTOLD = 4
"""Tries to publish before a failure is told that is no refusal: a hiccup of the cluster is over by
then, after 75 s of waits."""


def conclude(step: Situation, note: Note | None = None) -> Decision:
    """Fetch the log where it is due; else rest: for good after the end, or until the next look.

    A run that has just succeeded is published.
    """
    finished = is_finished(step.status)
    due_in = None if finished else step.poll
    log_due_in = _log_due_in(step) if _is_log_due(step) else None
    if log_due_in == 0:
        action: FetchLog | Rest = FetchLog(due_in)
    elif finished:
        action = Rest(log_due_in)
    else:
        return step.rest(step.poll, note)
    return step.answer(action, note, publish=finished and step.status.failure is None)


def fail(step: Situation, why: Failure) -> Decision:
    """End the requested run without a remote one."""
    run = step.status.run or next_run(step.training)
    ended = step.having(
        run=run, failure=why, queue=None, finished_at=step.now.replace(microsecond=0)
    )
    return conclude(ended)


def publish_failed(step: Situation, failed: PublishFailed) -> Decision:
    """A run has succeeded and its result could not be published: told, and tried again.

    Whoever waits for success finds the result; so it is not told before. What the API said of the
    run is kept all the same: the model may be changed there before the result is published.
    """
    tries = step.memory.failed_publishes + 1
    step = step.remembering(failed_publishes=tries)
    wait = min(FIRST_RETRY * 2 ** min(tries - 1, 16), RECHECK)
    if not failed.refused and tries <= UNTOLD:
        # As it was recorded: an edit of the gate must not count as observed and not be judged
        # again, and the ledger's entry of a start stays open until its outcome is recorded.
        return Decision(step.status, Rest(wait), step.memory)
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
        CollectLog.ON_FAILURE: is_finished(status) and status.failure is not None,
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
        }
    )
    curve = stored.learning_curve or step.status.learning_curve
    step = step.having(log=log, learning_curve=curve)
    step = step.remembering(log_wanted=False, failed_logs=0, log_not_before=None)
    return step.rest(stored.due_in, None if ended else training_note(step.status))


def log_unavailable(step: Situation, failed: LogUnavailable) -> Decision:
    """The log cannot be had now: try later, or say that it never will be."""
    if failed.wait is None:
        log = step.status.log or LogStatus()
        step = step.having(log=log.model_copy(update={"state": failed.state.value}))
    not_before = None if failed.wait is None else step.now + timedelta(seconds=failed.wait)
    step = step.remembering(
        log_wanted=failed.wait is not None,
        failed_logs=step.memory.failed_logs + 1,
        log_not_before=not_before,
    )
    waits = [seconds for seconds in (failed.wait, failed.due_in) if seconds is not None]
    return step.rest(min(waits) if waits else None)
