"""Which entries of the remote log are of a run: the API may give those of earlier runs too."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from scriptix_operator.api.status import Run, TrainingStatus
from scriptix_operator.core.derive import has_ended
from scriptix_operator.core.logbook import Book
from scriptix_operator.core.loglines import UNTIMED, second_of
from scriptix_operator.core.remote import TrainingState
from scriptix_operator.core.training import Training

__all__ = ["Window", "next_run_at", "window_of"]

TOLERANCE = 30
"""Seconds by which the clock of the log may be behind those of the model and of the operator."""

ENDS = frozenset({TrainingState.SUCCEEDED, TrainingState.FAILED})


@dataclass(frozen=True, slots=True)
class Window:
    """The seconds of a run, by the clock of the log."""

    since: int = UNTIMED
    """The first second."""
    until: int | None = None
    """From this second on entries are of a later run."""
    is_open: bool = False
    """Where no entry is in the window, all are the run's."""


def window_of(status: TrainingStatus, book: Book, next_run: datetime | None = None) -> Window:
    """Find the entries of the run in status.

    They are newer than the last line of the run before, where that is stored; all, on a model that
    was never trained; else those since the start of the run. What was found once holds for all
    later fetches: start times in status may change.

    Args:
        status: With the run.
        book: What is stored.
        next_run: When another run of the model began after this one.

    Raises:
        ValueError: There is no run in status.
    """
    run = status.run
    if run is None:
        raise ValueError("there is no run whose log could be told from others")
    until = None if next_run is None else second_of(next_run)
    if book.run_id == run.id:
        return Window(book.since, until)
    has_other = book.end.lines > 0
    if has_other and status.history and status.history[0].id == book.run_id:
        return Window(book.end.at + 1, until)
    if _is_first_of_model(run) or status.started_at is None:
        return Window(UNTIMED, until)
    # Whichever clock is behind: start times may be local times, taken for UTC.
    began = min(status.started_at, run.claimed_at or status.started_at)
    since = max(second_of(began) - TOLERANCE, book.end.at + 1)
    return Window(since, until, is_open=has_ended(status))


def _is_first_of_model(run: Run) -> bool:
    before = run.baseline
    if before is None:
        return False
    return before.started_training_at is None and before.training_status not in ENDS


def next_run_at(training: Training, others: Iterable[Training]) -> datetime | None:
    """When another resource began a run of the model after this one's had ended; None: none has."""
    log = training.status.log
    if log is None or log.end_seen_at is None:
        return None
    runs = (other.status.run for other in others)
    times = [run.claimed_at for run in runs if run is not None and run.claimed_at is not None]
    return min((at for at in times if at >= log.end_seen_at), default=None)
