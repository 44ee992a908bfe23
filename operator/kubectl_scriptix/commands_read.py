"""The commands about trainings that change nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from kubectl_scriptix.curves import Curve, curve_of, draw_svg, draw_text
from kubectl_scriptix.describe import describe as story_of
from kubectl_scriptix.errors import PluginError
from kubectl_scriptix.follow import INTERVAL, exit_status, poll_training
from kubectl_scriptix.logs import line_text, new_lines, read_log, run_lines
from kubectl_scriptix.options import AllNamespaces, Name, Options, Output
from kubectl_scriptix.output import OutputFormat, print_objects, print_text
from kubectl_scriptix.records import run_record, training_record
from kubectl_scriptix.refusals import UnreachableError
from kubectl_scriptix.report import report as report_of
from kubectl_scriptix.runs import RunView, find_run, runs_of
from kubectl_scriptix.tables import compare_table, history_table, top_table
from kubectl_scriptix.why import explain
from scriptix_operator.core.model.training import Training

__all__ = ["compare", "describe", "history", "logs", "plot", "report", "top", "why"]

WIDEST_PLOT = 100
"""Characters of a line of a learning curve."""


def top(
    options: Options,
    *,
    all_namespaces: AllNamespaces = False,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end.")] = False,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show all trainings.

    On a terminal, the table is renewed until Ctrl-C.
    """
    cluster, out = options.cluster(), options.console()
    namespace = None if all_namespaces else cluster.namespace

    def table(trainings: Sequence[Training]) -> Table | str:
        if not trainings:
            return f"No trainings in {namespace or 'any namespace'}."
        return top_table(trainings, options.now(), with_namespace=all_namespaces)

    if once or not out.is_terminal or output is not OutputFormat.TABLE:
        trainings = cluster.trainings(namespace)
        print_objects(out, output, table(trainings), [training_record(one) for one in trainings])
        return
    with Live(console=out, auto_refresh=False, screen=True) as live:
        while True:
            try:
                live.update(table(cluster.trainings(namespace)), refresh=True)
            except UnreachableError as error:
                live.update(Text(f"{error}\nTrying again ..."), refresh=True)
            options.dependencies.sleep(INTERVAL)


def why(options: Options, name: Name) -> None:
    """Say why a training waits, is blocked or failed.

    The answer names who must act, and what the operator does next and when.
    """
    training = options.cluster().training(name)
    print_text(options.console(), explain(training, options.now()))


def describe(options: Options, name: Name) -> None:
    """Show the current run, its metrics, its log and its events."""
    cluster = options.cluster()
    training = cluster.training(name)
    text = story_of(training, cluster.events(training), options.now())
    print_text(options.console(), text.rstrip("\n"))


def history(options: Options, name: Name, *, output: Output = OutputFormat.TABLE) -> None:
    """List the runs of a training, newest first."""
    runs = runs_of(options.cluster().training(name))
    table = history_table(runs)
    print_objects(options.console(), output, table, [run_record(run) for run in runs])


def compare(
    options: Options,
    name: Name,
    run: Annotated[str | None, typer.Argument(help="A run; default: the run before.")] = None,
    other: Annotated[str | None, typer.Argument(help="Another; default: the latest.")] = None,
    *,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show two runs side by side.

    By default the latest two.
    """
    training = options.cluster().training(name)
    runs = runs_of(training)
    older = _run_of(training, run) if run else (runs[1] if len(runs) > 1 else None)
    newer = _run_of(training, other) if other else (runs[0] if runs else None)
    if older is None or newer is None:
        raise PluginError(f"{training.key} has {len(runs)} runs; a comparison needs two")
    table = compare_table(older, newer)
    print_objects(options.console(), output, table, [run_record(older), run_record(newer)])


def _run_of(training: Training, run_id: str) -> RunView:
    found = find_run(training, run_id)
    if found is None:
        known = ", ".join(run.id for run in runs_of(training)) or "none"
        raise PluginError(f"{training.key} has no run {run_id!r}; its runs are: {known}")
    return found


def logs(
    options: Options,
    name: Name,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines, too.")] = False,
    run: Annotated[str | None, typer.Option("--run", help="Only the lines of this run.")] = None,
) -> None:
    """Print the stored log.

    The log is put together from its ConfigMaps; spec.log says how much is stored.
    """
    cluster, out = options.cluster(), options.console()
    training = cluster.training(name)
    lines = read_log(cluster, training)
    shown = lines if run is None else run_lines(training, lines, run)
    for line in shown:
        out.print(line_text(line), soft_wrap=True)
    if lines and not shown and not follow:
        raise PluginError(f"{training.key} has no stored log of run {run}")
    if not lines and not follow:
        state = None if training.status.log is None else training.status.log.message
        raise PluginError(f"{training.key} has no stored log{f': {state}' if state else ''}")
    if not follow:
        return
    for moment in poll_training(cluster, name, None, options.dependencies.sleep):
        if moment.training is None:
            continue
        latest = read_log(cluster, moment.training)
        for line in new_lines(lines, latest):
            out.print(line_text(line), soft_wrap=True)
        lines = latest
        if exit_status(moment.training) is not None:
            return


def plot(
    options: Options,
    names: Annotated[list[str], typer.Argument(help="Names of trainings.")],
    *,
    svg: Annotated[Path | None, typer.Option("--svg", help="Write an SVG file instead.")] = None,
) -> None:
    """Draw the learning curves of trainings.

    The curve of a single training comes with that of its run before.
    """
    cluster = options.cluster()
    curves: list[Curve] = []
    for name in names:
        training = cluster.training(name)
        runs = runs_of(training)[: 2 if len(names) == 1 else 1]
        curves += [curve_of(f"{name}, run {run.id}", run.curve) for run in runs]
    drawn = [curve for curve in curves if curve.points]
    if not drawn:
        raise PluginError(
            f"no learning curve of {', '.join(names)} is known yet: it is read from the log, epoch "
            "by epoch (spec.log.collect: Always)"
        )
    if svg is not None:
        svg.write_text(draw_svg(drawn))
        return
    out = options.console()
    text = draw_text(drawn, width=min(out.width, WIDEST_PLOT))
    out.print(Text(text), end="", soft_wrap=True)


def report(
    options: Options,
    name: Name,
    *,
    file: Annotated[Path, typer.Option("--file", "-o", help="The HTML file to write.")],
) -> None:
    """Write one self-contained HTML page about a training."""
    cluster = options.cluster()
    training = cluster.training(name)
    file.write_text(report_of(training, read_log(cluster, training), options.now()))
    print_text(options.console(), f"{file}: the report of {training.key}")
