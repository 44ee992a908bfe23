"""What the answer to a start means: accepted, refused, or not known (DESIGN §4 steps 3 and 4)."""

from datetime import datetime, timedelta

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import Ownership, Reason
from scriptix_operator.api.spec import WhenNotReady
from scriptix_operator.api.status import TEXT, StartReply
from scriptix_operator.core.backoff import backoff
from scriptix_operator.core.derive import Note
from scriptix_operator.core.ending import fail
from scriptix_operator.core.failures import (
    blocked_call,
    refused_for_now,
    rejected_start,
    with_details,
)
from scriptix_operator.core.follow import follow
from scriptix_operator.core.ledger import Entry, Settled
from scriptix_operator.core.observation import Decision, Denial, Look, Posted, PostFailed
from scriptix_operator.core.remote import (
    CODE_KINDS,
    CallFailure,
    FailureKind,
    RemoteModel,
    TrainingState,
)
from scriptix_operator.core.situation import RECHECK, RESOLVE, Situation
from scriptix_operator.core.start import withdraw
from scriptix_operator.core.text import one_line
from scriptix_operator.core.unanswered import rate_limited

__all__ = ["not_started", "refused", "started"]

MAX_BACKOFF = 3600.0
"""Seconds between starts at most while the API refuses them."""


def started(step: Situation, posted: Posted) -> Decision:
    """The API accepted the start: this run is ours, whatever the next polls show.

    The run start time in the reply is shown until a poll shows the run, and is compared with
    nothing: another server may have written what polls read.
    """
    entry, shown = step.memory.entry, _shown_start(step, posted.model)
    step = step.having_run(ownership=Ownership.OWNED.value, intent=None).forgetting_start()
    step = step.remembering(denial=None, refusals=0, log_wanted=True)
    model = posted.model
    step = step.remembering(unreadable=() if model is None else model.unreadable)
    note: Note | None = Note(Reason.TRAINING, "The training was started.")
    if shown is not None:
        step = step.having(started_at=shown)
    if model is not None and model.training_status == TrainingState.RUNNING:
        status, note = follow(step.spec, step.status, model, step.now, ())
        step = step.having_status(status).having_run(started_training_at=None)
    return _settled(step.rest(step.poll, note), entry, acted=True)


def _shown_start(step: Situation, model: RemoteModel | None) -> datetime | None:
    """The run start time in the reply, unless it is still that of the run before."""
    before = step.run.baseline.started_training_at if step.run.baseline else None
    start = None if model is None else model.started_at
    return start if start is not None and (before is None or start > before) else None


def refused(step: Situation, failed: PostFailed) -> Decision:
    """The API refused the start, or its answer is not known."""
    entry, decision = step.memory.entry, _refused(step, failed)
    if decision.status.run is not None and decision.status.run.intent is not None:
        return decision
    sent = failed.failure.kind is not FailureKind.NOT_SENT
    return _settled(decision, entry, acted=False, sent=sent)


def _settled(
    decision: Decision, entry: Entry | None, *, acted: bool, sent: bool = True
) -> Decision:
    if entry is None:
        return decision
    return replace(decision, settled=Settled(entry, acted=acted, sent=sent))


def _refused(step: Situation, failed: PostFailed) -> Decision:
    call, kind = failed.failure, failed.failure.kind
    if kind is FailureKind.AMBIGUOUS:
        return _outcome_unknown(_keeping_reply(step, call), call)
    tried_before = step.run.attempt > 1
    key = step.run.key_fingerprint or "", step.run.key_source
    if kind is FailureKind.CONFLICT and tried_before:
        # An earlier POST of ours may be what is in the way. If not, the model as it is is refused.
        return _outcome_unknown(step.having_run(refused=step.run.baseline), call)
    if kind is FailureKind.REJECTED:
        step = step.having_run(intent=None, claimed_at=None).forgetting_start()
        return fail(step, rejected_start(call))
    if kind is FailureKind.CONFLICT:
        step = step.having_run(refused=step.run.baseline)
    return _held(withdraw(step), failed, key)


