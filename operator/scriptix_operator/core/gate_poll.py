"""A quality gate that was edited after the end of the run.

A run that missed it is judged again, with metrics that have arrived since. A result that is
published stays published.
"""

from scriptix_operator.api.spec import TrainingSpec
from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.backoff import backoff
from scriptix_operator.core.derive import Note
from scriptix_operator.core.ending import conclude
from scriptix_operator.core.follow import (
    is_of_run,
    judge,
    naming_unreadable,
    trained_note,
    with_metrics,
)
from scriptix_operator.core.gate import changed_gate, lacks_metric
from scriptix_operator.core.observation import (
    Decision,
    Look,
    LookDeferred,
    LookFailed,
    ModelSeen,
    Observation,
    Rest,
    Woken,
)
from scriptix_operator.core.remote import RemoteModel, TrainingState
from scriptix_operator.core.situation import RECHECK, Situation

__all__ = ["judge_again", "published_note"]

TRIES = 5
"""Polls that may fail before the gate is judged by the metrics that are known."""
FIRST_WAIT = 2.0
"""Seconds after the first that fails; doubles up to RECHECK."""


def judge_again(step: Situation, observation: Observation) -> Decision:
    """Judge a missed gate after an edit; a metric that is missing is polled for before."""
    unreadable: tuple[str, ...] = ()
    if _may_poll(step):
        match observation:
            case Woken():
                return _unjudged(step, Look())
            case LookDeferred(seconds):
                return _unjudged(step, Rest(seconds))
            case LookFailed():
                failed = step.memory.failed_looks + 1
                if failed < TRIES:
                    step = step.remembering(failed_looks=failed)
                    return _unjudged(step, Rest(backoff(FIRST_WAIT, failed - 1, RECHECK)))
            case ModelSeen(model=model) if _is_of_run(step, model):
                known = with_metrics(step.status.metrics, model.metrics)
                step, unreadable = step.having(metrics=known), model.unreadable
            case _:
                pass
    status, note = judge(step.spec, step.status)
    status = naming_unreadable(status, step.status.failure, unreadable)
    return conclude(step.having_status(status).remembering(failed_looks=0), note)


def published_note(spec: TrainingSpec, status: TrainingStatus, note: Note | None) -> Note:
    """What is said of a published result after an edit, which changes nothing of it.

    Args:
        spec: As edited.
        status: With the result.
        note: What is said of it already; None: as when it was published.
    """
    note, changed = note or trained_note(status), changed_gate(spec.quality_gate, status.metrics)
    return note if changed is None else Note(note.reason, f"{note.message} {changed}")


def _may_poll(step: Situation) -> bool:
    """Whether a poll may bring what the gate lacks, and tell that it is of this run."""
    is_lacking = lacks_metric(step.spec.quality_gate, step.status.metrics)
    is_known = step.status.run is not None and step.status.run.started_training_at is not None
    return is_lacking and is_known and not step.spec.suspend


def _is_of_run(step: Situation, model: RemoteModel) -> bool:
    return model.training_status == TrainingState.SUCCEEDED and is_of_run(step.status, model)


def _unjudged(step: Situation, action: Look | Rest) -> Decision:
    """Go on with the status as recorded: it must not show the edit as observed."""
    return Decision(step.recorded or step.status, action, step.memory)
