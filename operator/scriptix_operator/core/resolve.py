"""A start whose outcome is not known: read it from the model (DESIGN §4, step 5).

The model is compared with the baseline of the request's first attempt. "Ours" needs one look;
"not happened" needs two looks that agree, and enough time for a POST still on its way to act.

Whoever needs the model resolves what the ledger has open on it, even if that is not its own start:
the resource may be gone, made anew, suspended, or without a usable key.
"""

from dataclasses import replace
from enum import Enum, auto

from scriptix_operator.api.reasons import FailureReason, Ownership, Reason
from scriptix_operator.api.status import Baseline, StartReply
from scriptix_operator.core.answers import not_started
from scriptix_operator.core.backoff import backoff
from scriptix_operator.core.claims import is_start_of, named
from scriptix_operator.core.derive import Note, is_blocked, is_finished
from scriptix_operator.core.ending import conclude
from scriptix_operator.core.follow import follow
from scriptix_operator.core.freshness import is_stale
from scriptix_operator.core.ledger import NO_ENTRY, Entry, Mark, Settled, entry_of
from scriptix_operator.core.observation import Decision, ModelSeen
from scriptix_operator.core.remote import RemoteModel, TrainingState
from scriptix_operator.core.replaced import consumed
from scriptix_operator.core.requests import next_run
from scriptix_operator.core.situation import RESOLVE, Situation
from scriptix_operator.core.start import may_be_hidden_run, wait_for_hidden
from scriptix_operator.core.startqueue import FREE_ATTEMPTS
from scriptix_operator.core.training import Training, TrainingKey

__all__ = [
    "Verdict",
    "acted_after_all",
    "compare",
    "concluded",
    "newly_polled_start",
    "resolve",
    "resolve_for_others",
    "resolved_by_others",
]

FIRST_DELAY, MAX_DELAY = 60.0, 3600.0

UNDECIDED_FOR = 180.0
"""Each time that polls have decided nothing for so long, the time between them doubles."""
DELETED_POLL = 600.0
"""Seconds between such polls for a resource that is being deleted, at most."""


class Verdict(Enum):
    """What a look says of a start without a known outcome."""

    OURS = auto()
    """It has acted."""
    CONSUMED = auto()
    """It acted, ended, and the model was changed since."""
    NOT_HAPPENED = auto()
    """Nothing has acted, by this look."""
    UNDECIDED = auto()
    """This look decides nothing."""


def compare(baseline: Baseline, model: RemoteModel) -> Verdict:
    """Compare a look with the model as it was before the request's first attempt."""
    marker, before = model.started_at, baseline.started_training_at
    if marker is not None and before is not None and marker < before:
        return Verdict.UNDECIDED  # older than what is known: a stale reply
    changed = marker is not None and marker != before
    match model.training_status:
        case TrainingState.RUNNING:
            return Verdict.OURS
        case TrainingState.SUCCEEDED | TrainingState.FAILED:
            if changed or baseline.training_status == TrainingState.READY:
                return Verdict.OURS
            same = marker == before and not model.is_start_time_unreadable
            return Verdict.NOT_HAPPENED if same else Verdict.UNDECIDED
        case TrainingState.NOT_READY | TrainingState.READY if not model.is_start_time_unreadable:
            return Verdict.CONSUMED if changed else Verdict.NOT_HAPPENED
        case _:
            return Verdict.UNDECIDED


def _may_be_the_one_before(baseline: Baseline, model: RemoteModel) -> bool:
    """Whether a run that is shown may be the one before the start, in a stale reply.

    So it may with the baseline's run start time, and with one that cannot be read: unless the model
    is seen running that was never trained before.
    """
    before = baseline.started_training_at
    if model.is_start_time_unreadable:
        return before is not None or model.training_status != TrainingState.RUNNING
    return model.started_at is not None and model.started_at == before


def resolve(step: Situation, seen: ModelSeen, entry: Entry) -> Decision:
    """Decide on the resource's own start by a look at the model."""
    step, verdict = _verdict(_watching(step, entry), seen, entry.baseline)
    match verdict:
        case Verdict.OURS | Verdict.CONSUMED:
            return replace(_taken(step, seen, verdict), settled=_acted(entry, seen.model))
        case Verdict.NOT_HAPPENED:
            step, left = _patience(step, seen)
            if left > 0:
                return step.rest(left, _unknown(step, "the API shows no new training so far"))
            return replace(_next_attempt(step), settled=Settled(entry, acted=False))
        case Verdict.UNDECIDED:
            return _undecided(step)


def resolve_for_others(
    step: Situation, seen: ModelSeen, entry: Entry
) -> tuple[Situation, Decision | Settled]:
    """Decide on a start that is in the way of this resource and is not its own.

    Returns:
        The decision where it stays in the way for now; else its outcome, and this resource may go
        on with what it wants.
    """
    holder = next((t for t in (step.training, *seen.rivals) if t.uid == entry.uid), None)
    if holder is not None:
        known = concluded(entry, holder)
        if known is not None:
            return step, known
        is_over = holder.is_being_deleted or is_finished(holder.status)
        if is_over or not is_start_of(entry, holder):
            holder = None  # it asks for no outcome any more
        elif not (holder.spec.suspend or is_blocked(holder.status)):
            return step, _held(step, holder)  # it will find out by itself
    elif seen.is_holder_unlisted:
        return step, _held_unseen(step, entry)
    return _resolve_orphan(step, seen, entry, holder)


