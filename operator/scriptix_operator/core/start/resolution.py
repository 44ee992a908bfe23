"""In-doubt transaction resolution: what became of a start whose reply was lost.

The textbook idea is write-ahead logging with recovery. Status has the intent, and the ledger the
in-flight start, before the POST is sent. A POST without a recorded outcome is in doubt, and polls
of the model resolve the doubt (docs/start-protocol.md, step 5).

    intent ──▶ POST ──▶ reply ───────────────────────▶ core/start/reply.py
                 │
                 └──▶ no reply ──▶ poll ──┬─ ours ───────────▶ follow the run
                                    ▲     ├─ consumed ───────▶ end the run, outcome Unknown
                                    │     ├─ not happened ───▶ once two polls agree: start again
                                    └─────┴─ undecided

`compare` is this table. Rows are training_status of the poll. In the columns, the run start time of
the poll is that of the baseline, is a later one, or cannot be read:

    training_status          same                       later       unreadable
    1 not ready, 2 ready     not happened               consumed    undecided
    3 running                ours                       ours        ours
    4 succeeded, 5 failed    not happened, or ours (*)  ours        undecided, or ours (*)
    any other                undecided                  undecided   undecided

(*) ours if the model was ready (2) in the baseline: only a start leads from there to an end. A run
start time before the baseline's is a stale read, and undecided in each row. An absent one, where
the baseline has one, counts as the same, but leaves a 4 or 5 without (*) undecided.

The baseline is from before the first attempt of the run (a retry is a new run); later attempts of
the run keep it. "Ours" needs one poll, or two where one may show the previous run; "not happened"
needs two polls that agree, and time for a POST in flight to act.

Each resource that needs the model resolves the model's in-flight start, even if another resource
began that start: the other resource may be gone, re-created, suspended, or without a usable key.
"""

from dataclasses import replace
from datetime import timedelta
from enum import Enum, auto

from scriptix_operator.api.reasons import FailureReason, Ownership, Reason
from scriptix_operator.api.status import Baseline
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
from scriptix_operator.core.reconcile.vocabulary import Decision, ModelPolled
from scriptix_operator.core.requests.requests import next_run
from scriptix_operator.core.start.competing_trainings import is_start_of, shown_name
from scriptix_operator.core.start.reply import not_started
from scriptix_operator.core.start.staleness import is_stale
from scriptix_operator.core.start.start_decision import may_be_hidden_run, wait_for_hidden
from scriptix_operator.core.status.conditions import ConditionReason, is_blocked, is_finished
from scriptix_operator.core.status.texts import start_texts, waiting_texts

__all__ = [
    "ObservedOutcome",
    "acted_after_all",
    "compare",
    "decision_by_kept_reply",
    "newly_polled_start",
    "recorded_outcome",
    "resolve",
    "resolve_other_start",
]

IMMEDIATE_ATTEMPTS = 3
"""Attempts of one run that follow each other without a delay."""
REPEAT_DELAY = 3600.0
"""Seconds before each further attempt: one model whose starts have no effect must not use up the
start quota of the others."""

UNDECIDED_FOR = 180.0
"""Each time that polls have decided nothing for so long, the poll interval doubles."""
DELETED_POLL = 600.0
"""Longest poll interval, in seconds, while a resource that is being deleted has a start with
unknown outcome."""


class ObservedOutcome(Enum):
    """What a poll shows of a start with unknown outcome."""

    OURS = auto()
    """The start has acted."""
    CONSUMED = auto()
    """The start acted, the run ended, and the model was changed since."""
    NOT_HAPPENED = auto()
    """The start has not acted, by this poll."""
    UNDECIDED = auto()
    """This poll decides nothing."""


def compare(baseline: Baseline, model: RemoteModel) -> ObservedOutcome:
    """Compare a poll with the model as it was before the first attempt of the run."""
    run_start_time, before = model.started_at, baseline.started_training_at
    if run_start_time is not None and before is not None and run_start_time < before:
        return ObservedOutcome.UNDECIDED  # older than the baseline: a stale read
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
    """Whether the polled run may be the run before the start, in a stale read.

    That is possible with the baseline's run start time, and with an unreadable one, unless the
    model is running and was never trained before.
    """
    before = baseline.started_training_at
    if model.is_start_time_unreadable:
        return before is not None or model.training_status != TrainingState.RUNNING
    return model.started_at is not None and model.started_at == before


