"""When the log of a run is fetched, and what status says of it (docs/logs.md has the table).

During the run, the log is fetched when status changes. After the end, the log is fetched at once,
and twice more, since an API may write the last entries some seconds later. The times are facts in
status: a restart neither repeats nor skips a fetch.
"""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from http import HTTPStatus

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import GIVEN_UP, FailureReason, LogState
from scriptix_operator.api.spec import CollectLog
from scriptix_operator.api.status import MAX_RECENT_LOG_CALLS, TEXT, LogStatus, TrainingStatus
from scriptix_operator.core.follow.forecasting import with_curve
from scriptix_operator.core.model.text import one_line
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.reconcile.call_results import (
    LogExtent,
    LogStored,
    LogUnavailable,
    WriteFailure,
)
from scriptix_operator.core.reconcile.context import ReconcileContext
from scriptix_operator.core.status.conditions import has_ended, is_over
from scriptix_operator.core.status.texts import log_texts

__all__ = [
    "NO_LOG",
    "is_first_fetch_due",
    "is_last_fetch",
    "log_due_in",
    "superseded",
    "with_log_stored",
    "with_log_tried_again",
    "with_log_unavailable",
    "with_log_wanted_after_end",
    "without_log_failures",
]

FETCHED = frozenset({LogState.COMPLETE, LogState.PARTIAL})

SECOND_FETCH = 1 / 12
"""Part of Durations.log after which the log is fetched a second time after the end: 10 s of 2m."""
NO_LOG = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})
"""Statuses by which the API says that there is no log."""
MAX_REFUSALS, MAX_GATEWAY_REFUSALS = 2, 6
"""After so many replies without a log the attempts end: two of the API, since one may come from a
replica that does not know the model yet. Replies of a gateway and unusable 2xx replies say nothing
about the log; six of them, which take about 8 minutes, end the attempts too, because each consumes
one of the key's few log calls."""
MAX_WRITE_REFUSALS, MAX_WRITE_FAILURES = 3, 8
"""After so many refusals of the cluster, or other failed writes, the attempts end: after 45 s and
about half an hour. Each attempt consumes a log call."""
MAX_TOTAL = 2**53
"""A larger total_entries is ignored."""


def with_log_wanted_after_end(ctx: ReconcileContext) -> ReconcileContext:
    """With the time of the end, from which the fetches after the end count; recorded once.

    A log that could not be fetched during the run may exist at its end. A log that is not wanted
    after the end is not fetched again.
    """
    log = ctx.status.log or LogStatus()
    if not has_ended(ctx.status) or log.state in FETCHED:
        return ctx
    if is_over(ctx.status) and not _is_asked_for(ctx):
        return _without_fetches(ctx, log)
    # A log that was given up without the time of an end is from an older version of the operator.
    had_ended = ctx.recorded is not None and has_ended(ctx.recorded)
    is_known = log.end_seen_at is not None or (had_ended and log.state in GIVEN_UP)
    return ctx if is_known or not _is_wanted(ctx) else _collecting(ctx, log)


def _collecting(ctx: ReconcileContext, log: LogStatus) -> ReconcileContext:
    """With a log that is to be fetched, at once where the run has ended."""
    now = ctx.now.replace(microsecond=0) if has_ended(ctx.status) else None
    log = replace(
        log,
        state=LogState.COLLECTING.value,
        message=None,
        end_seen_at=log.end_seen_at or now,
        next_fetch_at=now,
    )
    return without_log_failures(ctx).with_facts(log=log)


def _without_fetches(ctx: ReconcileContext, log: LogStatus) -> ReconcileContext:
    if log.state in GIVEN_UP or (log.state is None and log.next_fetch_at is None):
        return ctx
    is_stored = log.last_fetched_at is not None and log.entries > 0
    state, message = None, None
    if is_stored:
        state, message = LogState.PARTIAL.value, _fetches_ended_text(ctx)
    return ctx.with_facts(log=replace(log, state=state, message=message, next_fetch_at=None))


def with_log_tried_again(ctx: ReconcileContext) -> ReconcileContext:
    """With a given-up log wanted again, as after an edit of the resource."""
    log = ctx.status.log
    if log is None or log.state not in GIVEN_UP or not _is_wanted(ctx):
        return ctx
    return _collecting(ctx, log)


def without_log_failures(ctx: ReconcileContext, *, is_wanted: bool = True) -> ReconcileContext:
    """With the counts of failed fetches reset."""
    return ctx.with_log_fetches(
        is_wanted=is_wanted,
        failed=0,
        refusals=0,
        gateway_refusals=0,
        write_refusals=0,
        write_failures=0,
        not_before=None,
    )