def _resolve_orphan(
    step: Situation, seen: ModelSeen, entry: Entry, holder: Training | None
) -> tuple[Situation, Decision | Settled]:
    """Resolve a start for its resource, which is gone or cannot; `holder` waits for the outcome."""
    step, verdict = _verdict(_watching(step, entry), seen, entry.baseline)
    match verdict:
        case Verdict.OURS | Verdict.CONSUMED if holder is not None:
            return step, _held(step, holder)
        case Verdict.OURS | Verdict.CONSUMED:
            settled = _acted(entry, seen.model)
            if not _is_namesake(entry, step.training):
                return step.forgetting_start(), settled
            # Made anew from the same manifest: this run is what it asks for, whatever it would do
            # at first sight.
            step = step.having(run=next_run(step.training))
            return step, replace(_taken(step, seen, verdict), settled=settled)
        case Verdict.NOT_HAPPENED:
            step, left = _patience(step, seen)
            if left > 0:
                note = _unknown(step, "the API shows no new training so far")
                return step, step.rest(left, note)
            return step.forgetting_start(), Settled(entry, acted=False)
        case Verdict.UNDECIDED:
            return step, _undecided(step)


def concluded(entry: Entry, training: Training) -> Settled | None:
    """The outcome of a start as the status of its resource has it; None where that has none.

    The status is recorded before the entry is closed, so a crash may leave the entry behind. A
    status without an intent for this attempt says nothing: it may be from before the intent, read
    by a process that was paused or is deposed.
    """
    status, run = training.status, training.status.run
    if training.uid != entry.uid or run is None or run.id != entry.run:
        return None
    timed_out = status.failure is not None and status.failure.reason == FailureReason.TIMED_OUT
    is_over = is_finished(status) and run.intent is None and not timed_out
    if run.ownership is None and run.attempt <= entry.attempt and not is_over:
        return None
    return Settled(entry, acted=run.ownership is not None, marker=run.started_training_at)


def newly_polled_start(training: Training, mark: Mark | None) -> Settled | None:
    """What the ledger has yet to learn of a followed run: the start time that polls show.

    The entry was closed by the reply to the start, whose start time counts for nothing. Until the
    ledger knows the run, a stale poll could show another resource the training before it, once
    this resource is gone. The entry is closed already, so none has this serial.
    """
    run = training.status.run
    if run is None or run.baseline is None or mark is None or not mark.superseded:
        return None
    start, before = run.started_training_at, run.baseline.started_training_at
    if start is None or run.intent is not None or mark.at != before or start == before:
        return None
    return Settled(entry_of(training, run, run.baseline, NO_ENTRY), acted=True, marker=start)


def acted_after_all(step: Situation, seen: ModelSeen) -> tuple[Situation, Decision | None]:
    """What a look says of earlier attempts at a request that is to be tried again.

    They were taken for not happened. Should one have acted after all, another start would be the
    second for one request.
    """
    run = step.status.run
    if run is None or run.baseline is None:
        return step, None
    step, verdict = _verdict(step, seen, run.baseline)
    match verdict:
        case Verdict.OURS | Verdict.CONSUMED if may_be_hidden_run(step, seen):
            return step, wait_for_hidden(step)
        case Verdict.OURS | Verdict.CONSUMED:
            return step, _taken(step, seen, verdict)
        case Verdict.UNDECIDED if step.memory.repeated_at is not None:
            return step, _undecided(step)
        case _:
            return step, None


def _verdict(step: Situation, seen: ModelSeen, baseline: Baseline) -> tuple[Situation, Verdict]:
    """What a look says, if it can be believed.

    A run that may be the one before, in a stale reply, is believed when it is seen again.
    """
    if is_stale(step.training, seen):
        return step.remembering(repeated_at=None), Verdict.UNDECIDED
    verdict = compare(baseline, seen.model)
    if verdict is not Verdict.OURS or not _may_be_the_one_before(baseline, seen.model):
        return step.remembering(repeated_at=None), verdict
    first = step.memory.repeated_at
    if first is None:
        return step.remembering(repeated_at=step.now), Verdict.UNDECIDED
    apart = ((seen.asked_at or step.now) - first).total_seconds()
    return step, verdict if apart >= step.durations.agree else Verdict.UNDECIDED


def _watching(step: Situation, entry: Entry) -> Situation:
    """Count the time from when this process first saw the entry: its POST may be on its way."""
    if step.memory.entry == entry:
        return step
    return step.forgetting_start().remembering(entry=entry, intent_seen_at=step.now)


