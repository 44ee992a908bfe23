"""Waiting for a run: which run, which end, and with which exit status."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kubectl_scriptix.cluster import Cluster
from kubectl_scriptix.errors import ExitStatus, PluginError
from kubectl_scriptix.refusals import UnreachableError
from kubectl_scriptix.why import needs_action
from scriptix_operator.api.reasons import FailureReason, Phase
from scriptix_operator.core.model.training import Training
from scriptix_operator.core.status.conditions import phase_of

__all__ = ["Moment", "exit_status", "has_seen_token", "poll_training", "repeat"]

INTERVAL = 2.0
"""Seconds between two reads: a run takes hours, and a read is one cheap request."""
LONGEST_PAUSE = 30.0
"""Seconds between two tries while the API server does not answer."""

Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Moment:
    """One read of the training.

    Attributes:
        training: The training; None: the API server did not answer.
        problem: Why it did not.
    """

    training: Training | None
    problem: str = ""


def repeat(
    read: Callable[[], Training],
    *,
    timeout: float | None = None,
    interval: float = INTERVAL,
    sleep: Sleep = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Moment]:
    """Read a training again and again, through expired tokens and restarts of the API server.

    Reads, not a watch: there is no stream that could break or silently stop.

    Raises:
        PluginError: The time is over, or the training cannot be read for another reason.
    """
    deadline = None if timeout is None else clock() + timeout
    pause = interval
    while True:
        try:
            moment = Moment(read())
            pause = interval
        except UnreachableError as error:
            moment = Moment(None, str(error))
            pause = min(pause * 2, LONGEST_PAUSE)
        yield moment
        if deadline is not None and clock() + pause > deadline:
            raise PluginError(
                "the time of --timeout has passed; the run continues", ExitStatus.TIMED_OUT
            )
        sleep(pause)


def poll_training(
    cluster: Cluster, name: str, timeout: float | None, sleep: Sleep
) -> Iterator[Moment]:
    """Read a training of the cluster again and again."""
    return repeat(lambda: cluster.training(name), timeout=timeout, sleep=sleep)


def has_seen_token(training: Training, token: str) -> bool:
    """Whether the present run is the one that a value of spec.runToken has requested."""
    return training.status.run is not None and training.status.run.token == token


def exit_status(training: Training) -> ExitStatus | None:
    """The exit status of the present state; None: the run is not over, and nobody has to act."""
    match phase_of(training.spec, training.status):
        case Phase.SUCCEEDED:
            return ExitStatus.SUCCEEDED
        case Phase.FAILED:
            why = training.status.failure
            if why is not None and why.reason == FailureReason.QUALITY_GATE_FAILED:
                return ExitStatus.GATE_MISSED
            return ExitStatus.ERROR
        case Phase.SUSPENDED:
            return ExitStatus.BLOCKED
        case _:
            return ExitStatus.BLOCKED if needs_action(training) else None
