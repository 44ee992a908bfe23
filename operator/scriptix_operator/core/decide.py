"""The decision: what one step records and does next, from all that it knows.

The engine's loop is decide → record → act → observe → decide …, until the action is Rest. All
judgement is below this function; all effects are in the engine.
"""

from dataclasses import replace
from datetime import datetime

from scriptix_operator.api.reasons import FailureReason, Reason
from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.answers import refused, started
from scriptix_operator.core.claims import is_start_of, model_in_use, unreadable_in_use
from scriptix_operator.core.deletion import awaits_outcome, released, without_effects
from scriptix_operator.core.derive import (
    Note,
    awaits_retry,
    has_ended,
    is_end_pending,
    is_followed,
    is_over,
    is_starting,
    is_unpublished,
    may_be_running,
)
from scriptix_operator.core.ending import (
    conclude,
    is_retry_held,
    log_stored,
    log_unavailable,
    publish_failed,
)
from scriptix_operator.core.failures import failure
from scriptix_operator.core.follow import (
    OBSERVATION_REFRESH,
    believe,
    ended_at,
    follow,
    is_of_end,
    judge,
    model_status,
    naming_unreadable,
    with_look,
)
from scriptix_operator.core.gate_poll import judge_again, published_note
from scriptix_operator.core.ledger import Settled
from scriptix_operator.core.logcollection import with_log_tried_again, without_log_failures
from scriptix_operator.core.observation import (
    AskTurn,
    Blocked,
    Decision,
    LedgerRefused,
    LogStored,
    LogUnavailable,
    Look,
    LookDeferred,
    LookFailed,
    Memory,
    ModelSeen,
    Observation,
    Posted,
    PostFailed,
    PublishFailed,
    RebuildPending,
    SlotDeferred,
    SlotGranted,
    TurnCome,
    Withdrawn,
    Woken,
)
from scriptix_operator.core.pacing import next_look, shown_interval, spread
from scriptix_operator.core.pending_end import is_wait_over, poll_results, with_next_poll
from scriptix_operator.core.replaced import replaced_unseen
from scriptix_operator.core.requests import (
    begin_retry,
    begin_run,
    is_run_asked_for,
    newest_request,
)
from scriptix_operator.core.resolve import (
    acted_after_all,
    concluded,
    newly_polled_start,
    resolve,
    resolve_for_others,
    resolved_by_others,
)
from scriptix_operator.core.running import without_poll_facts
from scriptix_operator.core.situation import RECHECK, Durations, Situation
from scriptix_operator.core.start import begin, consider, queue_up, start_nothing, withdraw
from scriptix_operator.core.takeback import is_taken_back, take_back
from scriptix_operator.core.training import Training
from scriptix_operator.core.unanswered import look_failed
from scriptix_operator.core.unreadable import told_unreadable

__all__ = ["decide"]

TAKEN_BACK = Note(
    Reason.TRAINING_SUCCEEDED,
    "The model is trained; the request to train it again was cancelled before its start.",
)
"""Of a run that stands again; one that failed speaks for itself."""

NO_LEDGER = Note(
    Reason.LEDGER_REFUSED,
    "Nothing is started: the cluster does not let the operator keep its start ledger. Whoever runs "
    "the operator finds the reason in its log; the training goes on by itself after that.",
)


def decide(
    training: Training,
    observation: Observation,
    now: datetime,
    memory: Memory | None = None,
    durations: Durations | None = None,
) -> Decision:
    """Decide what to record and do next.

    Args:
        training: The resource with the status last recorded.
        observation: What was just learned.
        now: UTC.
        memory: What this process remembers of the resource.
        durations: Of the start protocol.
    """
    step = Situation(
        training, now, memory or Memory(), durations or Durations(), recorded=training.status
    )
    decision = _decided(step, observation)
    return without_effects(step, decision) if training.is_being_deleted else decision


def _decided(step: Situation, observation: Observation) -> Decision:
    match observation:
        # What a call already under way has brought is recorded whatever has been edited since.
        case Posted():
            return started(step, observation)
        case PostFailed():
            return refused(step.remembering(answer=None), observation)
        case Withdrawn():
            return withdraw(step).answer(Look())
        case LogStored():
            return log_stored(step, observation)
        case LogUnavailable():
            return log_unavailable(step, observation)
        case PublishFailed():
            return publish_failed(step, observation)
        case _:
            return _kept_up(step, observation)


