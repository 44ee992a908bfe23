"""A poll without a usable reply: refused, lost, or not made at all."""

from collections.abc import Callable
from datetime import datetime, timedelta

from scriptix_operator.api.reasons import FailureReason, Reason
from scriptix_operator.api.status import Failure, TrainingStatus
from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.model.remote import RATE_LIMIT_WAIT, CallFailure, FailureKind
from scriptix_operator.core.reconcile.context import RECHECK, ReconcileContext, soonest
from scriptix_operator.core.reconcile.vocabulary import Decision, PollFailed
from scriptix_operator.core.scheduling.circuit_breaker import (
    CONFIRM,
    FIRST_TRIAL,
    MAX_NAMED,
    rejects_key,
)
from scriptix_operator.core.status.conditions import ConditionReason, is_followed, last_key
from scriptix_operator.core.status.failures import blocked_call, failure
from scriptix_operator.core.status.texts import poll_texts

__all__ = ["poll_failed", "rate_limited", "shows_accepted_key"]

LEAST_WAIT = 1.0
"""Shortest delay of a poll, in seconds, after a refusal because of the rate limit, whatever the
reply says, and after a poll without an answer."""

LONGEST_INTERVALS, MAX_POLL_BACKOFF = 4.0, 300.0
"""Longest delay of a poll while the API does not answer: so many requested poll intervals, but at
most so many seconds, unless spec asks for longer."""

BASELINE_RETRY = 2.0
"""Longest delay, in seconds, after the first unanswered poll before a start: a free start is kept
for the next resource for a few seconds only."""

BEHIND = 1.0
"""Seconds added to the time that a reply names: another model makes the trial call first."""

GATEWAY_PATIENCE = 300.0
"""Seconds of a gateway's refusals after which a human is asked to check the way to the API."""


def shows_accepted_key(status: TrainingStatus, fingerprint: str) -> bool:
    """Whether a status shows that the API has accepted the key with this fingerprint."""
    why = status.failure
    is_rejected = why is not None and why.reason == FailureReason.UNAUTHORIZED
    return last_key(status) == fingerprint and status.model is not None and not is_rejected


def poll_failed(ctx: ReconcileContext, poll: PollFailed) -> Decision:
    """Report the failed poll, and requeue until the next one."""
    call = poll.failure
    blocked = blocked_call(call, poll.key_source)
    if blocked is not None:
        return _refused(ctx.with_polls(gateway_refused_since=None), poll, blocked)
    ctx = ctx.with_polls(refused_since=None)
    if call.is_from_gateway:
        return _refused_by_gateway(ctx, poll)
    ctx = ctx.with_facts(failure=None).with_polls(gateway_refused_since=None)
    if call.kind is FailureKind.RATE_LIMITED:
        return rate_limited(ctx, call, poll.again_in, poll_texts.poll_rate_limited)
    return _unanswered(ctx, poll)


def _refused(ctx: ReconcileContext, poll: PollFailed, blocked: Failure) -> Decision:
    """Block the resource once the API's refusal is certain.

    A 404 may be a model that is being restored, a 403 a key whose permissions are being changed:
    neither says anything about a run.
    """
    refused_since = ctx.state.polls.refused_since or ctx.now
    left = CONFIRM - (ctx.now - refused_since).total_seconds()
    if left <= 0 or not _is_doubtful(ctx, poll, blocked):
        ctx = ctx.with_facts(failure=blocked, queue=None)
        return ctx.requeue(min(ctx.requested_interval, RECHECK))
    ctx = ctx.with_polls(refused_since=refused_since)
    facts, ctx = _old_facts(ctx.with_facts(failure=None))
    text = poll_texts.poll_refused_once(poll.failure.message, facts)
    return ctx.requeue(left, ConditionReason(Reason.API_UNAVAILABLE, text))


def _is_doubtful(ctx: ReconcileContext, poll: PollFailed, blocked: Failure) -> bool:
    """Whether a refusal contradicts what is known of the key or of the model.

    A replica that is behind, or restarts, refuses one poll and not the next.
    """
    shown = ctx.status.failure
    if poll.since is not None or (shown is not None and shown.reason == blocked.reason):
        return False
    if rejects_key(poll.failure):
        return poll.has_key_worked
    return ctx.status.model is not None or is_followed(ctx.status)