def not_started(step: Situation, reply: StartReply) -> Decision | None:
    """A start that has started nothing, by its reply: over or held as after the same refusal.

    None: the reply does not say that another attempt is in vain.

    Args:
        step: Not starting any more.
        reply: The reply to the start.
    """
    kind = CODE_KINDS.get(reply.code or "")
    if kind is None:
        return None
    call = CallFailure(kind, reply.message, code=reply.code)
    if kind is FailureKind.REJECTED:
        return fail(step, rejected_start(call))
    if kind is FailureKind.CONFLICT:
        step = step.having_run(refused=step.run.baseline)
    key = step.run.key_fingerprint or "", step.run.key_source
    return _held(withdraw(step), PostFailed(call), key)


def _keeping_reply(step: Situation, call: CallFailure) -> Situation:
    """What the reply says is needed when the outcome is known, perhaps by another process."""
    intent = step.run.intent
    if intent is None or not (call.is_error_in_success or call.is_from_gateway):
        return step
    code = call.code if call.is_error_in_success else None
    reply = StartReply(code=code, message=one_line(with_details(call), TEXT))
    return step.having_run(intent=replace(intent, reply=reply))


def _held(step: Situation, failed: PostFailed, key: tuple[str, str | None]) -> Decision:
    """A start that has started nothing, and that is tried again later."""
    call = failed.failure
    match call.kind:
        case FailureKind.NOT_SENT:
            step = step.remembering(refusals=step.memory.refusals + 1)
            return _unreachable(step, call)
        case FailureKind.RATE_LIMITED:
            told = "The API refused the start because of its rate limit; next try"
            return rate_limited(step, call, failed.again_in, told)
        case FailureKind.CONFLICT:
            step = step.remembering(refusals=step.memory.refusals + 1)
            return _conflict(step, call)
        case _:
            return _denied(step, call, *key)


def _denied(step: Situation, call: CallFailure, key: str, key_source: str | None) -> Decision:
    """Blocked: a new key is noticed within a minute; with this one the waits grow."""
    why, refusals = blocked_call(call, key_source), step.memory.refusals + 1
    if why is not None:
        until = step.now + timedelta(seconds=backoff(RECHECK, refusals, MAX_BACKOFF))
        step = step.remembering(denial=Denial(key, why, until), refusals=refusals)
    return step.having(failure=why).rest(min(step.poll, RECHECK))


def _conflict(step: Situation, call: CallFailure) -> Decision:
    """409 to the request's only POST: what is there is not ours."""
    if call.code == "TRAINING_IN_PROGRESS" and step.memory.refusals == 1:
        return step.answer(Look())
    not_ready = call.code == "MODEL_NOT_READY"
    if not_ready and step.spec.when_not_ready is WhenNotReady.FAIL:
        return fail(step, rejected_start(call))
    wait = backoff(step.poll, step.memory.refusals, max(step.poll, MAX_BACKOFF))
    return step.rest(wait, Note(Reason.WAITING_FOR_MODEL, refused_for_now(call)))


def _outcome_unknown(step: Situation, call: CallFailure) -> Decision:
    if call.reset_seen:
        # What is on its way has left this machine by now, whenever the intent was written.
        step = step.remembering(reset_seen=True, intent_seen_at=step.now)
    note = Note(
        Reason.START_OUTCOME_UNKNOWN,
        f"Whether the start was accepted is not known ({call.message}). The model is being "
        "watched to find out; the start is not repeated before that is certain.",
    )
    # A poll before the time that the reply names would fail. Longer than a start may take to act
    # is not waited: the model may be trained meanwhile.
    named = min(call.retry_after or 0.0, step.durations.unseen)
    return step.rest(max(min(step.poll, RESOLVE), named), note)


def _unreachable(step: Situation, call: CallFailure) -> Decision:
    why = call.message.rstrip(".")
    note = Note(Reason.API_UNAVAILABLE, f"The start was not sent: {why}. Trying again.")
    return step.rest(backoff(step.poll, step.memory.refusals - 1, max(step.poll, 300.0)), note)
