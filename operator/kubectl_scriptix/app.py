"""The command line of `kubectl scriptix`."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer
from rich.live import Live
from rich.text import Text

from kubectl_scriptix import __doc__ as summary
from kubectl_scriptix.bundle import write_bundle
from kubectl_scriptix.cluster import Cluster, Target, UnreachableError
from kubectl_scriptix.curves import Curve, curve_of, draw_svg, draw_text
from kubectl_scriptix.describe import describe as story_of
from kubectl_scriptix.doctor import Severity, examine
from kubectl_scriptix.errors import ExitStatus, PluginError
from kubectl_scriptix.follow import INTERVAL, exit_status, has_seen_token, poll_training
from kubectl_scriptix.logs import line_text, new_lines, read_log, run_lines
from kubectl_scriptix.output import OutputFormat, console, print_objects
from kubectl_scriptix.report import report as report_of
from kubectl_scriptix.runs import METRICS, RunView, find_run, runs_of
from kubectl_scriptix.tables import compare_table, history_table, progress_bar, top_table
from kubectl_scriptix.times import short_duration
from kubectl_scriptix.why import explain
from scriptix_operator.api.times import format_time
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.conditions import phase_of, reason_of

__all__ = ["app", "main"]

app = typer.Typer(
    name="kubectl-scriptix",
    help=summary,
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Name = Annotated[str, typer.Argument(help="Name of a CustomModelTraining.")]
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")]
Output = Annotated[OutputFormat, typer.Option("--output", "-o", help="Output format.")]
Timeout = Annotated[
    float | None, typer.Option("--timeout", help="Give up after so many seconds (exit status 124).")
]


@dataclass(slots=True)
class Options:
    """The options that all commands share.

    Attributes:
        target: Which cluster and namespace.
        has_color: Whether colours are allowed.
    """

    target: Target
    has_color: bool

    def cluster(self) -> Cluster:
        """A connection to the cluster."""
        return Cluster(self.target)


@app.callback()
def common(
    context: typer.Context,
    namespace: Annotated[
        str | None, typer.Option("--namespace", "-n", help="Namespace; default: the context's.")
    ] = None,
    kube_context: Annotated[
        str | None, typer.Option("--context", help="Context of the kubeconfig.")
    ] = None,
    kubeconfig: Annotated[str | None, typer.Option(help="Path of the kubeconfig.")] = None,
    no_color: Annotated[
        bool, typer.Option("--no-color", help="No colours; NO_COLOR=1 does the same.")
    ] = False,
) -> None:
    """Answer questions about trainings from what the cluster holds."""
    target = Target(kubeconfig, kube_context, namespace)
    context.obj = Options(target, has_color=not no_color)


def _now() -> datetime:
    return datetime.now(UTC)


def _record(training: Training) -> dict[str, Any]:
    """A training for programs."""
    status = training.status
    return {
        "name": training.key.name,
        "namespace": training.key.namespace,
        "modelId": training.spec.model_id,
        "phase": phase_of(training.spec, status).value,
        "reason": reason_of(status),
        "message": status.message,
        "progress": status.progress,
        "stage": status.stage,
        "estimatedCompletionAt": _time(status.estimated_completion_at),
        "queuePosition": None if status.queue is None else status.queue.position,
        "wordErrorRate": None if status.metrics is None else status.metrics.word_error_rate,
    }


def _run_record(run: RunView) -> dict[str, Any]:
    """A run for programs."""
    return {
        "name": run.id,
        "requestedBy": run.requested_by,
        "outcome": run.outcome,
        "reason": run.reason or None,
        "startedAt": _time(run.started_at),
        "finishedAt": _time(run.finished_at),
        "metrics": {field: getattr(run.metrics, field) for _, field, _, _ in METRICS},
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else format_time(moment)


@app.command()
def top(
    context: typer.Context,
    all_namespaces: AllNamespaces = False,
    once: Annotated[bool, typer.Option("--once", help="Print one table and end.")] = False,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show all trainings; on a terminal, the table is renewed until Ctrl-C."""
    options: Options = context.obj
    cluster, out = options.cluster(), console(has_color=options.has_color)
    namespace = None if all_namespaces else cluster.namespace

    def table(trainings: Sequence[Training]) -> Any:  # noqa: ANN401 - a renderable of Rich
        if not trainings:
            return f"No trainings in {namespace or 'any namespace'}."
        return top_table(trainings, _now(), with_namespace=all_namespaces)

    if once or not out.is_terminal or output is not OutputFormat.TABLE:
        trainings = cluster.trainings(namespace)
        print_objects(out, output, table(trainings), [_record(one) for one in trainings])
        return
    with Live(console=out, auto_refresh=False, screen=True) as live:
        shown: Any = Text("Reading ...")
        while True:
            try:
                shown = table(cluster.trainings(namespace))
                live.update(shown, refresh=True)
            except UnreachableError as error:
                live.update(Text(f"{error}\nTrying again ..."), refresh=True)
            time.sleep(INTERVAL)