def _is_wanted(ctx: ReconcileContext) -> bool:
    return _is_asked_for(ctx) and not (ctx.spec.suspend or _is_held(ctx))


def _is_held(ctx: ReconcileContext) -> bool:
    """Whether it cannot be read how to store the log, or what of the log is stored."""
    return ctx.training.cannot_read("spec.log", "status.log")


def _is_asked_for(ctx: ReconcileContext) -> bool:
    status = ctx.status
    wanted = {
        CollectLog.NEVER: False,
        CollectLog.ON_FAILURE: is_over(status) and status.failure is not None,
        CollectLog.ALWAYS: True,
    }[ctx.spec.log.collect]
    if not wanted or status.run is None or status.run.ownership is None:
        return False
    # After a time-out no further calls are made, as the message says.
    return not _is_timed_out(status)


def _is_timed_out(status: TrainingStatus) -> bool:
    return status.failure is not None and status.failure.reason == FailureReason.TIMED_OUT


def _fetches_ended_text(ctx: ReconcileContext) -> str:
    if _is_timed_out(ctx.status):
        return log_texts.fetches_ended_by_time_out()
    return log_texts.fetches_ended_by_spec(ctx.spec.log.collect)


def log_due_in(ctx: ReconcileContext) -> float | None:
    """Seconds until the log is to be fetched; None: not until something changes."""
    log = ctx.status.log or LogStatus()
    if not _is_wanted(ctx) or log.state in GIVEN_UP:
        return None
    if not (log.state not in FETCHED if has_ended(ctx.status) else ctx.state.log_fetches.is_wanted):
        return None
    times = [ctx.now, ctx.state.log_fetches.not_before, log.next_fetch_at]
    return (max(at for at in times if at is not None) - ctx.now).total_seconds()


def is_first_fetch_due(ctx: ReconcileContext) -> bool:
    """Whether the first fetch after the end of the run is still to be made."""
    log = ctx.status.log or LogStatus()
    if log_due_in(ctx) is None:
        return False
    fetched_at, end_seen_at = log.last_fetched_at, log.end_seen_at
    return fetched_at is None or end_seen_at is None or fetched_at < end_seen_at


def is_last_fetch(status: TrainingStatus, asked_at: datetime, wait: float) -> bool:
    """Whether no fetch of the run's log follows one that is sent at `asked_at`.

    Args:
        status: With the run.
        asked_at: When the log call is sent.
        wait: Durations.log, in seconds.
    """
    log = status.log
    if log is None or log.end_seen_at is None:
        return False
    next_at = _next_fetch_at(log.end_seen_at, asked_at, wait)
    retry_at = status.run.retry_at if status.run else None
    return next_at is None or (retry_at is not None and retry_at <= next_at)


def superseded(
    training: Training, others: Iterable[Training], due_in: float | None
) -> LogUnavailable | None:
    """The end of the attempts, once the API may return another run's entries; None: it may not.

    No call can tell the entries of this run from those of a later run of another resource: the
    clocks of the operator and of the log differ.
    """
    log = training.status.log
    if log is None or log.end_seen_at is None:
        return None
    began = [run.claimed_at for other in others if (run := other.status.run) and run.claimed_at]
    if all(at < log.end_seen_at for at in began):
        return None
    if log.last_fetched_at is None:
        state, message = LogState.UNAVAILABLE, log_texts.log_superseded()
    else:
        state, message = LogState.PARTIAL, log_texts.log_superseded_before_last_fetch()
    return LogUnavailable(None, state, due_in, tried=False, message=message)


def with_log_stored(ctx: ReconcileContext, stored: LogStored) -> ReconcileContext:
    """With the stored log: complete after the last fetch, else with the time of the next one."""
    now, total = ctx.now.replace(microsecond=0), stored.extent.reply.total
    # A slow reply shows the log as of the time when the call was sent.
    asked_at = (stored.asked_at or ctx.now).replace(microsecond=0)
    before = ctx.status.log or LogStatus()
    state, message, next_at = LogState.COLLECTING, None, None
    end_seen_at = before.end_seen_at or now if has_ended(ctx.status) else None
    if end_seen_at is not None:
        next_at = _next_fetch_at(end_seen_at, asked_at, ctx.durations.log)
        if next_at is None:
            state, message = _state_of(stored.extent)
    log = replace(
        stored.log,
        state=state.value,
        message=message,
        total_entries=total if total is not None and 0 <= total <= MAX_TOTAL else None,
        last_fetched_at=asked_at,
        end_seen_at=end_seen_at,
        next_fetch_at=next_at,
        recent_calls=_recent_calls(ctx),
    )
    curve = stored.learning_curve or ctx.status.learning_curve
    ctx = without_log_failures(ctx, is_wanted=False).with_facts(log=log)
    if has_ended(ctx.status):
        return ctx.with_facts(learning_curve=curve)
    return ctx.with_status(with_curve(ctx.spec, ctx.status, curve, ctx.now))


