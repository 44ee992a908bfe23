"""A look without an answer to go by: refused, lost, or not made at all."""

from datetime import datetime, timedelta

from scriptix_operator.api.reasons import FailureReason, Reason
from scriptix_operator.api.status import Failure, TrainingStatus
from scriptix_operator.core.backoff import backoff
from scriptix_operator.core.circuit import CONFIRM, FIRST_PROBE, MAX_NAMED, rejects_key
from scriptix_operator.core.derive import Note, is_followed, last_key
from scriptix_operator.core.failures import blocked_call, failure
from scriptix_operator.core.observation import Decision, LookFailed
from scriptix_operator.core.remote import RATE_LIMIT_WAIT, CallFailure, FailureKind
from scriptix_operator.core.situation import RECHECK, Situation, soonest

__all__ = ["look_failed", "rate_limited", "vouches_for"]

LEAST_WAIT = 1.0
"""Seconds after a refusal because of the rate limit, whatever the reply says."""

MAX_LOOK_BACKOFF = 300.0
"""Seconds between looks at most while the API does not answer, unless more are asked for."""

BEHIND = 1.0
"""Seconds after the time that a reply names: another model makes the trial call before that."""

GATEWAY_PATIENCE = 300.0
"""Seconds of a gateway's refusals after which a human is asked to check the way to the API."""


def vouches_for(status: TrainingStatus, fingerprint: str) -> bool:
    """Whether a status says that the API has accepted the key with this fingerprint."""
    why = status.failure
    is_rejected = why is not None and why.reason == FailureReason.UNAUTHORIZED
    return last_key(status) == fingerprint and status.model is not None and not is_rejected


def look_failed(step: Situation, look: LookFailed) -> Decision:
    """Say what is the matter, and when the next look is."""
    call = look.failure
    blocked = blocked_call(call, look.key_source)
    if blocked is not None:
        return _refused(step.remembering(gateway_since=None), look, blocked)
    step = step.remembering(doubted_at=None)
    if call.is_from_gateway:
        return _refused_by_gateway(step, look)
    step = step.having(failure=None).remembering(gateway_since=None)
    if call.kind is FailureKind.RATE_LIMITED:
        told = "The API refused a call because of its rate limit; next look"
        return rate_limited(step, call, look.again_in, told)
    return _unanswered(step, look)


def _refused(step: Situation, look: LookFailed, blocked: Failure) -> Decision:
    """Refused by the API: blocked, once it is certain.

    A 404 may be a model that is being restored, a 403 a key whose rights are being changed: neither
    says anything of a run.
    """
    doubted_at = step.memory.doubted_at or step.now
    left = CONFIRM - (step.now - doubted_at).total_seconds()
    if left <= 0 or not _is_doubtful(step, look, blocked):
        step = step.having(failure=blocked, queue=None)
        return step.rest(min(step.poll, RECHECK))
    step = step.remembering(doubted_at=doubted_at)
    facts, step = _old_facts(step.having(failure=None))
    text = (
        f"The API refused a poll ({look.failure.message}), against its earlier replies. The next "
        f"poll confirms it or not{facts}."
    )
    return step.rest(left, Note(Reason.API_UNAVAILABLE, text))


def _is_doubtful(step: Situation, look: LookFailed, blocked: Failure) -> bool:
    """Whether a refusal contradicts what was known: of the key, or of the model.

    A replica that is behind, or restarts, refuses one poll and not the next.
    """
    shown = step.status.failure
    if look.since is not None or (shown is not None and shown.reason == blocked.reason):
        return False
    if rejects_key(look.failure):
        return look.has_key_worked
    return step.status.model is not None or is_followed(step.status)


def _refused_by_gateway(step: Situation, look: LookFailed) -> Decision:
    """Refused in place of the API: trouble on the way, and a matter for a human if it lasts."""
    since = step.memory.gateway_since or step.now
    step = step.remembering(gateway_since=since)
    shown = step.status.failure
    is_shown = shown is not None and shown.reason == FailureReason.GATEWAY_REFUSED
    left = GATEWAY_PATIENCE - (step.now - since).total_seconds()
    if not is_shown and left > 0:
        return _unanswered(step.having(failure=None), look, left)
    text = f"A proxy or gateway refuses the polls ({look.failure.message})."
    why = failure(FailureReason.GATEWAY_REFUSED, text)
    _, step = _old_facts(step.having(failure=why, queue=None))
    return step.rest(min(step.poll, RECHECK))


def _unanswered(step: Situation, look: LookFailed, at_most: float | None = None) -> Decision:
    """No answer of the API: polled again ever more seldom, but within `at_most` seconds."""
    call = look.failure
    facts, step = _old_facts(step)
    if look.since is not None:
        # All wait for the one probe; whoever is not looked at cannot fail.
        text = f"No answer from the API since {look.since:%m-%d %H:%MZ} ({call.message}){facts}."
        text += _named_text(look.named_until)
        return step.rest(soonest(step.next_look, at_most), Note(Reason.API_UNAVAILABLE, text))
    failed = step.memory.failed_looks + 1
    # One whose looks are far apart would else show for hours what has passed within seconds.
    wait = backoff(min(step.poll, RECHECK), failed - 1, max(step.poll, MAX_LOOK_BACKOFF))
    text, named = f"No answer from the API ({call.message}){facts}.", call.retry_after or 0.0
    if named >= FIRST_PROBE:
        # As named, but ever more seldom where that turns out to be too early again and again.
        wait = min(max(named, backoff(FIRST_PROBE, failed - 1, RECHECK)), MAX_NAMED) + BEHIND
    wait = wait if at_most is None else min(wait, at_most)
    if named >= FIRST_PROBE:
        text += _named_text(step.now + timedelta(seconds=wait))
    note = Note(Reason.API_UNAVAILABLE, text)
    return step.remembering(failed_looks=failed).rest(wait, note)


def _named_text(until: datetime | None) -> str:
    if until is None:
        return ""
    return f" The reply asks to wait; the next call is due at {until:%H:%MZ}."


def _old_facts(step: Situation) -> tuple[str, Situation]:
    """How old the facts of a followed run are, in words and in status."""
    if not is_followed(step.status):
        return "", step
    seen_at = step.memory.looked_at or step.status.last_observed_at
    if seen_at is None:
        return "; the facts shown are the last ones known", step
    shown = step.having(last_observed_at=seen_at.replace(microsecond=0))
    return f"; the facts shown are of {seen_at:%m-%d %H:%MZ}", shown


def rate_limited(step: Situation, call: CallFailure, again_in: float | None, told: str) -> Decision:
    """The API refused a call because of its rate limit.

    Args:
        step: The resource.
        call: The refusal.
        again_in: Seconds until the key may be used again; None: as the refusal says.
        told: What happened, for people; the time of the next call follows.
    """
    asked = RATE_LIMIT_WAIT if call.retry_after is None else call.retry_after
    wait = max(asked if again_in is None else again_in, LEAST_WAIT)
    until = step.now + timedelta(seconds=wait)
    return step.rest(wait, Note(Reason.RATE_LIMITED, f"{told} {until:%H:%MZ}."))
