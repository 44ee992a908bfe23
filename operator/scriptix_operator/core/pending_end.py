"""A pending end: the API shows that the run has ended, and not yet its results.

A pending end is recorded at once, polled a few times for its results, and then believed without
them. When the polls are due follows from the recorded time, so a restart adds none.
"""

from datetime import timedelta

from scriptix_operator.api.reasons import Phase, Reason
from scriptix_operator.core.derive import Note
from scriptix_operator.core.gate import lacks_metric
from scriptix_operator.core.observation import Decision, Look
from scriptix_operator.core.remote import TrainingState
from scriptix_operator.core.situation import Situation

__all__ = ["POLLS", "await_results", "is_wait_over", "poll_results", "with_next_poll"]

POLLS = (2 / 120, 7 / 120, 17 / 120, 47 / 120, 110 / 120)
"""When the results are polled for, as parts of the wait: most arrive within seconds."""


def await_results(step: Situation) -> Decision:
    """Say what is awaited, until the next poll for it."""
    step, until, run = with_next_poll(step), step.results_until, step.run
    if step.is_verdict_held:
        text = (
            "The API shows that the training has succeeded. The run is neither judged nor "
            "published before its quality gate can be read."
        )
        return step.rest(None, Note(Reason.TRAINING, text))
    shown = run.pending_end.training_status if run.pending_end else ""
    text = (
        f"The API shows that the training has ended (training_status {shown}); its results are "
        f"awaited until {until:%H:%M:%SZ}."
    )
    return step.rest(None, Note(Reason.TRAINING, text))


def poll_results(step: Situation) -> Decision:
    """Poll for the results where that is due; a new process leaves out what is past."""
    due = step.memory.results_poll_at
    return await_results(step) if due is None or step.now < due else step.answer(Look())


def with_next_poll(step: Situation) -> Situation:
    """With the time of the next poll for the results of a pending end, if there is one."""
    until = step.results_until
    if until is None:
        return step
    whole = step.durations.results
    times = (until - timedelta(seconds=whole * (1 - part)) for part in POLLS)
    return step.remembering(results_poll_at=next((at for at in times if at > step.now), until))


def is_wait_over(step: Situation) -> bool:
    """Whether a pending end is to be believed as it is."""
    until, run = step.results_until, step.status.run
    if until is None or run is None or run.pending_end is None or step.is_verdict_held:
        return False
    if step.now >= until or (step.deadline is not None and step.now >= step.deadline):
        return True
    if step.status.phase == Phase.SUSPENDED and not step.spec.suspend:
        return True  # resumed: whatever happened meanwhile, this end was seen
    # The gate was edited, or the results were seen and could not be published.
    is_success = run.pending_end.training_status == TrainingState.SUCCEEDED
    return is_success and not lacks_metric(step.spec.quality_gate, step.status.metrics)
