"""States of a resource as the core writes them, and what GitOps tools have to show.

What Argo CD shows, and what kstatus, the library that Flux asks, makes of
it. `python -m tests.gitops.customizations` writes them down as Argo CD's test data.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scriptix_operator.api.names import API_VERSION, KIND
from scriptix_operator.api.reasons import FailureReason
from scriptix_operator.core.model.remote import FailureKind
from scriptix_operator.core.reconcile.vocabulary import Blocked
from scriptix_operator.core.status.failures import failure
from scriptix_operator.kube.trainings import dump_status
from tests.unit.core.builders import EIGHT, Life, a_model, a_training

__all__ = ["STATES", "Manifest", "State", "manifest"]

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class State:
    """A state, written by the core, and what tools have to show."""

    make: Callable[[], Life]
    argocd: str
    """Health: Progressing, Healthy, Degraded or Suspended."""
    kstatus: str
    """Status: InProgress, Current or Failed."""


def _working(make: Callable[[], Life]) -> State:
    return State(make, "Progressing", "InProgress")


def _good(make: Callable[[], Life]) -> State:
    return State(make, "Healthy", "Current")


def _bad(make: Callable[[], Life]) -> State:
    return State(make, "Degraded", "Failed")


def _held(make: Callable[[], Life]) -> State:
    return State(make, "Suspended", "InProgress")


def _asleep(life: Life) -> Life:
    life.edit(suspend=True).wake_ups()
    return life


def _polled(life: Life, status: int, **facts: object) -> Life:
    life.polls(a_model(status, **facts))
    return life


def _deferred() -> Life:
    life = _polled(Life(), 2)
    life.is_queued()
    return life


def _awaiting_retry() -> Life:
    return _polled(Life(a_training(backoff_limit=2, log={"collect": "Never"})).runs(), 5, **_ENDED)


def _without_secret(life: Life) -> Life:
    life.wake_ups()
    life.learns(
        Blocked(failure(FailureReason.SECRET_NOT_FOUND, 'Secret "scriptix-api-key" is not there.'))
    )
    return life


def _without_right(life: Life) -> Life:
    for _ in range(2):  # one refusal of a key that has worked does not block the resource yet
        life.waits(60).poll_fails(FailureKind.UNAUTHORIZED, message="HTTP 401: Invalid API key")
    return life


def _unreadable(life: Life) -> Life:
    life.edit_unreadably("spec.existingTraining").wake_ups()
    return life


def _missing_its_gate() -> Life:
    return Life(a_training(quality_gate={"max_word_error_rate": "10"})).runs().succeeds()


_ENDED: Mapping[str, object] = {"started_at": EIGHT, "error": "Training failed due to system error"}

STATES: Mapping[str, State] = {
    "new": _working(Life),
    "edited": _working(lambda: Life().runs().succeeds().edit(priority=3)),
    "edited-after-failure": _working(lambda: _polled(Life().runs(), 5, **_ENDED).edit(priority=3)),
    "waiting-for-model": _working(lambda: _polled(Life(), 1)),
    "queued": _working(_deferred),
    "starting": _working(lambda: Life().intends()),
    "start-outcome-unknown": _working(
        lambda: Life().intends().is_refused(FailureKind.AMBIGUOUS, message="no reply within 30 s")
    ),
    "running": _working(lambda: _polled(Life().runs(), 3, started_at=EIGHT, progress=45)),
    "adopted": _working(lambda: _polled(Life(), 3, started_at=EIGHT, progress=45)),
    "waiting-for-retry": _working(_awaiting_retry),
    "running-again": _working(
        lambda: Life().runs().succeeds().edit(run_token="v2").intends(a_model(2))
    ),
    "secret-missing": _bad(lambda: _without_secret(Life())),
    "unauthorized-while-running": _bad(lambda: _without_right(Life().runs())),
    "result-not-published": _bad(
        lambda: Life(refusal=("exceeded quota: configmaps", True)).runs().succeeds()
    ),
    "failed": _bad(lambda: _polled(Life().runs(), 5, **_ENDED)),
    "failed-and-suspended": _bad(lambda: _asleep(_polled(Life().runs(), 5, **_ENDED))),
    "unreadable-before-start": _bad(lambda: _unreadable(Life())),
    "unreadable-after-success": _bad(lambda: _unreadable(Life().runs().succeeds())),
    "gate-missed": _bad(_missing_its_gate),
    "suspended-before-start": _held(lambda: _asleep(Life())),
    "suspended-while-running": _held(lambda: _asleep(Life().runs())),
    "suspended-while-blocked": _held(lambda: _asleep(_without_right(Life().runs()))),
    "succeeded": _good(lambda: Life().runs().succeeds()),
    "succeeded-and-suspended": _good(lambda: _asleep(Life().runs().succeeds())),
}


def manifest(name: str) -> Manifest:
    """The resource in a state, as the API server returns it, with the relevant fields only."""
    training = STATES[name].make().training
    spec = training.spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    status = dump_status(training.status)
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": name,
            "namespace": training.key.namespace,
            "generation": training.generation,
        },
        # The API server writes the default of suspend into every resource.
        "spec": {**spec, "suspend": training.spec.suspend},
        "status": status,
    }