def _patience(step: Situation, seen: ModelSeen) -> tuple[Situation, float]:
    """Seconds until "nothing has acted" can be believed, and the next look is due; 0: now.

    It takes two looks that agree, both after a POST on its way must have acted. One would do if
    none were stale; a stale one shows the model as it was before that time.
    """
    memory, durations, as_of = step.memory, step.durations, seen.asked_at or step.now
    seen_at = memory.intent_seen_at or step.now
    needed = durations.settle if memory.reset_seen else durations.unseen
    left = needed - (as_of - seen_at).total_seconds()
    if left > 0:
        return step, min(left, max(step.poll, durations.agree))
    if memory.agreed_at is None:
        return step.remembering(agreed_at=step.now), durations.agree
    return step, max(durations.agree - (as_of - memory.agreed_at).total_seconds(), 0.0)


def _undecided(step: Situation) -> Decision:
    """Poll again: soon at first, and less often while the polls go on deciding nothing.

    A restart makes them frequent again. A run that has been seen once is polled for at once.
    """
    note = _unknown(step, "the polls do not show whether it was")
    since, doublings = step.memory.intent_seen_at, 0
    if since is not None and step.memory.repeated_at is None:
        doublings = int((step.now - since).total_seconds() // UNDECIDED_FOR)
    most = DELETED_POLL if step.training.is_being_deleted else step.poll
    wait = backoff(min(step.poll, RESOLVE), doublings, most)
    return step.remembering(agreed_at=None).rest(wait, note)


def _held(step: Situation, holder: Training) -> Decision:
    note = Note(
        Reason.MODEL_IN_USE,
        f"{named(holder.key, step.training)} has started this model, or is about to; waiting until "
        "its training has ended.",
    )
    return step.having(queue=None).rest(step.next_look, note)


def _held_unseen(step: Situation, entry: Entry) -> Decision:
    """Wait for a resource that may exist and cannot be seen: the start is that resource's."""
    name = named(TrainingKey(entry.namespace, entry.name), step.training)
    note = Note(
        Reason.MODEL_IN_USE,
        f"{name} has started this model, or is about to, and the operator cannot read that "
        "resource; waiting until it can. The operator's log names the cause.",
    )
    return step.having(queue=None).rest(step.next_look, note)


def _is_namesake(entry: Entry, training: Training) -> bool:
    """Whether a start is what this resource asks for, which was made anew from its manifest."""
    key = training.key
    is_same = (entry.namespace, entry.name) == (key.namespace, key.name)
    return is_same and training.uid != entry.uid and training.status.run is None


def _acted(entry: Entry, model: RemoteModel) -> Settled:
    changed = model.started_at != entry.baseline.started_training_at
    return Settled(entry, acted=True, marker=model.started_at if changed else None)


def _taken(step: Situation, seen: ModelSeen, verdict: Verdict) -> Decision:
    """The run that has acted is the resource's: followed, or over without a trace."""
    return _ours(step, seen) if verdict is Verdict.OURS else consumed(step, seen.model.started_at)


def _ours(step: Situation, seen: ModelSeen) -> Decision:
    # An earlier attempt that was taken for not happened has left no time to count from.
    claimed_at = step.run.claimed_at or step.now.replace(microsecond=0)
    step = step.having_run(
        ownership=Ownership.UNCONFIRMED.value,
        intent=None,
        claimed_at=claimed_at,
        # This run's from now on, even where the API has not given it a new one.
        started_training_at=seen.model.started_at,
    ).forgetting_start()
    step = step.having(started_at=seen.model.started_at, queue=None)
    step = step.remembering(refusals=0, log_wanted=True)
    status, note = follow(step.spec, step.status, seen.model, step.now, seen.past)
    return conclude(step.having_status(status), note)


def resolved_by_others(step: Situation) -> Decision | None:
    """What follows from the reply to a start that another resource has resolved as not happened.

    None: there is no such reply.
    """
    reply = step.run.intent.reply if step.run.intent else None
    return None if reply is None else _next_attempt(step)


def _next_attempt(step: Situation) -> Decision:
    reply = step.run.intent.reply if step.run.intent else None
    step = step.having_run(intent=None, claimed_at=None).forgetting_start()
    if reply is not None and (held := not_started(step, reply)) is not None:
        return held
    attempt = step.run.attempt + 1
    step = step.having_run(attempt=attempt)
    late = attempt - FREE_ATTEMPTS - 1
    delay = 0.0 if late < 0 else backoff(FIRST_DELAY, late, MAX_DELAY)
    return step.rest(
        delay,
        Note(
            Reason.STARTING if late < 0 else Reason.START_OUTCOME_UNKNOWN,
            f"The start {_lost(reply)} and has started nothing; attempt {attempt} follows.",
        ),
    )


def _lost(reply: StartReply | None) -> str:
    return (
        "was lost on its way" if reply is None else f"was answered with an error ({reply.message})"
    )


def _unknown(step: Situation, why: str) -> Note:
    run = step.status.run
    reply = run.intent.reply if run and run.intent else None
    said = "" if reply is None else f" ({reply.message})"
    return Note(
        Reason.START_OUTCOME_UNKNOWN,
        f"Whether the start was accepted is not known yet{said}: {why}. The start is not repeated "
        "before that is certain.",
    )