def resolve(ctx: ReconcileContext, seen: ModelPolled, in_flight: InFlightStart) -> Decision:
    """Decide on the resource's own start by a poll of the model."""
    ctx, observed = _observed_outcome(
        _with_in_flight_start(ctx, in_flight), seen, in_flight.baseline
    )
    match observed:
        case ObservedOutcome.OURS | ObservedOutcome.CONSUMED:
            return replace(
                _owned_or_consumed(ctx, seen, observed), start_outcome=_acted(in_flight, seen.model)
            )
        case ObservedOutcome.NOT_HAPPENED:
            ctx, left = _patience(ctx, seen)
            if left > 0:
                return ctx.requeue(left, _unknown(ctx, start_texts.no_run_yet()))
            return replace(_next_attempt(ctx), start_outcome=StartOutcome(in_flight, acted=False))
        case ObservedOutcome.UNDECIDED:
            return _undecided(ctx, seen)


def resolve_other_start(
    ctx: ReconcileContext, seen: ModelPolled, in_flight: InFlightStart
) -> tuple[ReconcileContext, Decision | StartOutcome]:
    """Decide on the in-flight start of another resource, the starter, which holds this one up.

    Returns:
        The decision while the start still holds this resource up; else the outcome of the start,
        and this resource may continue.
    """
    starter = next((t for t in (ctx.training, *seen.competitors) if t.uid == in_flight.uid), None)
    if starter is not None:
        known = recorded_outcome(in_flight, starter)
        if known is not None:
            return ctx, known
        is_over = starter.is_being_deleted or is_finished(starter.status)
        if is_over or not is_start_of(in_flight, starter):
            starter = None  # the starter needs no outcome any more
        elif not (starter.spec.suspend or is_blocked(starter.status)):
            return ctx, _wait_for_starter(ctx, starter)  # the starter resolves its own start
    elif seen.is_starter_unlisted:
        return ctx, _wait_for_unlisted_starter(ctx, in_flight)
    return _resolve_orphan(ctx, seen, in_flight, starter)


def _resolve_orphan(
    ctx: ReconcileContext, seen: ModelPolled, in_flight: InFlightStart, starter: Training | None
) -> tuple[ReconcileContext, Decision | StartOutcome]:
    """Resolve a start whose resource is gone or cannot do so; `starter` waits for the outcome."""
    ctx, observed = _observed_outcome(
        _with_in_flight_start(ctx, in_flight), seen, in_flight.baseline
    )
    match observed:
        case ObservedOutcome.OURS | ObservedOutcome.CONSUMED if starter is not None:
            return ctx, _wait_for_starter(ctx, starter)
        case ObservedOutcome.OURS | ObservedOutcome.CONSUMED:
            start_outcome = _acted(in_flight, seen.model)
            if not _is_namesake(in_flight, ctx.training):
                return ctx.without_in_flight_start(), start_outcome
            # Re-created from the same manifest: the resource asks for this run, whatever
            # spec.existingTraining says.
            ctx = ctx.with_facts(run=next_run(ctx.training))
            return ctx, replace(
                _owned_or_consumed(ctx, seen, observed), start_outcome=start_outcome
            )
        case ObservedOutcome.NOT_HAPPENED:
            ctx, left = _patience(ctx, seen)
            if left > 0:
                condition_reason = _unknown(ctx, start_texts.no_run_yet())
                return ctx, ctx.requeue(left, condition_reason)
            return ctx.without_in_flight_start(), StartOutcome(in_flight, acted=False)
        case ObservedOutcome.UNDECIDED:
            return ctx, _undecided(ctx, seen)


