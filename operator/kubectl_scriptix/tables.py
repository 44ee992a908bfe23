"""The tables of `top`, `history` and `compare`."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from rich.table import Table
from rich.text import Text

from kubectl_scriptix.runs import METRICS, RunView
from kubectl_scriptix.times import short_duration
from scriptix_operator.api.reasons import Phase, Reason
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.model.wording import timestamp
from scriptix_operator.core.status.conditions import phase_of, reason_of

__all__ = ["compare_table", "history_table", "progress_bar", "top_table"]

STYLES = {
    Phase.RUNNING: "cyan",
    Phase.SUCCEEDED: "green",
    Phase.FAILED: "red",
    Phase.SUSPENDED: "yellow",
}
"""Colours repeat what the words of the column PHASE say; they never say more."""
BAR, SHORT_BAR = 10, 6
"""Characters of a progress bar, and of one in the table of `top`."""
FULL, EMPTY = "#", "-"
"""ASCII, so that each terminal and each file shows the bar."""


def plain_table(*columns: str) -> Table:
    """A table as kubectl prints one: no lines, a header in capitals."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        # A terminal that is too narrow breaks the last column.
        table.add_column(column, overflow="fold", no_wrap=column is not columns[-1])
    return table


def progress_bar(progress: int | None, characters: int = BAR) -> str:
    """A bar of fixed width with the percentage behind it; empty where progress is not known."""
    if progress is None:
        return ""
    full = round(min(max(progress, 0), 100) / 100 * characters)
    return f"{FULL * full}{EMPTY * (characters - full)} {progress:>3}%"


def top_table(trainings: Iterable[Training], now: datetime, *, with_namespace: bool) -> Table:
    """One row for each training."""
    columns = ("NAME", "PHASE", "PROGRESS", "ETA", "QUEUE", "WER", "STAGE OR REASON")
    table = plain_table(*(("NAMESPACE", *columns) if with_namespace else columns))
    for training in trainings:
        row = _top_row(training, now)
        table.add_row(*((training.key.namespace, *row) if with_namespace else row))
    return table


def _top_row(training: Training, now: datetime) -> tuple[str | Text, ...]:
    status = training.status
    phase = phase_of(training.spec, status)
    is_running, reason = phase is Phase.RUNNING, reason_of(status)
    is_training = is_running and reason == Reason.TRAINING
    display = status.display
    eta = status.estimated_completion_at
    return (
        training.key.name,
        Text(phase.value, STYLES.get(phase, "")),
        progress_bar(status.progress, SHORT_BAR),
        short_duration(eta - now) if is_running and eta is not None else "",
        (display.queue or "") if display is not None else "",
        (display.word_error_rate or "") if display is not None else "",
        (status.stage if is_training else None) or reason or "",
    )


def history_table(runs: Iterable[RunView]) -> Table:
    """One row for each run, newest first."""
    table = plain_table("RUN", "REQUESTED BY", "OUTCOME", "STARTED", "DURATION", "WER", "REASON")
    for run in runs:
        duration, rate = run.duration, run.metric("word_error_rate")
        table.add_row(
            run.id,
            run.requested_by or "(first run)",
            run.outcome,
            "" if run.started_at is None else timestamp(run.started_at),
            "" if duration is None else short_duration(duration),
            "" if rate is None else f"{rate}%",
            run.reason,
        )
    return table


def compare_table(older: RunView, newer: RunView) -> Table:
    """Two runs side by side, with the differences of their numbers."""
    table = plain_table("", older.id, newer.id, "CHANGE")
    table.add_row("Outcome", older.outcome, newer.outcome, "")
    table.add_row("Requested by", older.requested_by, newer.requested_by, "")
    table.add_row("Started", timestamp(older.started_at), timestamp(newer.started_at), "")
    times = older.duration, newer.duration
    table.add_row("Duration", *("" if one is None else short_duration(one) for one in times), "")
    for label, field, unit, is_less_better in METRICS:
        before, after = older.metric(field), newer.metric(field)
        table.add_row(
            label,
            "" if before is None else f"{before}{unit}",
            "" if after is None else f"{after}{unit}",
            _change(before, after, unit, is_less_better=is_less_better),
        )
    table.add_row("Rating", older.metrics.rating or "", newer.metrics.rating or "", "")
    return table


def _change(
    before: Decimal | None, after: Decimal | None, unit: str, *, is_less_better: bool | None
) -> str:
    """The difference, with a word that says whether it is better."""
    if before is None or after is None:
        return ""
    difference = after - before
    if not difference:
        return "same"
    text = f"{difference:+}{' points' if unit else ''}"
    if is_less_better is None:
        return text
    return f"{text} ({'better' if (difference < 0) is is_less_better else 'worse'})"
