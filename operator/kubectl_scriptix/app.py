"""The command line of `kubectl scriptix`."""

import sys
from collections.abc import Callable, Sequence

import typer

from kubectl_scriptix import commands_change, commands_cluster, commands_read
from kubectl_scriptix.errors import ExitStatus, PluginError
from kubectl_scriptix.options import Dependencies, as_command, common_options

__all__ = ["app", "main", "run"]

PROGRAM = "kubectl scriptix"
HELP = "Ask about trainings of custom models, change them, and wait for them."
COMMANDS: tuple[Callable[..., ExitStatus | None], ...] = (
    commands_read.top,
    commands_read.why,
    commands_change.watch,
    commands_read.describe,
    commands_read.logs,
    commands_read.history,
    commands_read.compare,
    commands_read.plot,
    commands_read.report,
    commands_change.retrain,
    commands_change.suspend,
    commands_change.resume,
    commands_cluster.quota,
    commands_cluster.plan,
    commands_cluster.doctor,
    commands_cluster.support_bundle,
)
"""In the order of the help text."""

app = typer.Typer(
    name="kubectl-scriptix",
    help=HELP,
    no_args_is_help=True,
    add_completion=False,  # kubectl completes, through complete.py
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.callback()(common_options)
for function in COMMANDS:
    app.command(function.__name__.replace("_", "-"))(as_command(function))


def run(arguments: Sequence[str], dependencies: Dependencies) -> int:
    """Run a command line; returns its exit status.

    Errors print one line on standard error. Typer prints what is wrong with the command line.
    """
    try:
        app(arguments, prog_name=PROGRAM, obj=dependencies)
    except PluginError as error:
        sys.stderr.write(f"{PROGRAM}: {error}\n")
        return error.status
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitStatus.SUCCEEDED
    return ExitStatus.SUCCEEDED


def main() -> None:
    """Run the command line of the process."""
    sys.exit(run(sys.argv[1:], Dependencies()))