def recorded_outcome(in_flight: InFlightStart, training: Training) -> StartOutcome | None:
    """The outcome of a start as the status of its resource records it; None: not recorded.

    The status is recorded before the in-flight start is resolved, so a crash may leave the
    in-flight start behind. A status without an intent for this attempt says nothing: a process that
    was paused or had lost the leadership may have read the status before the intent was written.
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
    """The outcome that adds the polled run start time of a followed run to the ledger.

    The reply to the start has resolved the in-flight start; the run start time in the reply does
    not count. Until the ledger knows the run, a stale read could show another resource the previous
    run, once this resource is gone. No in-flight start has the serial of this outcome.
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
    """What a poll shows of earlier attempts at a request that is to be retried.

    The earlier attempts were taken for not happened. If one has acted after all, another start
    would be the second for one request.
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
        case ObservedOutcome.UNDECIDED if ctx.state.start.unconfirmed_run_at is not None:
            return ctx, _undecided(ctx, seen)
        case _:
            return ctx, None


def _observed_outcome(
    ctx: ReconcileContext, seen: ModelPolled, baseline: Baseline
) -> tuple[ReconcileContext, ObservedOutcome]:
    """The outcome that a poll shows, if the poll is no stale read.

    A run that may be the previous one, in a stale read, is believed when a second poll shows it.
    """
    if is_stale(ctx.training, seen):
        return ctx.with_start(unconfirmed_run_at=None), ObservedOutcome.UNDECIDED
    observed = compare(baseline, seen.model)
    if observed is not ObservedOutcome.OURS or not _may_be_the_one_before(baseline, seen.model):
        return ctx.with_start(unconfirmed_run_at=None), observed
    first = ctx.state.start.unconfirmed_run_at
    if first is None:
        return ctx.with_start(unconfirmed_run_at=ctx.now), ObservedOutcome.UNDECIDED
    apart = ((seen.asked_at or ctx.now) - first).total_seconds()
    return ctx, observed if apart >= ctx.durations.agree else ObservedOutcome.UNDECIDED


def _with_in_flight_start(ctx: ReconcileContext, in_flight: InFlightStart) -> ReconcileContext:
    """With the in-flight start, whose POST may act yet, and when this process first saw it."""
    if ctx.state.start.in_flight == in_flight:
        return ctx
    return ctx.without_in_flight_start().with_start(in_flight=in_flight, intent_seen_at=ctx.now)


def _patience(ctx: ReconcileContext, seen: ModelPolled) -> tuple[ReconcileContext, float]:
    """Seconds until the next poll that may show "not happened"; 0: that is certain now.

    "Not happened" takes two polls that agree, both after a POST in flight must have acted. One poll
    is not enough: a stale read shows the model as it was before that time.
    """
    state, durations, as_of = ctx.state.start, ctx.durations, seen.asked_at or ctx.now
    seen_at = state.intent_seen_at or ctx.now
    needed = durations.grace_period if state.reset_seen else durations.longest_in_flight
    left = needed - (as_of - seen_at).total_seconds()
    if left > 0:
        return ctx, min(left, max(ctx.requested_interval, durations.agree))
    if state.not_happened_at is None:
        return ctx.with_start(not_happened_at=ctx.now), durations.agree
    return ctx, max(durations.agree - (as_of - state.not_happened_at).total_seconds(), 0.0)


def _undecided(ctx: ReconcileContext, seen: ModelPolled) -> Decision:
    """Poll again: soon at first, and less often while the polls decide nothing.

    After a restart the polls are frequent again. A run that one poll has shown is polled at once.
    """
    text = start_texts.status_undecided(seen.model.training_status)
    condition_reason = _unknown(ctx, text)
    since, doublings = ctx.state.start.intent_seen_at, 0
    if since is not None and ctx.state.start.unconfirmed_run_at is None:
        doublings = int((ctx.now - since).total_seconds() // UNDECIDED_FOR)
    most = DELETED_POLL if ctx.training.is_being_deleted else ctx.requested_interval
    wait = backoff(min(ctx.requested_interval, RESOLVE), doublings, most)
    return ctx.with_start(not_happened_at=None).requeue(wait, condition_reason)


def _wait_for_starter(ctx: ReconcileContext, starter: Training) -> Decision:
    condition_reason = ConditionReason(
        Reason.MODEL_IN_USE,
        waiting_texts.started_by_other(shown_name(starter.key, ctx.training)),
    )
    return ctx.with_facts(queue=None).requeue(ctx.next_poll_in, condition_reason)


def _wait_for_unlisted_starter(ctx: ReconcileContext, in_flight: InFlightStart) -> Decision:
    """Wait for the resource of the in-flight start, which may exist and cannot be seen."""
    name = shown_name(TrainingKey(in_flight.namespace, in_flight.name), ctx.training)
    condition_reason = ConditionReason(
        Reason.MODEL_IN_USE,
        waiting_texts.started_by_unlisted(name),
    )
    return ctx.with_facts(queue=None).requeue(ctx.next_poll_in, condition_reason)


def _is_namesake(in_flight: InFlightStart, training: Training) -> bool:
    """Whether the start belongs to an earlier resource of this name, which was re-created."""
    key = training.key
    is_same = (in_flight.namespace, in_flight.name) == (key.namespace, key.name)
    return is_same and training.uid != in_flight.uid and training.status.run is None


def _acted(in_flight: InFlightStart, model: RemoteModel) -> StartOutcome:
    changed = model.started_at != in_flight.baseline.started_training_at
    return StartOutcome(in_flight, acted=True, run_start_time=model.started_at if changed else None)


def _owned_or_consumed(
    ctx: ReconcileContext, seen: ModelPolled, observed: ObservedOutcome
) -> Decision:
    """Follow the run that the start has begun, or end it with an unknown outcome."""
    return (
        _ours(ctx, seen)
        if observed is ObservedOutcome.OURS
        else consumed(ctx, seen.model.started_at)
    )


def _ours(ctx: ReconcileContext, seen: ModelPolled) -> Decision:
    # An earlier attempt that was taken for not happened has left no claimedAt.
    claimed_at = ctx.run.claimed_at or ctx.now.replace(microsecond=0)
    ctx = ctx.with_run(
        ownership=Ownership.UNCONFIRMED.value,
        intent=None,
        claimed_at=claimed_at,
        # The run start time of this run from now on, even where it equals the baseline's.
        started_training_at=seen.model.started_at,
    ).without_in_flight_start()
    ctx = ctx.with_facts(started_at=seen.model.started_at, queue=None)
    ctx = ctx.with_start(refusals=0).with_log_fetches(is_wanted=True)
    status, condition_reason = follow(ctx.spec, ctx.status, seen.model, ctx.now, seen.past)
    return conclude(ctx.with_status(status), condition_reason)


def decision_by_kept_reply(ctx: ReconcileContext) -> Decision | None:
    """Decide by the reply to a start that another resource has resolved as not happened.

    Returns:
        The decision; None where there is no such reply.
    """
    reply = ctx.run.intent.reply if ctx.run.intent else None
    return None if reply is None else _next_attempt(ctx)


def _next_attempt(ctx: ReconcileContext) -> Decision:
    reply = ctx.run.intent.reply if ctx.run.intent else None
    ctx = ctx.with_run(intent=None, claimed_at=None).without_in_flight_start()
    if reply is not None and (decision := not_started(ctx, reply)) is not None:
        return decision
    attempt, said = ctx.run.attempt + 1, "" if reply is None else reply.message
    if attempt <= IMMEDIATE_ATTEMPTS:
        text = start_texts.start_had_no_effect(attempt, said)
        return ctx.with_run(attempt=attempt).requeue(0.0, ConditionReason(Reason.STARTING, text))
    # A fact in status: neither a restart nor an edit shortens the delay.
    next_attempt_at = ctx.now.replace(microsecond=0) + timedelta(seconds=REPEAT_DELAY)
    text = start_texts.start_had_no_effect(attempt, said, next_attempt_at)
    return ctx.with_run(attempt=attempt, next_attempt_at=next_attempt_at).requeue(
        REPEAT_DELAY, ConditionReason(Reason.START_OUTCOME_UNKNOWN, text)
    )


def _unknown(ctx: ReconcileContext, why: str) -> ConditionReason:
    run = ctx.status.run
    reply = run.intent.reply if run and run.intent else None
    return ConditionReason(
        Reason.START_OUTCOME_UNKNOWN,
        start_texts.outcome_unknown("" if reply is None else reply.message, why),
    )