def _next_fetch_at(end_seen_at: datetime, asked_at: datetime, wait: float) -> datetime | None:
    """When the next fetch follows one that was sent at `asked_at`; whole seconds."""
    parts = (wait * SECOND_FETCH, wait)
    times = (end_seen_at + timedelta(seconds=math.ceil(part)) for part in parts)
    return next((at for at in times if at > asked_at), None)


def _state_of(extent: LogExtent) -> tuple[LogState, str | None]:
    """The state of the log after the last fetch, and why."""
    given, total, known = extent.reply.entries, extent.reply.total, extent.known
    if total is not None and max(given, known) < total:
        return LogState.PARTIAL, log_texts.entries_missing(given, total)
    if not known:
        text = log_texts.log_of_other_runs(given) if given else log_texts.log_empty()
        return LogState.UNAVAILABLE, f"{text} {log_texts.retried_after_edit()}"
    if extent.of_run > known:
        return LogState.PARTIAL, log_texts.entries_too_late(extent.of_run - known)
    if extent.skipped:
        return LogState.COMPLETE, log_texts.entries_of_earlier_runs(extent.skipped)
    return LogState.COMPLETE, None


def with_log_unavailable(ctx: ReconcileContext, failed: LogUnavailable) -> ReconcileContext:
    """With the time of the next attempt to store the log, or with the log given up."""
    ctx = _with_failure(ctx, failed)
    log, given_up = ctx.status.log or LogStatus(), _given_up(ctx, failed)
    if failed.was_called:
        log = replace(log, recent_calls=_recent_calls(ctx))
    if given_up is not None:
        retried = log_texts.retried_after_edit()
        message = one_line(failed.message or "", TEXT - len(retried) - 2)
        if given_up in GIVEN_UP:
            message = f"{message.removesuffix('.')}. {retried}" if message else retried
        log = replace(log, state=given_up.value, message=message, next_fetch_at=None)
    elif failed.message is not None:
        message = one_line(failed.message, TEXT)
        log = replace(log, state=LogState.COLLECTING.value, message=message)
    if given_up is None and failed.wait is not None and failed.tried and has_ended(ctx.status):
        # A restart is no reason to try sooner.
        now = ctx.now.replace(microsecond=0)
        log = replace(log, next_fetch_at=now + timedelta(seconds=math.ceil(failed.wait)))
    if log != (ctx.status.log or LogStatus()):
        ctx = ctx.with_facts(log=log)
    wait = None if given_up else failed.wait
    return ctx.with_log_fetches(
        is_wanted=wait is not None,
        failed=ctx.state.log_fetches.failed + failed.tried,
        not_before=None if wait is None else ctx.now + timedelta(seconds=wait),
    )


def _with_failure(ctx: ReconcileContext, failed: LogUnavailable) -> ReconcileContext:
    state, refusal = ctx.state.log_fetches, failed.refusal
    if failed.write_failure is not None:
        is_refused = failed.write_failure is WriteFailure.REFUSED
        return ctx.with_log_fetches(
            write_refusals=state.write_refusals + is_refused,
            write_failures=state.write_failures + 1,
        )
    if refusal is None:
        return ctx
    if refusal.is_from_gateway or refusal.status not in NO_LOG:
        return ctx.with_log_fetches(gateway_refusals=state.gateway_refusals + 1)
    return ctx.with_log_fetches(refusals=state.refusals + 1)


def _given_up(ctx: ReconcileContext, failed: LogUnavailable) -> LogState | None:
    state = ctx.state.log_fetches
    if failed.wait is None:
        return failed.state
    refusals, gateway_refusals = state.refusals, state.gateway_refusals
    if refusals >= MAX_REFUSALS or gateway_refusals >= MAX_GATEWAY_REFUSALS:
        return LogState.UNAVAILABLE
    refusals, failures = state.write_refusals, state.write_failures
    if refusals >= MAX_WRITE_REFUSALS or failures >= MAX_WRITE_FAILURES:
        return LogState.REFUSED
    return None


def _recent_calls(ctx: ReconcileContext) -> tuple[datetime, ...]:
    known = ctx.status.log.recent_calls if ctx.status.log else ()
    return (*known, ctx.now.replace(microsecond=0))[-MAX_RECENT_LOG_CALLS:]
