"""A start whose outcome is not known: read it from the model (docs/start-protocol.md, step 5).

The model is compared with the baseline of the request's first attempt. "Ours" needs one look;
"not happened" needs two looks that agree, and enough time for a POST still on its way to act.

Whoever needs the model resolves what the ledger has open on it, even if that is not its own start:
the resource may be gone, made anew, suspended, or without a usable key.
"""

from dataclasses import replace
from enum import Enum, auto

from scriptix_operator.api.reasons import FailureReason, Ownership, Reason
from scriptix_operator.api.status import Baseline, StartReply
from scriptix_operator.core.follow.next_action import conclude
from scriptix_operator.core.follow.outcome import follow
from scriptix_operator.core.follow.replaced import consumed
from scriptix_operator.core.ledger.ledger import (
    NO_START,
    InFlightStart,
    LatestRun,
    StartOutcome,
    in_flight_start_of,
)
from scriptix_operator.core.model.backoff import backoff
from scriptix_operator.core.model.remote import RemoteModel, TrainingState
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.reconcile.context import RESOLVE, ReconcileContext
from scriptix_operator.core.reconcile.protocol import Decision, ModelPolled
from scriptix_operator.core.requests.requests import next_run
from scriptix_operator.core.scheduling.start_queue import FREE_ATTEMPTS
from scriptix_operator.core.start.admission import may_be_hidden_run, wait_for_hidden
from scriptix_operator.core.start.contention import is_start_of, named
from scriptix_operator.core.start.reply import not_started
from scriptix_operator.core.start.staleness import is_stale
from scriptix_operator.core.status.conditions import ConditionReason, is_blocked, is_finished

