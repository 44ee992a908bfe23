"""A missed quality gate that was edited: judged again, with metrics that have arrived since."""

from datetime import datetime

from scriptix_operator.core.backoff import backoff
from scriptix_operator.core.ending import conclude
from scriptix_operator.core.failures import blocked_call
from scriptix_operator.core.follow import judge, with_metrics
from scriptix_operator.core.gate import lacks_metric
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

__all__ = ["judge_again"]

TRIES = 5
"""Polls that may fail before the gate is judged by the metrics that are known."""
FIRST_WAIT = 2.0
"""Seconds after the first that fails; doubles up to RECHECK."""


def judge_again(step: Situation, observation: Observation) -> Decision:
    """Judge a missed gate after an edit; a metric that is missing is polled for before."""
    if _may_poll(step):
        match observation:
            case Woken():
                return _unjudged(step, Look())
            case LookDeferred(seconds):
                return _unjudged(step, Rest(seconds))
            case LookFailed(failure=call) if not blocked_call(call):
                failed = step.memory.failed_looks + 1
                if failed < TRIES:
                    step = step.remembering(failed_looks=failed)
                    return _unjudged(step, Rest(backoff(FIRST_WAIT, failed - 1, RECHECK)))
            case ModelSeen(model=model) if _is_of_run(step, model):
                known = with_metrics(step.status.metrics, model.metrics)
                step = step.having(metrics=known)
            case _:
                pass
    status, note = judge(step.spec, step.status)
    return conclude(step.having_status(status).remembering(failed_looks=0), note)


def _may_poll(step: Situation) -> bool:
    """Whether a poll may bring what the gate lacks, and tell that it is of this run."""
    is_lacking = lacks_metric(step.spec.quality_gate, step.status.metrics)
    return is_lacking and not step.spec.suspend and _start_time(step) is not None


def _is_of_run(step: Situation, model: RemoteModel) -> bool:
    is_success = model.training_status == TrainingState.SUCCEEDED
    return is_success and model.started_at == _start_time(step)


def _start_time(step: Situation) -> datetime | None:
    """The run start time that polls have shown."""
    return step.status.run.started_training_at if step.status.run else None


def _unjudged(step: Situation, action: Look | Rest) -> Decision:
    """Go on with the status as recorded: it must not show the edit as observed."""
    return Decision(step.recorded or step.status, action, step.memory)
