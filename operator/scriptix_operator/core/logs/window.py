"""The entries of the remote log that belong to a run: the API may give other runs' entries too."""

from dataclasses import dataclass

from scriptix_operator.api.status import Run, TrainingStatus
from scriptix_operator.core.logs.lines import UNTIMED, second_of
from scriptix_operator.core.logs.segments import LogIndex
from scriptix_operator.core.model.remote import ENDS

__all__ = ["Window", "window_of"]

TOLERANCE = 30
"""Seconds by which the clock of the log may be behind those of the model and of the operator."""


@dataclass(frozen=True, slots=True)
class Window:
    """The seconds of a run, by the clock of the log."""

    since: int = UNTIMED
    """The first second of the window."""
    is_open: bool = False
    """All entries belong to the run where none is in the window, …"""
    stored_until: int = UNTIMED
    """… unless the newest entry is of this second: then all belong to stored runs."""


def window_of(status: TrainingStatus, log_index: LogIndex, *, is_last: bool = False) -> Window:
    """Find the entries of the run in status.

    The entries of the run are newer than the last line of the previous run, where that is stored.
    On a model that was never trained, all entries belong to the run; else those since the start of
    the run. A window that was found once holds for all later fetches: start times in status may
    change.

    Args:
        status: With the run.
        log_index: The stored log.
        is_last: No other fetch follows. Before the last fetch, the API may still have to write the
            entries of the run, so those of earlier runs are not taken for them.

    Raises:
        ValueError: There is no run in status.
    """
    run = status.run
    if run is None:
        raise ValueError("the status has no run, so no entry can belong to one")
    is_same_run = log_index.run_id == run.id
    if is_same_run and log_index.since is not None:
        return Window(log_index.since)
    stored_until = UNTIMED if is_same_run else log_index.end.at
    has_other = log_index.end.lines > 0
    if has_other and status.history and status.history[0].id == log_index.run_id:
        return Window(stored_until + 1, is_last, stored_until)
    if _is_first_of_model(run) or status.started_at is None:
        return Window()
    # The earlier of both clocks: start times may be local times that were taken for UTC.
    began = min(status.started_at, run.claimed_at or status.started_at)
    since = max(second_of(began) - TOLERANCE, stored_until + 1)
    return Window(since, is_last, stored_until)


def _is_first_of_model(run: Run) -> bool:
    before = run.baseline
    if before is None:
        return False
    return before.started_training_at is None and before.training_status not in ENDS