@app.command()
def watch(context: typer.Context, name: Name, timeout: Timeout = None) -> None:
    """Follow a run to its end; the exit status says how the run ended."""
    options: Options = context.obj
    cluster, out = options.cluster(), console(has_color=options.has_color)
    raise typer.Exit(_follow(cluster, name, out.print, timeout, lambda training: True))


def _follow(
    cluster: Cluster,
    name: str,
    show: Callable[[str], Any],
    timeout: float | None,
    is_wanted: Callable[[Training], bool],
) -> ExitStatus:
    """Print each change of a training until its run is over or a person must act."""
    shown = ""
    for moment in poll_training(cluster, name, timeout):
        training = moment.training
        if training is None:
            line = f"{moment.problem}; trying again ..."
        else:
            line = _watch_line(training)
        if line != shown:
            show(f"{_now():%H:%M:%SZ}  {line}")
            shown = line
        if training is None or not is_wanted(training):
            continue
        if training.generation != training.status.observed_generation:
            continue  # this status is of an earlier spec
        status = exit_status(training)
        if status is not None:
            if status is not ExitStatus.SUCCEEDED:
                show(explain(training, _now()))
            return status
    raise AssertionError("repeat ends by an exception only")


def _watch_line(training: Training) -> str:
    """One line: phase, progress, stage and ETA."""
    status = training.status
    phase = phase_of(training.spec, status)
    eta = status.estimated_completion_at
    parts = (
        phase.value,
        progress_bar(status.progress),
        status.stage or "",
        "" if eta is None or status.finished_at is not None else f"ends at {_time(eta)}",
        reason_of(status) or "",
    )
    return "  ".join(part for part in parts if part)


@app.command()
def why(context: typer.Context, name: Name) -> None:
    """Say why a training waits, is blocked or failed, who must act, and when it goes on."""
    options: Options = context.obj
    training = options.cluster().training(name)
    console(has_color=options.has_color).print(explain(training, _now()), markup=False)


@app.command()
def describe(context: typer.Context, name: Name) -> None:
    """Tell the story of the present run, with its events."""
    options: Options = context.obj
    cluster = options.cluster()
    training = cluster.training(name)
    text = story_of(training, cluster.events(training), _now())
    console(has_color=options.has_color).print(text, markup=False, end="")


@app.command()
def history(context: typer.Context, name: Name, output: Output = OutputFormat.TABLE) -> None:
    """List the runs of a training, newest first."""
    options: Options = context.obj
    runs = runs_of(options.cluster().training(name))
    out = console(has_color=options.has_color)
    print_objects(out, output, history_table(runs), [_run_record(run) for run in runs])


@app.command()
def compare(
    context: typer.Context,
    name: Name,
    run: Annotated[str | None, typer.Argument(help="A run; default: the run before.")] = None,
    other: Annotated[str | None, typer.Argument(help="Another; default: the latest.")] = None,
    output: Output = OutputFormat.TABLE,
) -> None:
    """Show two runs side by side; by default the latest two."""
    options: Options = context.obj
    training = options.cluster().training(name)
    runs = runs_of(training)
    older = _run_of(training, run) if run else (runs[1] if len(runs) > 1 else None)
    newer = _run_of(training, other) if other else (runs[0] if runs else None)
    if older is None or newer is None:
        raise PluginError(f"{training.key} has {len(runs)} runs; a comparison needs two")
    out = console(has_color=options.has_color)
    table = compare_table(older, newer)
    print_objects(out, output, table, [_run_record(older), _run_record(newer)])


def _run_of(training: Training, run_id: str) -> RunView:
    found = find_run(training, run_id)
    if found is None:
        known = ", ".join(run.id for run in runs_of(training)) or "none"
        raise PluginError(f"{training.key} has no run {run_id!r}; its runs are: {known}")
    return found


@app.command()
def logs(
    context: typer.Context,
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print new lines, too.")] = False,
    run: Annotated[str | None, typer.Option("--run", help="Only the lines of this run.")] = None,
) -> None:
    """Print the stored log, put together from its ConfigMaps."""
    options: Options = context.obj
    cluster, out = options.cluster(), console(has_color=options.has_color)
    training = cluster.training(name)
    lines = read_log(cluster, training)
    shown = run_lines(training, lines, run) if run is not None else lines
    for line in shown:
        out.print(line_text(line), soft_wrap=True)
    if not lines and not follow:
        state = None if training.status.log is None else training.status.log.message
        raise PluginError(f"{training.key} has no stored log{f': {state}' if state else ''}")
    if not follow:
        return
    for moment in poll_training(cluster, name, None):
        if moment.training is None:
            continue
        latest = read_log(cluster, moment.training)
        for line in new_lines(lines, latest):
            out.print(line_text(line), soft_wrap=True)
        lines = latest
        if exit_status(moment.training) is not None:
            return