def _kept_up(step: Situation, observation: Observation) -> Decision:
    """Follow deletion, edits, requests and time-outs first; only then what was observed."""
    if step.training.is_being_deleted:
        is_polled = awaits_outcome(step.training, observation)
        return _observed(step, observation) if is_polled else released(step)
    edited = _is_edited(step)
    note = None
    if edited:
        step = with_log_tried_again(step)
    if is_run_asked_for(step.training):
        step = _requested(step)
    elif is_taken_back(step.training):
        step, note = step.having_status(take_back(step.status)), TAKEN_BACK
    else:
        step = _collapsed(step)
    if awaits_retry(step.status):
        return _retried(step)
    if has_ended(step.status):
        return _ended(step, note, observation, edited=edited)
    if is_wait_over(step) and not isinstance(observation, ModelSeen):
        return conclude(*_believed(step))
    is_late = step.deadline is not None and step.now >= step.deadline
    if is_late and not is_end_pending(step.status):
        return _timed_out(step)
    if step.spec.suspend:
        step = step.without_doubt().having_status(without_poll_facts(step.status))
        return step.having(queue=None, failure=None).rest(None)
    return _observed(step, observation)


def _is_edited(step: Situation) -> bool:
    """Whether the spec may be another than the one that status speaks of."""
    is_readable_again = told_unreadable(step.status) is not None and not step.training.unreadable
    return is_readable_again or step.training.generation != step.status.observed_generation


def _requested(step: Situation) -> Situation:
    """Take a request: in place of one that nothing was sent for, or once the run has ended."""
    if is_over(step.status):
        return _with_new_run(step, begin_run(step.training))
    return _collapsed(step)


def _collapsed(step: Situation) -> Situation:
    """A run that nothing was sent for answers the newest request."""
    newest = newest_request(step.training)
    return step if newest == step.status.run else step.having(run=newest)


def _retried(step: Situation) -> Decision:
    """Wait for the time of the retry, and for the log of the run that failed; then begin it."""
    retry_at = step.run.retry_at
    if step.spec.suspend or step.training.unreadable:
        return step.rest(None)
    if (retry_at is not None and step.now < retry_at) or is_retry_held(step):
        return conclude(step)
    step = _with_new_run(step, begin_retry(step.training))
    text = f"Retry {step.run.retries} of {step.spec.backoff_limit} begins."
    return step.answer(Look(), Note(Reason.OBSERVED, text))


def _with_new_run(step: Situation, status: TrainingStatus) -> Situation:
    """Another run: what is remembered of the one before it does not count."""
    fresh = without_log_failures(step.having_status(status), is_wanted=False)
    return fresh.without_doubt().remembering(
        refusals=0,
        failed_publishes=0,
        interval=None,
        spare_looks=None,
    )


def _observed(step: Situation, observation: Observation) -> Decision:
    match observation:
        case Woken(is_queued):
            return _woken(step, is_queued=is_queued)
        case TurnCome():
            return step.answer(Look())
        case Blocked(why):
            step = with_next_poll(step.without_doubt())
            return step.having(failure=why, queue=None).rest(min(step.poll, RECHECK))
        case LedgerRefused() | RebuildPending():
            return step.having(queue=None).rest(min(step.poll, RECHECK), _no_ledger(observation))
        case LookDeferred(seconds):
            return step.rest(seconds)
        case LookFailed():
            return look_failed(with_next_poll(step), observation)
        case ModelSeen():
            return _seen(step, observation)
        case SlotGranted():
            return begin(step, observation)
        case SlotDeferred():
            return queue_up(step, observation)
        case _:
            raise TypeError(f"no decision for {type(observation).__name__}")


def _no_ledger(why: LedgerRefused | RebuildPending) -> Note:
    if isinstance(why, LedgerRefused):
        return NO_LEDGER
    text = (
        "Nothing is started: the start ledger is missing or unreadable, and the operator rebuilds "
        f"it only from all resources ({why.gap}). The operator's log names the cause; the training "
        "continues automatically once it is fixed."
    )
    return Note(Reason.WAITING_FOR_NAMESPACES, text)


def _woken(step: Situation, *, is_queued: bool) -> Decision:
    """Look at the model; while it only waits in the queue for its turn, seldom."""
    if step.training.unreadable and not may_be_running(step.status):
        return start_nothing(step)
    if is_end_pending(step.status):
        return poll_results(step)
    is_queued = is_queued or step.status.queue is not None
    seen_at = step.status.last_observed_at
    is_fresh = seen_at is not None and step.now < seen_at + OBSERVATION_REFRESH
    return step.answer(AskTurn() if is_queued and is_fresh else Look())


