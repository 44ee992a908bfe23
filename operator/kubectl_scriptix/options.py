"""The options that all commands share, and how a function becomes a command."""

import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console

from kubectl_scriptix.cluster import Cluster, Target
from kubectl_scriptix.errors import ExitStatus
from kubectl_scriptix.output import OutputFormat, open_console

__all__ = [
    "AllNamespaces",
    "Dependencies",
    "Name",
    "Options",
    "Output",
    "Timeout",
    "as_command",
    "common_options",
]

Name = Annotated[str, typer.Argument(help="Name of a CustomModelTraining.")]
AllNamespaces = Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")]
Output = Annotated[OutputFormat, typer.Option("--output", "-o", help="Output format.")]
Timeout = Annotated[
    float | None, typer.Option("--timeout", help="Give up after so many seconds (exit status 124).")
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace; default: the context's.")
]
Context = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")]
Kubeconfig = Annotated[str | None, typer.Option("--kubeconfig", help="Path of the kubeconfig.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="No colours; NO_COLOR=1 does the same.")]


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one reader of the clock


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the commands reach outside of the process.

    Attributes:
        connect: Opens a connection to a cluster.
        now: The time, UTC.
        sleep: Waits for so many seconds.
        open_console: Opens standard output.
    """

    connect: Callable[[Target], Cluster] = Cluster
    now: Callable[[], datetime] = _now
    sleep: Callable[[float], None] = time.sleep
    open_console: Callable[[bool], Console] = open_console


@dataclass(frozen=True, slots=True)
class Options:
    """The shared options of one call.

    Attributes:
        target: Which cluster and namespace.
        has_color: Whether colours are allowed.
        dependencies: What the command reaches outside of the process.
    """

    target: Target
    has_color: bool
    dependencies: Dependencies

    def cluster(self) -> Cluster:
        """A connection to the cluster."""
        return self.dependencies.connect(self.target)

    def console(self) -> Console:
        """Standard output."""
        return self.dependencies.open_console(self.has_color)

    def now(self) -> datetime:
        """The time, UTC."""
        return self.dependencies.now()

    def with_more(
        self,
        namespace: str | None,
        kube_context: str | None,
        kubeconfig: str | None,
        *,
        no_color: bool,
    ) -> "Options":
        """These options, overridden by those that are given."""
        target = Target(
            kubeconfig or self.target.kubeconfig,
            kube_context or self.target.context,
            namespace or self.target.namespace,
        )
        return replace(self, target=target, has_color=self.has_color and not no_color)


def common_options(
    context: typer.Context,
    *,
    namespace: Namespace = None,
    kube_context: Context = None,
    kubeconfig: Kubeconfig = None,
    no_color: NoColor = False,
) -> None:
    """Take in the shared options in front of the command."""
    given = Options(Target(), has_color=True, dependencies=context.obj)
    context.obj = given.with_more(namespace, kube_context, kubeconfig, no_color=no_color)


SHARED = ("namespace", "kube_context", "kubeconfig", "no_color")
"""The parameters of the shared options."""


def as_command(function: Callable[..., ExitStatus | None]) -> Callable[..., None]:
    """The function as a command of typer, which also takes the shared options.

    kubectl's own commands take options anywhere, too: `kubectl scriptix top -n speech`.

    Args:
        function: Takes Options, then what the command line gives; may return an exit status.
    """

    def run(context: typer.Context, **arguments: Any) -> None:  # noqa: ANN401 - of the signature
        shared = {name: arguments.pop(name) for name in SHARED}
        given: Options = context.obj
        status = function(given.with_more(**shared), **arguments)
        raise typer.Exit(status or ExitStatus.SUCCEEDED)

    context, *more = inspect.signature(common_options).parameters.values()
    _, *own = inspect.signature(function).parameters.values()
    # Typer passes all of them by name.
    named = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *more)]
    run.__signature__ = inspect.Signature([context, *named])  # type: ignore[attr-defined]
    run.__name__ = function.__name__
    run.__doc__ = function.__doc__
    return run