@app.command()
def plot(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(help="Names of trainings.")],
    svg: Annotated[Path | None, typer.Option("--svg", help="Write an SVG file instead.")] = None,
) -> None:
    """Draw the learning curves of trainings; of a single one, with its run before."""
    options: Options = context.obj
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
    out = console(has_color=options.has_color)
    width = min(out.width, 100)
    out.print(draw_text(drawn, width=width), markup=False, end="", soft_wrap=True)


@app.command()
def report(
    context: typer.Context,
    name: Name,
    file: Annotated[Path, typer.Option("--file", "-o", help="The HTML file to write.")],
) -> None:
    """Write one self-contained HTML page about a training."""
    options: Options = context.obj
    cluster = options.cluster()
    training = cluster.training(name)
    file.write_text(report_of(training, read_log(cluster, training), _now()))


@app.command()
def retrain(
    context: typer.Context,
    name: Name,
    token: Annotated[
        str | None, typer.Option("--token", help="A new value of spec.runToken.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end of the run.")] = False,
    timeout: Timeout = None,
) -> None:
    """Request another run by a new spec.runToken."""
    options: Options = context.obj
    cluster, out = options.cluster(), console(has_color=options.has_color)
    before = cluster.training(name)
    wanted = token or f"{_now():%Y%m%d-%H%M%S}-{uuid4().hex[:6]}"
    if wanted == before.spec.run_token:
        raise PluginError(f"spec.runToken is {wanted!r} already; give a new value by --token")
    patched = cluster.patch_spec(name, {"runToken": wanted})
    out.print(f"{patched.key}: requested a run with spec.runToken {wanted}", markup=False)
    if not wait:
        return

    def is_requested(training: Training) -> bool:
        if training.spec.run_token != wanted:
            raise PluginError(
                f"spec.runToken was changed to {training.spec.run_token!r} meanwhile: another "
                "client (a GitOps tool with self-heal?) owns this field. Change it there."
            )
        if training.status.repeated_request is not None:
            raise PluginError(training.status.repeated_request, ExitStatus.BLOCKED)
        return has_seen_token(training, wanted)

    status = _follow(
        cluster, name, lambda line: out.print(line, markup=False), timeout, is_requested
    )
    training = cluster.training(name)
    if training.status.metrics is not None and training.status.metrics.word_error_rate:
        out.print(f"WER {training.status.metrics.word_error_rate}%", markup=False)
    for line in read_log(cluster, training)[-10:]:
        out.print(line_text(line), soft_wrap=True)
    raise typer.Exit(status)


@app.command()
def suspend(context: typer.Context, name: Name) -> None:
    """Stop all API calls for a training; a remote run continues."""
    _patch(context, name, suspended=True)


@app.command()
def resume(context: typer.Context, name: Name) -> None:
    """Continue a suspended training."""
    _patch(context, name, suspended=False)


def _patch(context: typer.Context, name: str, *, suspended: bool) -> None:
    options: Options = context.obj
    training = options.cluster().patch_spec(name, {"suspend": suspended})
    text = f"{training.key}: {'suspended' if suspended else 'resumed'}"
    console(has_color=options.has_color).print(text, markup=False)


@app.command()
def doctor(context: typer.Context) -> None:
    """Examine CRD, rights, Secrets and operator, and say what to do."""
    options: Options = context.obj
    out = console(has_color=options.has_color)
    is_bad = False
    for finding in examine(options.cluster()):
        out.print(str(finding), markup=False)
        is_bad |= finding.severity is Severity.BAD
    raise typer.Exit(ExitStatus.ERROR if is_bad else ExitStatus.SUCCEEDED)


@app.command("support-bundle")
def support_bundle(
    context: typer.Context,
    file: Annotated[Path, typer.Option("--file", "-o", help="The .tar.gz file to write.")],
) -> None:
    """Collect trainings, events, logs and findings in one file, without Secrets."""
    options: Options = context.obj
    names = write_bundle(options.cluster(), file)
    out = console(has_color=options.has_color)
    out.print(
        f"{file}: {len(names)} files; look through them before you pass them on", markup=False
    )


def main() -> None:
    """Run the command line; errors end it with one line on standard error."""
    try:
        status = app(standalone_mode=False)
    except PluginError as error:
        sys.stderr.write(f"kubectl-scriptix: {error}\n")
        sys.exit(error.status)
    except typer.Abort:
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)
