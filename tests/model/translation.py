"""Translation between the types of the core and the smaller values of the model."""

from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import Generic, NamedTuple, TypeVar

from scriptix_operator.api.base import replace
from scriptix_operator.api.reasons import Phase
from scriptix_operator.api.status import TrainingStatus
from scriptix_operator.core.ledger.ledger import InFlightStart, LatestRun, Ledger
from scriptix_operator.core.model.remote import CallFailure, FailureKind, RemoteModel, TrainingState
from scriptix_operator.core.reconcile.call_results import Posted, PostFailed
from scriptix_operator.core.status.conditions import is_end_pending
from tests.model.values import Answer, View
from tests.unit.core.builders import EIGHT, a_model, metrics

__all__ = ["Numbers", "OneLedger", "instant", "number_of", "observed", "plain", "remote"]

MODEL = 7
FIRST_RUN_START = EIGHT - timedelta(days=9)
T = TypeVar("T", bound=Hashable)


class Numbers(Generic[T]):
    """Gives equal things the same number."""

    def __init__(self) -> None:
        self._things: list[T] = []
        self._numbers: dict[T, int] = {}

    def __getitem__(self, number: int) -> T:
        return self._things[number]

    def of(self, thing: T) -> int:
        """The number of `thing`."""
        if thing not in self._numbers:
            self._numbers[thing] = len(self._things)
            self._things.append(thing)
        return self._numbers[thing]


class OneLedger(NamedTuple):
    """A ledger for one model, without its quota charges."""

    serial: int
    in_flight: InFlightStart | None
    latest_run: LatestRun | None

    @classmethod
    def of(cls, ledger: Ledger) -> "OneLedger":
        """Reduce a ledger to the fields that the search needs."""
        return cls(ledger.serial, ledger.in_flight_starts.get(MODEL), ledger.latest_runs.get(MODEL))

    def whole(self) -> Ledger:
        """The ledger as a value of the core."""
        return Ledger(
            serial=self.serial,
            in_flight_starts={} if self.in_flight is None else {MODEL: self.in_flight},
            latest_runs={} if self.latest_run is None else {MODEL: self.latest_run},
        )


def instant(run_start: int) -> datetime:
    """The run start time of a training."""
    return FIRST_RUN_START + timedelta(hours=run_start)


def number_of(run_start: datetime) -> int:
    """The training with this run start time."""
    return round((run_start - FIRST_RUN_START) / timedelta(hours=1))


def remote(view: View) -> RemoteModel:
    """The model as a poll shows it."""
    run_start = (
        None if view.run_start is None else instant(view.run_start) + timedelta(seconds=view.off)
    )
    return a_model(
        view.status,
        started_at=None if view.unreadable else run_start,
        is_start_time_unreadable=view.unreadable,
        metrics=metrics() if view.status == TrainingState.SUCCEEDED and not view.bare else None,
    )


def observed(answer: Answer) -> Posted | PostFailed:
    """The reply to a POST, as the core observes it."""
    if answer.kind == "Accepted":
        return Posted(None if answer.view is None else remote(answer.view))
    failed = CallFailure(
        FailureKind(answer.kind),
        answer.kind,
        code=answer.code,
        reset_seen=answer.reset,
        is_from_gateway=answer.gateway,
        is_error_in_success=answer.flawed,
    )
    return PostFailed(failed)


def plain(status: TrainingStatus) -> TrainingStatus:
    """A status reduced to the fields that decisions read.

    While an end is pending, decisions also read its metrics and whether the resource is suspended.
    """
    is_pending = is_end_pending(status)
    was_suspended = is_pending and status.phase == Phase.SUSPENDED
    update = {
        "observed_generation": 1,
        "phase": Phase.SUSPENDED.value if was_suspended else None,
        "message": None,
        "progress": None,
        "stage": None,
        "model": None,
        "finished_at": None if status.finished_at is None else EIGHT,
        "estimated_completion_at": None,
        "last_progress_at": None,
        "last_observed_at": None if status.last_observed_at is None else EIGHT,
        "metrics": status.metrics if is_pending else None,
        "published": None,  # read where a gate compares with it; the search has no gate
        "log": None,
        "pending_notifications": (),
        "display": None,
        "pending_request": None,
        "repeated_request": None,
        "conditions": (),
        # Time passes in the search without a clock: each delay is over.
        "run": status.run and replace(status.run, next_attempt_at=None),
    }
    return status.model_copy(update=update)
