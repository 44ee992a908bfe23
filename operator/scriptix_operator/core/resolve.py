"""A start whose outcome is not known: read it from the model (DESIGN §4, step 5).

The model is compared with the baseline of the request's first attempt. "Ours" needs one look;
"not happened" needs two looks that agree, and enough time for a POST still on its way to act.
"""

from enum import Enum, auto

from scriptix_operator.api.reasons import FailureReason, Ownership, Reason
from scriptix_operator.api.status import Baseline
from scriptix_operator.core.derive import Note
from scriptix_operator.core.ending import conclude
from scriptix_operator.core.failures import failure
from scriptix_operator.core.follow import follow
from scriptix_operator.core.observation import Decision
from scriptix_operator.core.remote import RemoteModel, TrainingState
from scriptix_operator.core.situation import RESOLVE, Situation

__all__ = ["Verdict", "compare", "resolve"]

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
    if before is not None and (marker is None or marker < before):
        return Verdict.UNDECIDED  # older than what is known: a stale reply
    changed = marker != before
    match model.training_status:
        case TrainingState.RUNNING:
            return Verdict.OURS
        case TrainingState.SUCCEEDED | TrainingState.FAILED:
            was_ready = baseline.training_status == TrainingState.READY
            return Verdict.OURS if was_ready or changed else Verdict.NOT_HAPPENED
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
            named = intent.started_training_at is not None
            mine = named and intent.started_training_at == model.started_at
            owner = Ownership.OWNED if mine else Ownership.UNCONFIRMED
            step = step.having_run(ownership=owner.value, intent=None)
            step = step.remembering(intent_seen_at=None, agreed_at=None, log_wanted=True)
            status, note = follow(step.spec, step.status, model, step.now)
            return conclude(step.having_status(status), note)
        case Verdict.CONSUMED:
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
                )
            )
        case Verdict.NOT_HAPPENED:
            return _not_happened(step)
        case Verdict.UNDECIDED:
            return step.remembering(agreed_at=None).rest(
                min(step.poll, RESOLVE), _unknown("what the API shows of the model does not tell")
            )


def _not_happened(step: Situation) -> Decision:
    memory, durations = step.memory, step.durations
    if memory.agreed_at is None:
        return step.remembering(agreed_at=step.now).rest(
            min(step.poll, durations.agree), _unknown("the API shows no new training so far")
        )
    seen_at = memory.intent_seen_at or step.now
    needed = durations.settle if memory.reset_seen else durations.unseen
    agreed = (step.now - memory.agreed_at).total_seconds()
    waited = (step.now - seen_at).total_seconds()
    left = max(durations.agree - agreed, needed - waited)
    if left > 0:
        return step.rest(
            min(left, max(step.poll, durations.agree)),
            _unknown("the API shows no new training so far"),
        )
    attempt = step.run.attempt + 1
    step = step.having_run(attempt=attempt, intent=None, claimed_at=None)
    step = step.remembering(intent_seen_at=None, agreed_at=None, reset_seen=False)
    late = attempt - FREE_ATTEMPTS - 1
    delay = 0.0 if late < 0 else min(FIRST_DELAY * 2 ** min(late, 16), MAX_DELAY)
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
