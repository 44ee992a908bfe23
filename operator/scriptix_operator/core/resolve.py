"""A start whose outcome is not known: read it from the model (DESIGN §4, step 5).

The model is compared with the baseline of the request's first attempt. "Ours" needs one look;
"not happened" needs two looks that agree, and enough time for a POST still on its way to act.
"""

from enum import Enum, auto

from scriptix_operator.api.reasons import FailureReason, Ownership, Reason
from scriptix_operator.api.status import Baseline
from scriptix_operator.core.backoff import backoff
from scriptix_operator.core.derive import Note
from scriptix_operator.core.ending import conclude
from scriptix_operator.core.failures import failure
from scriptix_operator.core.follow import follow
from scriptix_operator.core.observation import Decision, ModelSeen
from scriptix_operator.core.remote import RemoteModel, TrainingState
from scriptix_operator.core.situation import RESOLVE, Situation

__all__ = ["Verdict", "acted_after_all", "compare", "resolve"]

FREE_ATTEMPTS = 3
"""So many POSTs follow one another; then the delay doubles."""
FIRST_DELAY, MAX_DELAY = 60.0, 3600.0


class Verdict(Enum):
    """What a look says of an open intent."""

    OURS = auto()
    """The start has acted."""
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
            return Verdict.NOT_HAPPENED if marker == before else Verdict.UNDECIDED
        case TrainingState.NOT_READY | TrainingState.READY:
            return Verdict.CONSUMED if changed else Verdict.NOT_HAPPENED
        case _:
            return Verdict.UNDECIDED


def resolve(step: Situation, model: RemoteModel) -> Decision:
    """Decide on an open intent by a look at the model."""
    run, intent = step.run, step.run.intent
    if intent is None:
        raise ValueError(f"{step.training.key} has no open intent")
    if step.memory.intent_seen_at is None:
        # Written by a process before this one: its POST may be on its way still.
        step = step.remembering(intent_seen_at=step.now)
    verdict = Verdict.UNDECIDED if run.baseline is None else compare(run.baseline, model)
    match verdict:
        case Verdict.OURS:
            return _ours(step, model)
        case Verdict.CONSUMED:
            return _consumed(step, model)
        case Verdict.NOT_HAPPENED:
            return _not_happened(step)
        case Verdict.UNDECIDED:
            return step.remembering(agreed_at=None).rest(
                min(step.poll, RESOLVE), _unknown("what the API shows of the model does not tell")
            )


def acted_after_all(step: Situation, seen: ModelSeen) -> Decision | None:
    """What a look says of earlier attempts at a request that is to be tried again.

    They were taken for not happened. Should one have acted after all, another start would be the
    second for one request.
    """
    run = step.status.run
    if run is None or run.baseline is None or seen.in_use is not None:
        return None
    match compare(run.baseline, seen.model):
        case Verdict.OURS:
            return _ours(step, seen.model)
        case Verdict.CONSUMED:
            return _consumed(step, seen.model)
        case _:
            return None


def _ours(step: Situation, model: RemoteModel) -> Decision:
    named = step.run.intent.started_training_at if step.run.intent else None
    sure = named is not None and named == model.started_at
    owner = Ownership.OWNED if sure else Ownership.UNCONFIRMED
    # An earlier attempt that was taken for not happened has left no time to count from.
    claimed_at = step.run.claimed_at or step.now.replace(microsecond=0)
    step = step.having_run(ownership=owner.value, intent=None, claimed_at=claimed_at)
    # The marker is this run's from now on, even where the API has not given it a new one.
    step = step.having(started_at=model.started_at, queue=None)
    step = step.remembering(intent_seen_at=None, agreed_at=None, refusals=0, log_wanted=True)
    status, note = follow(step.spec, step.status, model, step.now)
    return conclude(step.having_status(status), note)


def _consumed(step: Situation, model: RemoteModel) -> Decision:
    text = (
        "The training was started and has ended, but the model was changed since, so the "
        "outcome cannot be read any more."
    )
    step = step.having_run(ownership=Ownership.UNCONFIRMED.value, intent=None)
    return conclude(
        step.having(
            failure=failure(FailureReason.UNKNOWN, text),
            started_at=model.started_at,
            finished_at=step.now.replace(microsecond=0),
            queue=None,
        )
    )


def _not_happened(step: Situation) -> Decision:
    """Believe two looks that agree, both after a POST on its way must have acted.

    One look would do if none were stale; a stale one shows the model as it was before that time.
    """
    memory, durations = step.memory, step.durations
    note = _unknown("the API shows no new training so far")
    seen_at = memory.intent_seen_at or step.now
    needed = durations.settle if memory.reset_seen else durations.unseen
    left = needed - (step.now - seen_at).total_seconds()
    if left > 0:
        return step.rest(min(left, max(step.poll, durations.agree)), note)
    if memory.agreed_at is None:
        return step.remembering(agreed_at=step.now).rest(durations.agree, note)
    left = durations.agree - (step.now - memory.agreed_at).total_seconds()
    if left > 0:
        return step.rest(left, note)
    attempt = step.run.attempt + 1
    step = step.having_run(attempt=attempt, intent=None, claimed_at=None)
    step = step.remembering(intent_seen_at=None, agreed_at=None, reset_seen=False)
    late = attempt - FREE_ATTEMPTS - 1
    delay = 0.0 if late < 0 else backoff(FIRST_DELAY, late, MAX_DELAY)
    return step.rest(
        delay,
        Note(
            Reason.STARTING,
            f"The start was lost on its way and has started nothing; attempt {attempt} follows.",
        ),
    )


def _unknown(why: str) -> Note:
    return Note(
        Reason.START_OUTCOME_UNKNOWN,
        f"Whether the start was accepted is not known yet: {why}. The start is not repeated "
        "before that is certain.",
    )