def _ended(
    step: Situation, note: Note | None, observation: Observation, *, edited: bool
) -> Decision:
    """Judge again what an edit may have changed, or what is still to be published; or rest."""
    why = step.status.failure
    missed_gate = why is not None and why.reason == FailureReason.QUALITY_GATE_FAILED
    is_gate_known = not step.training.cannot_read("spec.qualityGate")
    if edited and missed_gate and is_gate_known:
        return judge_again(step, observation)
    if is_unpublished(step.status) and is_gate_known:
        status, note = judge(step.spec, step.status)
        return conclude(step.having_status(status), note)
    if why is None and (edited or note is not None):
        note = published_note(step.spec, step.status, note)
    # Published when it succeeded; looking at it again publishes nothing.
    return replace(conclude(step, note), publish=False)


def _believed(step: Situation) -> tuple[Situation, Note | None]:
    status, note = believe(step.spec, step.status, step.now)
    status = naming_unreadable(status, step.status.failure, step.memory.unreadable)
    # The poll for a metric after an edit of the gate counts its own failures.
    return step.having_status(status).remembering(failed_looks=0), note


def _timed_out(step: Situation) -> Decision:
    text = (
        f"The run did not end within {step.spec.timeout_seconds} seconds (spec.timeoutSeconds); "
        "no further calls are made for it."
    )
    # An open intent stays: whoever needs the model next has to learn what came of it.
    step = step.without_doubt().having_status(without_poll_facts(step.status))
    ended = step.having(
        failure=failure(FailureReason.TIMED_OUT, text),
        finished_at=ended_at(step.status.started_at, step.now),
    )
    return conclude(ended)


def _seen(step: Situation, seen: ModelSeen) -> Decision:
    before, told = step.status, step.status.poll_interval_seconds
    end = before.run.pending_end if before.run else None
    is_shown = end is None or is_of_end(before, end, seen.model)
    step = step.having(
        model=model_status(seen.model) if is_shown else before.model,
        failure=None,
        poll_interval_seconds=shown_interval(step.poll, seen.pace.floor, told),
    )
    step = step.remembering(
        failed_looks=0,
        looked_at=step.now,
        unreadable=seen.model.unreadable,
    ).without_doubt()
    followed = is_followed(step.status)
    decision = _following(step, seen) if followed else _starting(_spread(step, seen), seen)
    stamped = with_look(decision.status, before, step.now)
    return replace(decision, status=stamped)


def _spread(step: Situation, seen: ModelSeen) -> Situation:
    """With the interval that the key's allowance gives to those that wait for their model."""
    look_in = spread(seen.pace.kept(step.poll), seen.luck)
    return replace(step.remembering(interval=None), look_in=look_in)


def _following(step: Situation, seen: ModelSeen) -> Decision:
    if (decision := replaced_unseen(step, seen.rivals)) is not None:
        return decision
    status, note = follow(step.spec, step.status, seen.model, step.now, seen.past)
    news = status.stage != step.status.stage or has_ended(status)
    wanted = step.memory.log_wanted or news
    step = _paced(step.having_status(status), seen).remembering(log_wanted=wanted)
    if is_wait_over(step):
        step, note = _believed(step)
    decision = conclude(step, note)
    left_open = None if seen.entry is None else concluded(seen.entry, step.training)
    followed = step.training.with_status(decision.status)
    return replace(decision, settled=left_open or newly_polled_start(followed, seen.mark))


def _paced(step: Situation, seen: ModelSeen) -> Situation:
    """With the interval until the next look: closer where the end is expected."""
    status, now = step.status, step.now
    began, eta = status.started_at, status.estimated_completion_at
    age = 0.0 if began is None else max((now - began).total_seconds(), 0.0)
    to_end = None if eta is None else (eta - now).total_seconds()
    wanted = next_look(step.poll, to_end, age, step.memory.spare_looks)
    step = step.remembering(interval=wanted.seconds, spare_looks=wanted.spare)
    return replace(step, look_in=spread(seen.pace.kept(step.poll, wanted.seconds), seen.luck))


def _starting(step: Situation, seen: ModelSeen) -> Decision:
    """Decide on a model that no run of this resource is known at."""
    if is_starting(step.status):
        if seen.entry is not None and is_start_of(seen.entry, step.training):
            return resolve(step, seen, seen.entry)
        if (resolved := resolved_by_others(step)) is not None:
            return resolved
        # The ledger is written between the intent and the POST: this one was never sent.
        step = withdraw(step)
    settled: Settled | None = None
    if seen.entry is not None:
        step, outcome = resolve_for_others(step, seen, seen.entry)
        if isinstance(outcome, Decision):
            return outcome
        settled = outcome
    in_use = model_in_use(step.training, seen.rivals, seen.model)
    if in_use is None and seen.unreadable_holder is not None:
        in_use = unreadable_in_use(seen.unreadable_holder, step.training)
    step, resolved = (step, None) if in_use else acted_after_all(step, seen)
    return replace(resolved or consider(step, seen, in_use), settled=settled)
