"""A look without an answer to go by: refused, lost, or not made at all."""

from scriptix_operator.api.reasons import Reason
from scriptix_operator.core.answers import rate_limited
from scriptix_operator.core.backoff import backoff
from scriptix_operator.core.derive import Note, is_followed
from scriptix_operator.core.failures import blocked_call
from scriptix_operator.core.observation import Decision, LookFailed
from scriptix_operator.core.remote import FailureKind
from scriptix_operator.core.situation import RECHECK, Situation

__all__ = ["look_failed"]

MAX_LOOK_BACKOFF = 300.0
"""Seconds between looks at most while the API does not answer, unless more are asked for."""


def look_failed(step: Situation, look: LookFailed) -> Decision:
    """Say what is the matter, and when the next look is."""
    call = look.failure
    blocked = blocked_call(call, look.key_source)
    if blocked is not None:
        # A 404 may be a model that is being restored, a 403 a key that is being mended: neither
        # says anything of a run.
        return step.having(failure=blocked, queue=None).rest(min(step.poll, RECHECK))
    step = step.having(failure=None)
    if call.kind is FailureKind.RATE_LIMITED:
        told = "The API refused a call because of its rate limit; next look"
        return rate_limited(step, call, look.again_in, told)
    facts, step = _old_facts(step)
    if look.since is not None:
        # All wait for the one probe; whoever is not looked at cannot fail.
        text = f"No answer from the API since {look.since:%m-%d %H:%MZ} ({call.message}){facts}."
        return step.rest(step.next_look, Note(Reason.API_UNAVAILABLE, text))
    failed = step.memory.failed_looks + 1
    # One whose looks are far apart would else show for hours what has passed within seconds.
    wait = backoff(min(step.poll, RECHECK), failed - 1, max(step.poll, MAX_LOOK_BACKOFF))
    note = Note(Reason.API_UNAVAILABLE, f"No answer from the API ({call.message}){facts}.")
    return step.remembering(failed_looks=failed).rest(wait, note)


def _old_facts(step: Situation) -> tuple[str, Situation]:
    """How old the facts of a followed run are, in words and in status."""
    if not is_followed(step.status):
        return "", step
    seen_at = step.memory.looked_at or step.status.last_observed_at
    if seen_at is None:
        return "; the facts shown are the last ones known", step
    shown = step.having(last_observed_at=seen_at.replace(microsecond=0))
    return f"; the facts shown are of {seen_at:%m-%d %H:%MZ}", shown
