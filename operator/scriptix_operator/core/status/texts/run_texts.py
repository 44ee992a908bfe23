"""Texts of a run that is polled."""

from datetime import datetime

from scriptix_operator.api.reasons import Reason
from scriptix_operator.core.model.wording import duration, timestamp
from scriptix_operator.core.status.texts.registry import EXAMPLE_TIME, NOTHING, shown

__all__ = [
    "epoch_logged",
    "final_status_awaited",
    "polled_less_often",
    "previous_run_shown",
    "progress_stalled",
    "run_not_shown",
    "run_not_shown_any_more",
    "run_progress",
    "started_by_other_client",
]

EXAMPLE_STAGE = "MainTraining"


@shown(Reason.TRAINING, example={"stage": EXAMPLE_STAGE, "progress": 45}, action=NOTHING)
def run_progress(stage: str | None, progress: int | None) -> str:
    """A poll shows the run as running."""
    if progress is None:
        return "The run is in progress."
    return f"The run is in stage {stage}, at {progress}%."


@shown(Reason.TRAINING, action=NOTHING)
def final_status_awaited() -> str:
    """The run is at 100%, and the API does not show its end: follows the progress."""
    return "The operator waits for the API to report the final status."


@shown(
    Reason.PROGRESS_STALLED,
    example={"stage": EXAMPLE_STAGE, "since": EXAMPLE_TIME},
    action="Check the run at the API.",
)
def progress_stalled(stage: str | None, since: datetime | None) -> str:
    """Progress is stalled for longer than expected in the stage: follows the progress."""
    return (
        f"The run has made no progress since {timestamp(since)}, for longer than expected in stage "
        f"{stage}. The operator polls the run until spec.timeoutSeconds."
    )


@shown(
    Reason.TRAINING,
    example={"epoch": 4, "of": 10, "word_error_rate": "21.5"},
    action=NOTHING,
)
def epoch_logged(epoch: int, of: int, word_error_rate: str) -> str:
    """The log has an epoch of the run: follows the progress."""
    planned = f"/{of}" if of else ""
    return f"The log's last epoch is {epoch}{planned}, with WER {word_error_rate}%."


@shown(Reason.TRAINING, example={"seconds": 300}, action=NOTHING)
def polled_less_often(seconds: int) -> str:
    """The quota grants a longer poll interval than spec requests: follows the progress."""
    return (
        f"The operator polls about every {duration(seconds)}, because resources share the "
        "status-call quota of the API key."
    )


@shown(Reason.TRAINING, action="Check which client started the model.")
def started_by_other_client() -> str:
    """The API reports a newer run start time than that of the run: follows the progress."""
    return (
        "The API reports a newer start time than that of this run; another client may have started "
        "the model."
    )


@shown(Reason.TRAINING, action=NOTHING)
def previous_run_shown() -> str:
    """A poll after the start shows the run before."""
    return "The run has started; the API still reports the previous run."


@shown(Reason.TRAINING, action=NOTHING)
def run_not_shown() -> str:
    """A poll after the start shows no run."""
    return "The run has started; the API does not report the run as running yet."


@shown(
    Reason.UNEXPECTED_STATUS,
    example={"progress": 45, "training_status": 2},
    action="Check the run at the API.",
)
def run_not_shown_any_more(progress: int, training_status: int) -> str:
    """A poll shows the model as before the run, without a run start time."""
    return (
        f"The run was at {progress}%, but the API now reports training_status {training_status} "
        "without a start time, so the operator cannot confirm the end of the run. The operator "
        "waits at most until spec.timeoutSeconds."
    )
