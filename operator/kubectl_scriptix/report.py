"""A report of a training: one HTML file that refers to nothing outside."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape

from kubectl_scriptix.curves import curve_of, draw_svg
from kubectl_scriptix.runs import METRICS, RunView, runs_of
from kubectl_scriptix.times import short_duration
from kubectl_scriptix.why import explain
from scriptix_operator.core.logs.lines import Line
from scriptix_operator.core.model.progress import STAGES
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.model.wording import timestamp

__all__ = ["report"]

EXCERPT = 40
"""Lines of the log that a report shows: the last ones."""
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;
border-bottom:1px solid #ddd}pre{background:#f6f6f6;padding:1rem;overflow-x:auto;font-size:13px}
svg{max-width:100%;height:auto}h2{margin-top:2rem}.bar{background:#eee}.bar i{display:block;
background:#0072b2;height:.8rem}
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""The page loads and runs nothing, whatever the texts of the API contain."""


def report(training: Training, log: Sequence[Line], now: datetime) -> str:
    """The whole document.

    Args:
        training: The training.
        log: The stored lines of the log.
        now: The time of the report.
    """
    title = f"Training {training.key}"
    body = "".join(_sections(training, log, now))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><h1>{escape(title)}</h1>{body}"
        f"<p><small>Made by kubectl scriptix at {timestamp(now)}.</small></p></body></html>\n"
    )


def _sections(training: Training, log: Sequence[Line], now: datetime) -> Iterator[str]:
    runs = runs_of(training)
    yield f"<p>{escape(explain(training, now))}</p>"
    if runs:
        yield "<h2>Runs</h2>"
        yield _table(
            ("Run", "Requested by", "Outcome", "Started", "Duration", "WER"), map(_run_row, runs)
        )
    yield from _timeline(training)
    curves = [curve_of(f"run {run.id}", run.curve) for run in runs]
    drawn = [curve for curve in curves if curve.points]
    if drawn:
        yield f"<h2>Learning curve</h2>{draw_svg(drawn)}"
    if runs:
        yield from _metrics(runs)
    if log:
        lines = "\n".join(line.text for line in log[-EXCERPT:])
        yield f"<h2>Log</h2><p>The last {min(len(log), EXCERPT)} of {len(log)} stored lines.</p>"
        yield f"<pre>{escape(lines)}</pre>"


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><tr>{cells}</tr>{body}</table>"


def _run_row(run: RunView) -> Sequence[str]:
    rate, took = run.metric("word_error_rate"), run.duration
    return (
        run.id,
        run.requested_by or "the resource itself",
        run.outcome + (f": {run.reason}" if run.reason else ""),
        timestamp(run.started_at),
        "" if took is None else short_duration(took),
        "" if rate is None else f"{rate}%",
    )


def _timeline(training: Training) -> Iterator[str]:
    """How far each stage has come, with a bar."""
    progress = training.status.progress
    if progress is None:
        return
    yield f"<h2>Timeline</h2><p>Progress: {progress}%</p>"
    rows = []
    ends = [begin for begin, _ in STAGES[1:]] + [100]
    for (begin, stage), end in zip(STAGES, ends, strict=True):
        share = min(max((progress - begin) / (end - begin), 0), 1)
        rows.append(
            f"<tr><td>{stage}</td><td>{begin} to {end}%</td>"
            f'<td><div class="bar"><i style="width:{share:.0%}"></i></div></td></tr>'
        )
    yield f"<table><tr><th>Stage</th><th>Progress</th><th>Done</th></tr>{''.join(rows)}</table>"


def _metrics(runs: Sequence[RunView]) -> Iterator[str]:
    """The metrics of the latest run beside those of the run before."""
    latest, before = runs[0], runs[1] if len(runs) > 1 else None
    rows = []
    for label, field, unit, _ in METRICS:
        values = [None if run is None else run.metric(field) for run in (latest, before)]
        if any(value is not None for value in values):
            rows.append((label, *("" if one is None else f"{one}{unit}" for one in values)))
    if rows:
        rating = latest.metrics.rating
        yield "<h2>Metrics</h2>"
        yield f"<p>Rating: {escape(rating)}</p>" if rating else ""
        yield _table(("Metric", "Latest run", "Run before"), iter(rows))
