"""The commands that change a training, or wait for its run."""

from collections.abc import Callable
from typing import Annotated, Any
from uuid import uuid4

import typer

from kubectl_scriptix.cluster import Cluster
from kubectl_scriptix.errors import ExitStatus, PluginError
from kubectl_scriptix.follow import exit_status, has_seen_token, poll_training
from kubectl_scriptix.logs import line_text, read_log
from kubectl_scriptix.options import Name, Options, Timeout
from kubectl_scriptix.output import print_text
from kubectl_scriptix.tables import progress_bar
from kubectl_scriptix.why import explain
from scriptix_operator.api.reasons import Reason
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.model.wording import timestamp
from scriptix_operator.core.status.conditions import phase_of, reason_of

__all__ = ["resume", "retrain", "suspend", "watch"]

LAST_LINES = 10
"""Lines of the log behind the outcome of a run."""


def watch(options: Options, name: Name, *, timeout: Timeout = None) -> ExitStatus:
    """Follow a run to its end.

    The exit status says how the run ended: 0 succeeded, 1 failed, 3 missed its quality gate, 4 a
    person must act, 124 --timeout has passed.
    """
    return _follow(options, options.cluster(), name, timeout, lambda _: True)


def _follow(
    options: Options,
    cluster: Cluster,
    name: str,
    timeout: float | None,
    is_wanted: Callable[[Training], bool],
) -> ExitStatus:
    """Print each change of a training until its run is over or a person must act."""
    shown, out = "", options.console()
    for moment in poll_training(cluster, name, timeout, options.dependencies.sleep):
        training = moment.training
        line = f"{moment.problem}; trying again ..." if training is None else _watch_line(training)
        if line != shown:
            print_text(out, f"{options.now():%H:%M:%SZ}  {line}")
            shown = line
        if training is None or training.generation != training.status.observed_generation:
            continue  # this status is of an earlier spec
        status = exit_status(training) if is_wanted(training) else None
        if status is not None:
            if status is not ExitStatus.SUCCEEDED:
                print_text(out, explain(training, options.now()))
            return status
    raise AssertionError("poll_training ends by an exception only")


def _watch_line(training: Training) -> str:
    """One line: phase, progress, stage and ETA."""
    status = training.status
    eta = None if status.finished_at is not None else status.estimated_completion_at
    reason = reason_of(status)
    parts = (
        phase_of(training.spec, status).value,
        progress_bar(status.progress),
        status.stage or "",
        "" if eta is None else f"ends {timestamp(eta)}",
        "" if reason in {None, Reason.TRAINING} else str(reason),
    )
    return "  ".join(part for part in parts if part)


def retrain(
    options: Options,
    name: Name,
    *,
    token: Annotated[
        str | None, typer.Option("--token", help="A new value of spec.runToken.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end of the run.")] = False,
    timeout: Timeout = None,
) -> ExitStatus:
    """Request another run by a new spec.runToken."""
    cluster, out = options.cluster(), options.console()
    before = cluster.training(name)
    wanted = token or f"{options.now():%Y%m%d-%H%M%S}-{uuid4().hex[:6]}"
    if wanted == before.spec.run_token:
        raise PluginError(f"spec.runToken is {wanted!r} already; give a new value by --token")
    patched = cluster.patch_spec(name, {"runToken": wanted})
    print_text(out, f"{patched.key}: requested a run with spec.runToken {wanted}")
    if not wait:
        return ExitStatus.SUCCEEDED

    def is_requested(training: Training) -> bool:
        if training.spec.run_token != wanted:
            raise PluginError(
                f"spec.runToken was changed to {training.spec.run_token!r} meanwhile: another "
                "client (a GitOps tool with self-heal?) owns this field. Change it there."
            )
        if training.status.repeated_request is not None:
            raise PluginError(training.status.repeated_request, ExitStatus.BLOCKED)
        never = training.spec.suspend or bool(training.unreadable)
        return never or has_seen_token(training, wanted)

    status = _follow(options, cluster, name, timeout, is_requested)
    training = cluster.training(name)
    if training.status.metrics is not None and training.status.metrics.word_error_rate:
        print_text(out, f"WER {training.status.metrics.word_error_rate}%")
    for line in read_log(cluster, training)[-LAST_LINES:]:
        out.print(line_text(line), soft_wrap=True)
    return status


def suspend(options: Options, name: Name) -> None:
    """Stop all API calls for a training; a remote run continues."""
    _patch(options, name, {"suspend": True}, "suspended")


def resume(options: Options, name: Name) -> None:
    """Continue a suspended training."""
    _patch(options, name, {"suspend": False}, "resumed")


def _patch(options: Options, name: str, spec: dict[str, Any], done: str) -> None:
    training = options.cluster().patch_spec(name, spec)
    print_text(options.console(), f"{training.key}: {done}")
