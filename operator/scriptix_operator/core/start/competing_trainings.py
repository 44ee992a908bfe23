"""Competing trainings: which resource may start or adopt, and what the others report.

docs/start-protocol.md, step 7: after the in-flight start (resolution.py), the run that a status
records comes first, then the older resource, then the smaller uid.
"""

from collections.abc import Iterable
from datetime import datetime

from scriptix_operator.api.reasons import Ownership
from scriptix_operator.core.ledger.ledger import InFlightStart
from scriptix_operator.core.model.remote import RemoteModel, TrainingState
from scriptix_operator.core.model.training import Training, TrainingKey
from scriptix_operator.core.start.staleness import recorded_starts
from scriptix_operator.core.status.conditions import (
    is_blocked,
    is_finished,
    is_followed,
    is_starting,
)
from scriptix_operator.core.status.texts import waiting_texts

__all__ = [
    "is_intent_of_another_ledger",
    "is_start_of",
    "model_in_use",
    "shown_name",
    "unreadable_in_use",
    "was_started_by",
]


def is_start_of(entry: InFlightStart, training: Training) -> bool:
    """Whether an in-flight start belongs to the intent of a resource."""
    run = training.status.run
    return (
        training.uid == entry.uid
        and run is not None
        and run.intent is not None
        and (run.id, run.attempt, run.intent.nonce) == (entry.run, entry.attempt, entry.nonce)
    )


def is_intent_of_another_ledger(training: Training, installation: str) -> bool:
    """Whether the in-flight start of an intent may be missing in this installation's ledger.

    So it is if another installation, or an unknown one, has written the status, and if the intent
    is older than the resource: then a backup has restored the status, and the ledger knows the
    start by the uid of the resource before, if at all. Such an intent may have been sent.
    """
    status = training.status
    if not is_starting(status) or status.run is None or status.run.intent is None:
        return False
    is_ours = status.served_by is not None and status.served_by.namespace == installation
    return not is_ours or status.run.intent.at < training.created_at


def shown_name(other: TrainingKey, training: Training) -> str | None:
    """The name of a resource in messages of `training`; None: the message may not name it.

    A resource in another namespace is not named: tenants do not see each other's resources.
    """
    return other.name if other.namespace == training.key.namespace else None


def unreadable_in_use(competitor: TrainingKey, training: Training) -> str:
    """Say why `training` waits for a resource with the model that cannot be read."""
    return waiting_texts.unreadable_resource_may_train(shown_name(competitor, training))


def model_in_use(training: Training, others: Iterable[Training], model: RemoteModel) -> str | None:
    """Say why `training`, which has no remote run, may not start or adopt now.

    In-flight starts do not count here: resolution.resolve_other_start resolves them first. An
    intent without an in-flight start was never sent.

    Args:
        training: The resource that wants to start or adopt.
        others: The other resources with the same modelId, in any namespace.
        model: The model as just polled.

    Returns:
        One sentence; None where nothing stands in the way.
    """
    # A resource that is being deleted starts nothing, and the model's status shows its run.
    candidates = (training, *(other for other in others if not other.is_being_deleted))
    for other in sorted(candidates[1:], key=_age):
        name = shown_name(other.key, training)
        if is_followed(other.status):
            return waiting_texts.training_by_other(name)
        if _takes_over(training, model) and _is_run_of(other, model):
            return waiting_texts.model_trained_elsewhere(name)
        older = _age(other) < _age(training)
        if older and _wants_to_start(other) and not _waits_for_data(other, candidates, model):
            return waiting_texts.older_resource_first(name)
    return None


def was_started_by(training: Training, model: RemoteModel) -> bool:
    """Whether a resource has started the run that the model shows, by polled run start times."""
    runs = (training.status.run, *training.status.history)
    started = {
        run.started_training_at
        for run in runs
        if run is not None and run.ownership != Ownership.ADOPTED
    }
    return model.started_at is not None and model.started_at in started


def _age(training: Training) -> tuple[datetime, str]:
    return training.created_at, training.uid


def _is_run_of(other: Training, model: RemoteModel) -> bool:
    """Whether another resource records the run that the model shows, so that it is not adopted."""
    adoptable = model.training_status in {
        TrainingState.RUNNING,
        TrainingState.SUCCEEDED,
        TrainingState.FAILED,
    }
    if not adoptable or model.started_at is None:
        return False
    return model.started_at in recorded_starts(other.status) or _may_be_unpolled_run(other, model)


def _may_be_unpolled_run(other: Training, model: RemoteModel) -> bool:
    """Whether the model may show a run that `other` has started and no poll has shown yet."""
    run = other.status.run
    if run is None or run.ownership is None or run.baseline is None:
        return False
    before = run.baseline.started_training_at
    is_newer = before is None or (model.started_at is not None and model.started_at > before)
    return run.started_training_at is None and is_newer


def _takes_over(training: Training, model: RemoteModel) -> bool:
    """Whether `training` would take over a run: as adopted, or as started with unknown outcome."""
    run = training.status.run
    if run is None:
        return True
    return run.baseline is not None and run.baseline.started_training_at != model.started_at


def _wants_to_start(other: Training) -> bool:
    status = other.status
    was_polled = status.last_observed_at is not None
    may_start = not (other.unreadable or other.spec.suspend or is_blocked(status))
    return was_polled and may_start and not is_finished(status)


def _waits_for_data(other: Training, candidates: Iterable[Training], model: RemoteModel) -> bool:
    """Whether `other` has to wait for new data, because the run belongs to another resource."""
    return _takes_over(other, model) and any(
        _is_run_of(candidate, model) for candidate in candidates if candidate.uid != other.uid
    )