__all__ = [
    "ObservedOutcome",
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


class ObservedOutcome(Enum):
    """What a look says of a start without a known outcome."""

    OURS = auto()
    """It has acted."""
    CONSUMED = auto()
    """It acted, ended, and the model was changed since."""
    NOT_HAPPENED = auto()
    """Nothing has acted, by this look."""
    UNDECIDED = auto()
    """This look decides nothing."""


def compare(baseline: Baseline, model: RemoteModel) -> ObservedOutcome:
    """Compare a look with the model as it was before the request's first attempt."""
    run_start_time, before = model.started_at, baseline.started_training_at
    if run_start_time is not None and before is not None and run_start_time < before:
        return ObservedOutcome.UNDECIDED  # older than what is known: a stale reply
    changed = run_start_time is not None and run_start_time != before
    match model.training_status:
        case TrainingState.RUNNING:
            return ObservedOutcome.OURS
        case TrainingState.SUCCEEDED | TrainingState.FAILED:
            if changed or baseline.training_status == TrainingState.READY:
                return ObservedOutcome.OURS
            same = run_start_time == before and not model.is_start_time_unreadable
            return ObservedOutcome.NOT_HAPPENED if same else ObservedOutcome.UNDECIDED
        case TrainingState.NOT_READY | TrainingState.READY if not model.is_start_time_unreadable:
            return ObservedOutcome.CONSUMED if changed else ObservedOutcome.NOT_HAPPENED
        case _:
            return ObservedOutcome.UNDECIDED


def _may_be_the_one_before(baseline: Baseline, model: RemoteModel) -> bool:
    """Whether a run that is shown may be the one before the start, in a stale reply.

    So it may with the baseline's run start time, and with one that cannot be read: unless the model
    is seen running that was never trained before.
    """
    before = baseline.started_training_at
    if model.is_start_time_unreadable:
        return before is not None or model.training_status != TrainingState.RUNNING
    return model.started_at is not None and model.started_at == before


def resolve(ctx: ReconcileContext, seen: ModelPolled, in_flight: InFlightStart) -> Decision:
    """Decide on the resource's own start by a look at the model."""
    ctx, observed = _observed_outcome(_watching(ctx, in_flight), seen, in_flight.baseline)
    match observed:
        case ObservedOutcome.OURS | ObservedOutcome.CONSUMED:
            return replace(
                _owned_or_consumed(ctx, seen, observed), start_outcome=_acted(in_flight, seen.model)
            )
        case ObservedOutcome.NOT_HAPPENED:
            ctx, left = _patience(ctx, seen)
            if left > 0:
                return ctx.requeue(left, _unknown(ctx, "the API shows no new training so far"))
            return replace(_next_attempt(ctx), start_outcome=StartOutcome(in_flight, acted=False))
        case ObservedOutcome.UNDECIDED:
            return _undecided(ctx)


def resolve_for_others(
    ctx: ReconcileContext, seen: ModelPolled, in_flight: InFlightStart
) -> tuple[ReconcileContext, Decision | StartOutcome]:
    """Decide on a start that is in the way of this resource and is not its own.

    Returns:
        The decision where it stays in the way for now; else its outcome, and this resource may go
        on with what it wants.
    """
    holder = next((t for t in (ctx.training, *seen.competitors) if t.uid == in_flight.uid), None)
    if holder is not None:
        known = concluded(in_flight, holder)
        if known is not None:
            return ctx, known
        is_over = holder.is_being_deleted or is_finished(holder.status)
        if is_over or not is_start_of(in_flight, holder):
            holder = None  # it asks for no outcome any more
        elif not (holder.spec.suspend or is_blocked(holder.status)):
            return ctx, _held(ctx, holder)  # it will find out by itself
    elif seen.is_holder_unlisted:
        return ctx, _held_by_unlisted(ctx, in_flight)
    return _resolve_orphan(ctx, seen, in_flight, holder)


def _resolve_orphan(
    ctx: ReconcileContext, seen: ModelPolled, in_flight: InFlightStart, holder: Training | None
) -> tuple[ReconcileContext, Decision | StartOutcome]:
    """Resolve a start for its resource, which is gone or cannot; `holder` waits for the outcome."""
    ctx, observed = _observed_outcome(_watching(ctx, in_flight), seen, in_flight.baseline)
    match observed:
        case ObservedOutcome.OURS | ObservedOutcome.CONSUMED if holder is not None:
            return ctx, _held(ctx, holder)
        case ObservedOutcome.OURS | ObservedOutcome.CONSUMED:
            start_outcome = _acted(in_flight, seen.model)
            if not _is_namesake(in_flight, ctx.training):
                return ctx.without_start_state(), start_outcome
            # Made anew from the same manifest: this run is what it asks for, whatever it would do
            # at first sight.
            ctx = ctx.with_facts(run=next_run(ctx.training))
            return ctx, replace(
                _owned_or_consumed(ctx, seen, observed), start_outcome=start_outcome
            )
        case ObservedOutcome.NOT_HAPPENED:
            ctx, left = _patience(ctx, seen)
            if left > 0:
                condition_reason = _unknown(ctx, "the API shows no new training so far")
                return ctx, ctx.requeue(left, condition_reason)
            return ctx.without_start_state(), StartOutcome(in_flight, acted=False)
        case ObservedOutcome.UNDECIDED:
            return ctx, _undecided(ctx)


def concluded(in_flight: InFlightStart, training: Training) -> StartOutcome | None:
    """The outcome of a start as the status of its resource has it; None where that has none.

    The status is recorded before the entry is closed, so a crash may leave the entry behind. A
    status without an intent for this attempt says nothing: it may be from before the intent, read
    by a process that was paused or is deposed.
    """
    status, run = training.status, training.status.run
    if training.uid != in_flight.uid or run is None or run.id != in_flight.run:
        return None
    timed_out = status.failure is not None and status.failure.reason == FailureReason.TIMED_OUT
    is_over = is_finished(status) and run.intent is None and not timed_out
    if run.ownership is None and run.attempt <= in_flight.attempt and not is_over:
        return None
    return StartOutcome(
        in_flight, acted=run.ownership is not None, run_start_time=run.started_training_at
    )


def newly_polled_start(training: Training, latest_run: LatestRun | None) -> StartOutcome | None:
    """What the ledger has yet to learn of a followed run: the start time that polls show.

    The entry was closed by the reply to the start, whose start time counts for nothing. Until the
    ledger knows the run, a stale poll could show another resource the training before it, once
    this resource is gone. The entry is closed already, so none has this serial.
    """
    run = training.status.run
    if run is None or run.baseline is None or latest_run is None or not latest_run.superseded:
        return None
    start, before = run.started_training_at, run.baseline.started_training_at
    if start is None or run.intent is not None or latest_run.at != before or start == before:
        return None
    return StartOutcome(
        in_flight_start_of(training, run, run.baseline, NO_START), acted=True, run_start_time=start
    )


def acted_after_all(
    ctx: ReconcileContext, seen: ModelPolled
) -> tuple[ReconcileContext, Decision | None]:
    """What a look says of earlier attempts at a request that is to be tried again.

    They were taken for not happened. Should one have acted after all, another start would be the
    second for one request.
    """
    run = ctx.status.run
    if run is None or run.baseline is None:
        return ctx, None
    ctx, observed = _observed_outcome(ctx, seen, run.baseline)
    match observed:
        case ObservedOutcome.OURS | ObservedOutcome.CONSUMED if may_be_hidden_run(ctx, seen):
            return ctx, wait_for_hidden(ctx)
        case ObservedOutcome.OURS | ObservedOutcome.CONSUMED:
            return ctx, _owned_or_consumed(ctx, seen, observed)
        case ObservedOutcome.UNDECIDED if ctx.state.repeated_at is not None:
            return ctx, _undecided(ctx)
        case _:
            return ctx, None


def _observed_outcome(
    ctx: ReconcileContext, seen: ModelPolled, baseline: Baseline
) -> tuple[ReconcileContext, ObservedOutcome]:
    """What a look says, if it can be believed.

    A run that may be the one before, in a stale reply, is believed when it is seen again.
    """
    if is_stale(ctx.training, seen):
        return ctx.with_state(repeated_at=None), ObservedOutcome.UNDECIDED
    observed = compare(baseline, seen.model)
    if observed is not ObservedOutcome.OURS or not _may_be_the_one_before(baseline, seen.model):
        return ctx.with_state(repeated_at=None), observed
    first = ctx.state.repeated_at
    if first is None:
        return ctx.with_state(repeated_at=ctx.now), ObservedOutcome.UNDECIDED
    apart = ((seen.asked_at or ctx.now) - first).total_seconds()
    return ctx, observed if apart >= ctx.durations.agree else ObservedOutcome.UNDECIDED


def _watching(ctx: ReconcileContext, in_flight: InFlightStart) -> ReconcileContext:
    """Count the time from when this process first saw the entry: its POST may be on its way."""
    if ctx.state.in_flight == in_flight:
        return ctx
    return ctx.without_start_state().with_state(in_flight=in_flight, intent_seen_at=ctx.now)


def _patience(ctx: ReconcileContext, seen: ModelPolled) -> tuple[ReconcileContext, float]:
    """Seconds until "nothing has acted" can be believed, and the next look is due; 0: now.

    It takes two looks that agree, both after a POST on its way must have acted. One would do if
    none were stale; a stale one shows the model as it was before that time.
    """
    state, durations, as_of = ctx.state, ctx.durations, seen.asked_at or ctx.now
    seen_at = state.intent_seen_at or ctx.now
    needed = durations.grace_period if state.reset_seen else durations.unseen
    left = needed - (as_of - seen_at).total_seconds()
    if left > 0:
        return ctx, min(left, max(ctx.poll, durations.agree))
    if state.agreed_at is None:
        return ctx.with_state(agreed_at=ctx.now), durations.agree
    return ctx, max(durations.agree - (as_of - state.agreed_at).total_seconds(), 0.0)


def _undecided(ctx: ReconcileContext) -> Decision:
    """Poll again: soon at first, and less often while the polls go on deciding nothing.

    A restart makes them frequent again. A run that has been seen once is polled for at once.
    """
    condition_reason = _unknown(ctx, "the polls do not show whether it was")
    since, doublings = ctx.state.intent_seen_at, 0
    if since is not None and ctx.state.repeated_at is None:
        doublings = int((ctx.now - since).total_seconds() // UNDECIDED_FOR)
    most = DELETED_POLL if ctx.training.is_being_deleted else ctx.poll
    wait = backoff(min(ctx.poll, RESOLVE), doublings, most)
    return ctx.with_state(agreed_at=None).requeue(wait, condition_reason)


def _held(ctx: ReconcileContext, holder: Training) -> Decision:
    condition_reason = ConditionReason(
        Reason.MODEL_IN_USE,
        f"{named(holder.key, ctx.training)} has started this model, or is about to; waiting until "
        "its training has ended.",
    )
    return ctx.with_facts(queue=None).requeue(ctx.next_poll, condition_reason)


def _held_by_unlisted(ctx: ReconcileContext, in_flight: InFlightStart) -> Decision:
    """Wait for a resource that may exist and cannot be seen: the start is that resource's."""
    name = named(TrainingKey(in_flight.namespace, in_flight.name), ctx.training)
    condition_reason = ConditionReason(
        Reason.MODEL_IN_USE,
        f"{name} has started this model, or is about to, and the operator cannot read that "
        "resource; waiting until it can. The operator's log names the cause.",
    )
    return ctx.with_facts(queue=None).requeue(ctx.next_poll, condition_reason)


def _is_namesake(in_flight: InFlightStart, training: Training) -> bool:
    """Whether a start is what this resource asks for, which was made anew from its manifest."""
    key = training.key
    is_same = (in_flight.namespace, in_flight.name) == (key.namespace, key.name)
    return is_same and training.uid != in_flight.uid and training.status.run is None


def _acted(in_flight: InFlightStart, model: RemoteModel) -> StartOutcome:
    changed = model.started_at != in_flight.baseline.started_training_at
    return StartOutcome(in_flight, acted=True, run_start_time=model.started_at if changed else None)


def _owned_or_consumed(
    ctx: ReconcileContext, seen: ModelPolled, observed: ObservedOutcome
) -> Decision:
    """The run that has acted is the resource's: followed, or over without a trace."""
    return (
        _ours(ctx, seen)
        if observed is ObservedOutcome.OURS
        else consumed(ctx, seen.model.started_at)
    )


def _ours(ctx: ReconcileContext, seen: ModelPolled) -> Decision:
    # An earlier attempt that was taken for not happened has left no time to count from.
    claimed_at = ctx.run.claimed_at or ctx.now.replace(microsecond=0)
    ctx = ctx.with_run(
        ownership=Ownership.UNCONFIRMED.value,
        intent=None,
        claimed_at=claimed_at,
        # This run's from now on, even where the API has not given it a new one.
        started_training_at=seen.model.started_at,
    ).without_start_state()
    ctx = ctx.with_facts(started_at=seen.model.started_at, queue=None)
    ctx = ctx.with_state(refusals=0, log_wanted=True)
    status, condition_reason = follow(ctx.spec, ctx.status, seen.model, ctx.now, seen.past)
    return conclude(ctx.with_status(status), condition_reason)


def resolved_by_others(ctx: ReconcileContext) -> Decision | None:
    """What follows from the reply to a start that another resource has resolved as not happened.

    None: there is no such reply.
    """
    reply = ctx.run.intent.reply if ctx.run.intent else None
    return None if reply is None else _next_attempt(ctx)


def _next_attempt(ctx: ReconcileContext) -> Decision:
    reply = ctx.run.intent.reply if ctx.run.intent else None
    ctx = ctx.with_run(intent=None, claimed_at=None).without_start_state()
    if reply is not None and (held := not_started(ctx, reply)) is not None:
        return held
    attempt = ctx.run.attempt + 1
    ctx = ctx.with_run(attempt=attempt)
    late = attempt - FREE_ATTEMPTS - 1
    delay = 0.0 if late < 0 else backoff(FIRST_DELAY, late, MAX_DELAY)
    return ctx.requeue(
        delay,
        ConditionReason(
            Reason.STARTING if late < 0 else Reason.START_OUTCOME_UNKNOWN,
            f"The start {_lost(reply)} and has started nothing; attempt {attempt} follows.",
        ),
    )


def _lost(reply: StartReply | None) -> str:
    return (
        "was lost on its way" if reply is None else f"was answered with an error ({reply.message})"
    )


def _unknown(ctx: ReconcileContext, why: str) -> ConditionReason:
    run = ctx.status.run
    reply = run.intent.reply if run and run.intent else None
    said = "" if reply is None else f" ({reply.message})"
    return ConditionReason(
        Reason.START_OUTCOME_UNKNOWN,
        f"Whether the start was accepted is not known yet{said}: {why}. The start is not repeated "
        "before that is certain.",
    )