def _refused_by_gateway(ctx: ReconcileContext, poll: PollFailed) -> Decision:
    """Poll again after a gateway's refusal; block the resource if the refusals last."""
    since = ctx.state.polls.gateway_refused_since or ctx.now
    ctx = ctx.with_polls(gateway_refused_since=since)
    shown = ctx.status.failure
    is_shown = shown is not None and shown.reason == FailureReason.GATEWAY_REFUSED
    left = GATEWAY_PATIENCE - (ctx.now - since).total_seconds()
    if not is_shown and left > 0:
        return _unanswered(ctx.with_facts(failure=None), poll, left)
    text = poll_texts.polls_refused_by_gateway(poll.failure.message)
    why = failure(FailureReason.GATEWAY_REFUSED, text)
    _, ctx = _old_facts(ctx.with_facts(failure=why, queue=None))
    return ctx.requeue(min(ctx.requested_interval, RECHECK))


def _unanswered(ctx: ReconcileContext, poll: PollFailed, at_most: float | None = None) -> Decision:
    """Poll again after a poll without an answer, with growing delays up to `at_most` seconds."""
    call = poll.failure
    facts, ctx = _old_facts(ctx)
    if poll.since is not None:
        # All resources wait for the trial call; this resource made no call that could fail.
        text = poll_texts.unreachable_since(poll.since, call.message, facts)
        text += _named_text(poll.named_until)
        return ctx.requeue(
            soonest(ctx.next_poll_in, at_most), ConditionReason(Reason.API_UNAVAILABLE, text)
        )
    failed = ctx.state.polls.failed + 1
    wait = _retry_in(ctx.requested_interval, failed, is_baseline=poll.is_baseline)
    text, named = poll_texts.poll_unanswered(call.message, facts), call.retry_after or 0.0
    if named >= FIRST_TRIAL:
        # At the named time, but with growing delays where that is too early repeatedly.
        wait = min(max(named, backoff(FIRST_TRIAL, failed - 1, RECHECK)), MAX_NAMED) + BEHIND
    wait = wait if at_most is None else min(wait, at_most)
    if named >= FIRST_TRIAL:
        text += _named_text(ctx.now + timedelta(seconds=wait))
    condition_reason = ConditionReason(Reason.API_UNAVAILABLE, text)
    return ctx.with_polls(failed=failed).requeue(wait, condition_reason)


def _retry_in(interval: float, failed: int, *, is_baseline: bool) -> float:
    """Seconds until the next poll, after `failed` polls in a row without an answer.

    The next poll is due early at first: most failures are of one call, and the outage of the whole
    API is the circuit breaker's affair. The delay doubles with each second failure.
    """
    # A resource with a long poll interval would show a short failure for hours otherwise.
    first = max(min(interval, RECHECK) / 2, LEAST_WAIT)
    if is_baseline:
        first = min(first, BASELINE_RETRY)
    most = max(interval, min(LONGEST_INTERVALS * interval, MAX_POLL_BACKOFF))
    return backoff(first, (failed - 1) // 2, most)


def _named_text(until: datetime | None) -> str:
    return "" if until is None else f" {poll_texts.named_wait(until)}"


def _old_facts(ctx: ReconcileContext) -> tuple[str, ReconcileContext]:
    """The age of a followed run's facts, as text for the message and as lastObservedAt."""
    if not is_followed(ctx.status):
        return "", ctx
    seen_at = ctx.state.polls.answered_at or ctx.status.last_observed_at
    if seen_at is None:
        return poll_texts.last_known_facts(), ctx
    shown = ctx.with_facts(last_observed_at=seen_at.replace(microsecond=0))
    return poll_texts.facts_as_of(seen_at), shown


def rate_limited(
    ctx: ReconcileContext,
    call: CallFailure,
    again_in: float | None,
    text: Callable[[datetime], str],
) -> Decision:
    """Requeue after the API refused a call because of its rate limit.

    Args:
        ctx: The resource.
        call: The refusal.
        again_in: Seconds until the key may be used again; None: as the refusal says.
        text: The message, by the time of the next call.
    """
    asked = RATE_LIMIT_WAIT if call.retry_after is None else call.retry_after
    wait = max(asked if again_in is None else again_in, LEAST_WAIT)
    until = ctx.now + timedelta(seconds=wait)
    return ctx.requeue(wait, ConditionReason(Reason.RATE_LIMITED, text(until)))
